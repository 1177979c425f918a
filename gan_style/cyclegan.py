"""CycleGAN: two translators learned from two heaps of images that are no pairs.

Follows Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent
Adversarial Networks" (2017): least-squares validity, L1 reconstruction and identity,
a pool of earlier fakes for the discriminators, Adam with beta_1 0.5.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from gan_style.adversarial import AdversarialModel, check_networks, watching
from gan_style.averaging import averaged_copy, update_averages
from gan_style.cyclegan_losses import (
    discriminator_loss,
    reconstruction_loss,
    validity_loss,
)
from gan_style.hardware.ordering import run_after
from gan_style.image_pool import ImagePool
from gan_style.inference.translation import translate
from gan_style.training.checkpoints import patch_keras_saving_leak, resumable
from gan_style.utils.checks import (
    check_choice,
    check_int,
    check_number,
    check_training_images,
)

LOSSES = (
    "validity_ab",
    "validity_ba",
    "reconstruction_a",
    "reconstruction_b",
    "identity_a",
    "identity_b",
    "generators",
    "discriminator_a",
    "discriminator_b",
)


def _split(both, first):
    # By the first part's own number: the last batches of two domains may differ.
    count = ops.shape(first)[0]
    if isinstance(count, int):
        # One operation, whose gradient is one as well.
        return ops.split(both, [count])
    return both[:count], both[count:]


def _joined(*parts):
    """The losses of both directions, in one order, with the sum of their sums."""
    joined = {name: loss for part in parts for name, loss in part.items()}
    joined["generators"] = sum(part["generators"] for part in parts)
    return {name: joined[name] for name in LOSSES if name in joined}


@keras.saving.register_keras_serializable(package="gan_style")
class CycleGAN(AdversarialModel):
    """Two generators and two discriminators, trained together with `fit`.

    One step is the paper's: the generators answer for validity, reconstruction and
    identity in both directions at once, while the discriminators stand still; then each
    discriminator learns to tell real images from those of its pool.

    The step translates `a` and looks at the identity of `b` in one batch, so a network
    of one's own must treat the images of a batch independently (instance norm does,
    batch norm does not).

    Args:
        generator_ab, generator_ba: models from images to images, both
            `(batch, height, width, channels)` in [-1, 1].
        discriminator_a, discriminator_b: models from such images to answers of any
            shape, 1 for real and 0 for translated.
        validity_weight, reconstruction_weight, identity_weight: the three losses'
            weights; the paper takes 1, 10 and 5, and 2 suits apples and oranges.
        pool_size: earlier fakes that each pool keeps.
        seed: integer for the pools' draws, or None.
        average_decay: `translate` takes the generators with averages of their weights,
            which keep this much of themselves at each step (less in the first ones);
            None keeps none, and `translate` takes the weights as they stand.

    >>> import numpy as np
    >>> from gan_style.models import patch_discriminator, unet_generator
    >>> networks = [unet_generator((16, 16, 3), 2, name=n) for n in ("ab", "ba")]
    >>> networks += [patch_discriminator((16, 16, 3), 2, name=n) for n in "ab"]
    >>> model = CycleGAN(*networks, pool_size=2, seed=0)
    >>> model.compile()
    >>> images = np.zeros((1, 16, 16, 3), "float32")
    >>> history = model.fit(images, images, batch_size=1, verbose=0)
    >>> sorted(history.history)[:3]
    ['discriminator_a', 'discriminator_b', 'generators']
    >>> model.translate(np.zeros((16, 16, 3), "uint8"), "ab").dtype
    dtype('uint8')
    """

    def __init__(
        self,
        generator_ab,
        generator_ba,
        discriminator_a,
        discriminator_b,
        validity_weight=1.0,
        reconstruction_weight=10.0,
        identity_weight=2.0,
        pool_size=50,
        seed=None,
        average_decay=0.999,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_networks(
            "CycleGAN",
            generator_ab=generator_ab,
            generator_ba=generator_ba,
            discriminator_a=discriminator_a,
            discriminator_b=discriminator_b,
        )
        self.generator_ab = generator_ab
        self.generator_ba = generator_ba
        self.discriminator_a = discriminator_a
        self.discriminator_b = discriminator_b
        self.validity_weight = check_number(
            "CycleGAN", "validity_weight", validity_weight
        )
        self.reconstruction_weight = check_number(
            "CycleGAN", "reconstruction_weight", reconstruction_weight
        )
        self.identity_weight = check_number(
            "CycleGAN", "identity_weight", identity_weight
        )
        self.pool_size = check_int("CycleGAN", "pool_size", pool_size, minimum=0)
        self.seed = seed
        if average_decay is not None:
            average_decay = check_number("CycleGAN", "average_decay", average_decay)
            if average_decay >= 1:
                raise ValueError(
                    f"CycleGAN: average_decay is {average_decay:g}, but an average "
                    "that takes in anything new keeps less than 1, such as 0.999."
                )
        self.average_decay = average_decay
        self.pool_a = ImagePool(pool_size, seed, name="pool_a")
        self.pool_b = ImagePool(
            pool_size, None if seed is None else seed + 1, name="pool_b"
        )
        self._build_state()

    def _build_state(self):
        for pool, network in (
            (self.pool_a, self.discriminator_a),
            (self.pool_b, self.discriminator_b),
        ):
            pool.build(network.input_shape)
        if self.average_decay is not None:
            self.averaged_ab = averaged_copy(self.generator_ab)
            self.averaged_ba = averaged_copy(self.generator_ba)
        # Everything that a resumed training needs is a variable, the step included.
        self.steps_done = self.add_weight(
            shape=(),
            initializer="zeros",
            trainable=False,
            dtype="int64",
            name="steps_done",
        )
        self.loss_means = {
            name: keras.metrics.Mean(name=name)
            for name in LOSSES
            if self.identity_weight or not name.startswith("identity")
        }
        self.built = True

    # The names by which books and papers list the four.
    @property
    def g_AB(self):
        """The generator from A to B."""
        return self.generator_ab

    @property
    def g_BA(self):
        """The generator from B to A."""
        return self.generator_ba

    @property
    def d_A(self):
        """The discriminator of A."""
        return self.discriminator_a

    @property
    def d_B(self):
        """The discriminator of B."""
        return self.discriminator_b

    @property
    def metrics(self):
        return list(self.loss_means.values())

    @property
    def generator_variables(self):
        """Trainable variables of both generators, which one optimizer drives."""
        return (
            self.generator_ab.trainable_variables
            + self.generator_ba.trainable_variables
        )

    @property
    def discriminator_variables(self):
        """Trainable variables of both discriminators, which the other drives."""
        return (
            self.discriminator_a.trainable_variables
            + self.discriminator_b.trainable_variables
        )

    def fit(self, x=None, y=None, *args, callbacks=None, **kwargs):
        """Trains, as `keras.Model.fit` does, on a dataset of pairs `(a, b)`.

        A dataset of `gan_style.datasets` goes on where this model stands, so that a
        saved and loaded model sees the images that it would have seen; see
        `gan_style.training`. For another dataset, `options.autotune.enabled = False`
        can spare a wait at the end of each epoch: see `gan_style.datasets`.

        Raises:
            ValueError: for arrays with numbers that are not finite, or not in [-1, 1].
        """
        patch_keras_saving_leak()
        if getattr(x, "cursor", None) is None:
            for name, arrays in (("x", x), ("y", y)):
                for array in keras.tree.flatten(arrays):
                    if isinstance(array, np.ndarray) or tf.is_tensor(array):
                        check_training_images("CycleGAN.fit", name, array)
            return super().fit(x, y, *args, callbacks=callbacks, **kwargs)
        with resumable(self, x, callbacks, kwargs) as (x, callbacks, kwargs):
            return super().fit(x, y, *args, callbacks=callbacks, **kwargs)

    def call(self, inputs, training=False):
        """Translates a pair of batches: `(a, b)` to `(b-like, a-like)`."""
        a, b = inputs
        return (
            self.generator_ab(a, training=training),
            self.generator_ba(b, training=training),
        )

    def cycle_losses(self, direction, images, of_target, training=False):
        """What the generators answer for on one way there and back.

        Args:
            direction: "ab" or "ba".
            images: the batch to translate.
            of_target: a batch of the other domain, which is to stay as it is.
            training: as in a Keras layer's call.

        Returns:
            The losses, a dict of scalars with the weighted sum as "generators", and the
            translated batch.
        """
        start, end = direction
        there = getattr(self, f"generator_{direction}")
        back = getattr(self, f"generator_{end}{start}")
        judge = getattr(self, f"discriminator_{end}")
        fake, same = self._translate_and_keep(there, images, of_target, training)
        losses = {
            f"validity_{direction}": validity_loss(judge(fake, training=training)),
            f"reconstruction_{start}": reconstruction_loss(
                images, back(fake, training=training)
            ),
        }
        if self.identity_weight:
            losses[f"identity_{end}"] = reconstruction_loss(of_target, same)
        weights = {
            "validity": self.validity_weight,
            "reconstruction": self.reconstruction_weight,
            "identity": self.identity_weight,
        }
        losses["generators"] = sum(
            weights[name.split("_")[0]] * loss for name, loss in losses.items()
        )
        return losses, fake

    def _translate_and_keep(self, generator, images, of_target, training):
        if not self.identity_weight:
            return generator(images, training=training), None
        both = generator(
            ops.concatenate([images, of_target], axis=0), training=training
        )
        return _split(both, images)

    def generator_losses(self, a, b, training=False):
        """All that the generators answer for.

        Returns:
            The losses, a dict of scalars with the weighted sum as "generators", and the
            two translated batches, `(fake_a, fake_b)`.
        """
        of_ab, fake_b = self.cycle_losses("ab", a, b, training)
        of_ba, fake_a = self.cycle_losses("ba", b, a, training)
        return _joined(of_ab, of_ba), (fake_a, fake_b)

    def discriminator_losses(self, a, b, fake_a, fake_b, training=False):
        """Each discriminator's loss on real and translated images, a dict."""
        losses = {}
        for name, network, real, fake in (
            ("discriminator_a", self.discriminator_a, a, fake_a),
            ("discriminator_b", self.discriminator_b, b, fake_b),
        ):
            answers = network(ops.concatenate([real, fake], axis=0), training=training)
            losses[name] = discriminator_loss(*_split(answers, real))
        return losses

    def train_step(self, data):
        a, b = self._unpack(data)
        of_ab, fake_b, first = self._generator_gradients("ab", a, b)
        # One direction after the other: so their activations take turns in memory.
        later_a, later_b = run_after(first, a, b)
        of_ba, fake_a, second = self._generator_gradients("ba", later_b, later_a)
        gradients = [x + y for x, y in zip(first, second, strict=True)]
        self.generator_optimizer.apply(gradients, self.generator_variables)
        if self.average_decay is not None:
            update_averages(
                (self.averaged_ab, self.averaged_ba),
                (self.generator_ab, self.generator_ba),
                self.average_decay,
                self.steps_done,
            )

        # The discriminators have been read by now, and may change.
        fake_a, fake_b = run_after(gradients, fake_a, fake_b)
        pooled_a, pooled_b = self.pool_a(fake_a), self.pool_b(fake_b)
        variables = [v.value for v in self.discriminator_variables]
        with watching(variables) as tape:
            answers = self.discriminator_losses(a, b, pooled_a, pooled_b, training=True)
            objective = self.scaled_loss(
                sum(answers.values()), self.discriminator_optimizer
            )
        gradients = tape.gradient(objective, variables)
        self.discriminator_optimizer.apply(gradients, self.discriminator_variables)

        self.steps_done.assign_add(1)
        return self._running_means({**_joined(of_ab, of_ba), **answers})

    def _generator_gradients(self, direction, images, of_target):
        """One direction's losses, translated batch, and gradients of the generators."""
        variables = [v.value for v in self.generator_variables]
        with watching(variables) as tape:
            losses, fake = self.cycle_losses(direction, images, of_target, True)
            objective = self.scaled_loss(losses["generators"], self.generator_optimizer)
        gradients = tape.gradient(
            objective, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return losses, fake, gradients

    def test_step(self, data):
        a, b = self._unpack(data)
        losses, (fake_a, fake_b) = self.generator_losses(a, b)
        losses.update(self.discriminator_losses(a, b, fake_a, fake_b))
        return self._running_means(losses)

    @staticmethod
    def _unpack(data):
        a, b, _ = keras.utils.unpack_x_y_sample_weight(data)
        if b is None:
            raise ValueError(
                "CycleGAN: a training batch holds one part, but must be a pair "
                "(a, b) of image batches, one of each domain."
            )
        return a, b

    def _running_means(self, losses):
        for name, loss in losses.items():
            self.loss_means[name].update_state(loss)
        return {name: self.loss_means[name].result() for name in losses}

    def translator(self, direction="ab", averaged=None):
        """The network that `translate` takes, for example to export it.

        Args:
            direction: "ab" or "ba".
            averaged: whether with averages of its weights over the last steps; by
                default where there are any.

        Returns:
            A `keras.Model`.

        Raises:
            ValueError: for another direction, or averages that are not kept.
        """
        check_choice("CycleGAN.translate", "direction", direction, ("ab", "ba"))
        if averaged and self.average_decay is None:
            raise ValueError(
                "CycleGAN.translate: averaged is True, but this model keeps no "
                "averages. Build it with average_decay=0.999, and train it."
            )
        if averaged is None:
            # Before the first step, the weights may have come from elsewhere.
            averaged = (
                self.average_decay is not None and int(self.steps_done.numpy()) > 0
            )
        return getattr(self, f"{'averaged' if averaged else 'generator'}_{direction}")

    def translate(
        self, images, direction="ab", tile_size=None, averaged=None, **options
    ):
        """Translates images of any size, or one image.

        Args:
            images: uint8, or float in [-1, 1]; `(batch, height, width, channels)`, or
                without the batch; or as `gan_style.inference` takes them.
            direction: "ab" or "ba".
            tile_size: side of the tiles for an image too large for the memory.
            averaged: whether to take averages of the weights; see `translator`.
            **options: for `gan_style.inference`.

        Returns:
            A NumPy array of the same shape and kind: uint8 for uint8, float32 in
            [-1, 1] for float.

        Raises:
            ValueError: for another direction, dtype, range or shape.
        """
        network = self.translator(direction, averaged)
        return translate(network, images, tile_size, **options)

    def get_config(self):
        networks = {
            name: keras.saving.serialize_keras_object(getattr(self, name))
            for name in (
                "generator_ab",
                "generator_ba",
                "discriminator_a",
                "discriminator_b",
            )
        }
        return {
            **super().get_config(),
            **networks,
            "validity_weight": self.validity_weight,
            "reconstruction_weight": self.reconstruction_weight,
            "identity_weight": self.identity_weight,
            "pool_size": self.pool_size,
            "seed": self.seed,
            "average_decay": self.average_decay,
        }

    @classmethod
    def from_config(cls, config):
        config = {
            key: keras.saving.deserialize_keras_object(value)
            if key.startswith(("generator_", "discriminator_"))
            else value
            for key, value in config.items()
        }
        return cls(**config)

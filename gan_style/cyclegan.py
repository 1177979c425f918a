"""CycleGAN: unpaired image-to-image translation.

Follows Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent
Adversarial Networks" (2017): least-squares adversarial losses, L1 cycle consistency and
identity, a pool of earlier fakes for the discriminators, Adam with beta_1 0.5.
"""

import keras
from keras import ops

from gan_style.hardware.memory import in_turn
from gan_style.inference.translation import translate
from gan_style.layers import ImagePool
from gan_style.training.adversarial import AdversarialModel, averaged_copy
from gan_style.training.guards import check_float, check_shapes
from gan_style.utils.checks import check_choice, check_int, check_number

LOSSES = ("validity_ab", "validity_ba", "reconstruction_a", "reconstruction_b")
LOSSES += ("identity_a", "identity_b", "generators")
LOSSES += ("discriminator_a", "discriminator_b")


def validity_loss(answer):
    """Mean (answer - 1)^2: how far a discriminator is from taking fakes for real.

    >>> float(validity_loss(ops.zeros((1, 16, 16, 1))))
    1.0
    """
    return ops.mean(ops.square(ops.cast(answer, "float32") - 1.0))


def reconstruction_loss(images, others):
    """Mean |images - others|; the identity loss is the same measure.

    >>> float(reconstruction_loss(ops.ones((1, 2, 2, 3)), 0.5))
    0.5
    """
    return ops.mean(ops.abs(ops.cast(others, "float32") - ops.cast(images, "float32")))


def discriminator_loss(real_answer, fake_answer):
    """Half of [mean (real - 1)^2 + mean fake^2]; the half slows the discriminator.

    >>> float(discriminator_loss(ops.ones((1, 2, 2, 1)), ops.ones((1, 2))))
    0.5
    """
    fake_loss = ops.mean(ops.square(ops.cast(fake_answer, "float32")))
    return 0.5 * (validity_loss(real_answer) + fake_loss)


def merge_losses(ab, ba):
    """Joins the losses of both directions, whose "generators" add up."""
    merged = {**ab, **ba, "generators": ab["generators"] + ba["generators"]}
    return {name: merged[name] for name in LOSSES if name in merged}


def split_batch(joined, first):
    """Undoes a concatenation along the batch whose first part was `first`."""
    count = ops.shape(first)[0]
    if isinstance(count, int):
        return ops.split(joined, [count])  # one operation, and one in its gradient
    return joined[:count], joined[count:]


@keras.saving.register_keras_serializable(package="gan_style")
class CycleGAN(AdversarialModel):
    """Two generators and two discriminators, trained together with `fit`.

    One step is the paper's: both generators descend the validity, reconstruction and
    identity losses of both directions, while the discriminators stay fixed; then each
    discriminator learns to tell real images from those of its pool.

    A generator translates `a` and shows its identity on `b` in one batch, so a network
    must process a batch's images independently (as instance norm does, not batch norm).

    Args:
        generator_ab, generator_ba: `keras.Model`s from images to images, both
            `(batch, height, width, channels)` in [-1, 1].
        discriminator_a, discriminator_b: `keras.Model`s from such images to answers of
            any shape, trained towards 1 for real and 0 for translated images.
        validity_weight, reconstruction_weight, identity_weight: floats from 0, the
            weights of the three losses. The paper uses 1, 10 and 5; the default
            identity weight of 2 suits apples and oranges.
        pool_size: int from 0, the number of earlier fakes that each pool keeps.
        seed: int for the pools' draws, or None.
        average_decay: float in [0, 1), the share that the running averages of the
            generators' weights keep of themselves in one step (less in the first
            steps); `translate` uses these averages. None keeps no averages.

    Raises:
        ValueError: for a network that is not a built `keras.Model` or is given twice,
            or another argument out of its range.

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

    NETWORKS = ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b")
    OPTIONS = ("validity_weight", "reconstruction_weight", "identity_weight")
    OPTIONS += ("pool_size", "seed", "average_decay")

    def __init__(
        self, generator_ab, generator_ba, discriminator_a, discriminator_b,
        validity_weight=1.0, reconstruction_weight=10.0, identity_weight=2.0,
        pool_size=50, seed=None, average_decay=0.999, **kwargs,
    ):  # fmt: skip
        networks = (generator_ab, generator_ba, discriminator_a, discriminator_b)
        super().__init__(*networks, **kwargs)
        owner = "CycleGAN"
        self.validity_weight = check_number(owner, "validity_weight", validity_weight)
        self.reconstruction_weight = check_number(
            owner, "reconstruction_weight", reconstruction_weight
        )
        self.identity_weight = check_number(owner, "identity_weight", identity_weight)
        self.pool_size = check_int(owner, "pool_size", pool_size, minimum=0)
        self.seed = seed
        if average_decay is not None:
            most = 1 - 1e-6  # with 1, the average would never change
            average_decay = check_number(owner, "average_decay", average_decay, 0, most)
        self.average_decay = average_decay
        a, b = self.batch_shapes()
        check_shapes(
            owner,
            generator_ab=(generator_ab.output_shape, b),
            generator_ba=(generator_ba.output_shape, a),
            discriminator_a=(discriminator_a.input_shape, a),
            discriminator_b=(discriminator_b.input_shape, b),
        )
        if self.identity_weight:
            remedy = "Pass identity_weight=0, as no image is its own translation."
            check_shapes(owner, remedy, B=(b, a))
        self.pool_a = ImagePool(pool_size, seed, name="pool_a")
        seed = None if seed is None else seed + 1
        self.pool_b = ImagePool(pool_size, seed, name="pool_b")
        self.pool_a.build(discriminator_a.input_shape)
        self.pool_b.build(discriminator_b.input_shape)
        if average_decay is not None:
            self.averaged_ab = averaged_copy(generator_ab)
            self.averaged_ba = averaged_copy(generator_ba)
        self.build_state([n for n in LOSSES if identity_weight or "identity" not in n])

    # The four as papers name them. Saved files hold the weights under these names.
    g_AB = property(lambda self: self.generator_ab, doc="The generator from A to B.")
    g_BA = property(lambda self: self.generator_ba, doc="The generator from B to A.")
    d_A = property(lambda self: self.discriminator_a, doc="The discriminator of A.")
    d_B = property(lambda self: self.discriminator_b, doc="The discriminator of B.")

    def averages(self):
        """Pairs of a generator and its running average, where averages are kept."""
        if self.average_decay is None:
            return ()
        ab, ba = self.averaged_ab, self.averaged_ba
        return (self.generator_ab, ab), (self.generator_ba, ba)

    def batch_shapes(self):
        """Shapes of the two parts of a training batch, with None for open sizes."""
        return self.generator_ab.input_shape, self.generator_ba.input_shape

    def call(self, inputs, training=False):
        """Translates a pair of batches: `(a, b)` to `(b-like, a-like)`."""
        if not isinstance(inputs, (tuple, list)) or len(inputs) != 2:
            raise ValueError(
                "CycleGAN: calls and `predict` need a pair (a, b) of batches. For one "
                "domain, use translate(images, 'ab'), or predict of generator_ab."
            )
        a, b = inputs
        check_float("CycleGAN", a, b)
        fake_b = self.generator_ab(a, training=training)
        return fake_b, self.generator_ba(b, training=training)

    def cycle_losses(self, direction, images, targets, training=False):
        """The generators' losses in one direction, there and back.

        Args:
            direction: "ab" or "ba".
            images: the batch to translate.
            targets: a batch of the other domain, for the identity loss.
            training: as in a Keras layer's call.

        Returns:
            The losses, a dict of scalars with their weighted sum as "generators", and
            the translated batch.
        """
        start, end = direction
        generator = getattr(self, f"generator_{direction}")
        inverse_generator = getattr(self, f"generator_{end}{start}")
        discriminator = getattr(self, f"discriminator_{end}")

        if self.identity_weight:
            joined = ops.concatenate([images, targets], axis=0)
            fake, same = split_batch(generator(joined, training=training), images)
        else:
            fake = generator(images, training=training)
        validity = validity_loss(discriminator(fake, training=training))
        reconstructed = inverse_generator(fake, training=training)
        reconstruction = reconstruction_loss(images, reconstructed)
        total = self.validity_weight * validity
        total = total + self.reconstruction_weight * reconstruction
        losses = {f"validity_{direction}": validity}
        losses[f"reconstruction_{start}"] = reconstruction
        if self.identity_weight:
            identity = losses[f"identity_{end}"] = reconstruction_loss(targets, same)
            total = total + self.identity_weight * identity
        return {**losses, "generators": total}, fake

    def generator_losses(self, a, b, training=False):
        """The `cycle_losses` of both directions in one dict, and `(fake_a, fake_b)`."""
        losses_ab, fake_b = self.cycle_losses("ab", a, b, training)
        losses_ba, fake_a = self.cycle_losses("ba", b, a, training)
        return merge_losses(losses_ab, losses_ba), (fake_a, fake_b)

    def discriminator_losses(self, a, b, fake_a, fake_b, training=False):
        """Each discriminator's loss on real and translated images, a dict."""
        losses = {}
        for domain, real, fake in ("a", a, fake_a), ("b", b, fake_b):
            network = getattr(self, name := f"discriminator_{domain}")
            answers = network(ops.concatenate([real, fake], axis=0), training=training)
            losses[name] = discriminator_loss(*split_batch(answers, real))
        return losses

    def train_step(self, data):
        a, b, count = self.unpack_pair(data)

        # 1. The generators descend all six losses; the discriminators stay fixed.
        # With large images one direction waits for the other: only one holds memory.
        losses_ab, fake_b, gradients_ab = self.cycle_gradients("ab", a, b, count)
        later = in_turn(gradients_ab, b, a)
        losses_ba, fake_a, gradients_ba = self.cycle_gradients("ba", *later, count)
        gradients = [x + y for x, y in zip(gradients_ab, gradients_ba, strict=True)]
        self.generator_optimizer.apply(gradients, self.generator_variables)
        self.update_averages()

        # 2. The discriminators learn real images from pooled fakes.
        fake_a, fake_b = in_turn(gradients, fake_a, fake_b)
        pooled_a = self.from_pool(self.pool_a, fake_a, count)
        pooled_b = self.from_pool(self.pool_b, fake_b, count)
        with self.tape_of("discriminator") as tape:
            losses = self.discriminator_losses(a, b, pooled_a, pooled_b, training=True)
            loss = sum(losses.values())
        gradients = self.gradients(tape, loss, "discriminator", count)
        self.discriminator_optimizer.apply(gradients, self.discriminator_variables)

        self.steps_done.assign_add(1)
        losses = {**merge_losses(losses_ab, losses_ba), **losses}
        return self.running_means(losses, count)

    def cycle_gradients(self, direction, images, targets, count):
        """Losses and fakes of one direction, and the gradients of both generators."""
        with self.tape_of("generator") as tape:
            losses, fake = self.cycle_losses(direction, images, targets, training=True)
        gradients = self.gradients(tape, losses["generators"], "generator", count)
        return losses, fake, gradients

    def predict_step(self, data):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self(x if y is None else (x, y), training=False)

    def test_step(self, data):
        a, b, count = self.unpack_pair(data)
        losses, (fake_a, fake_b) = self.generator_losses(a, b)
        losses.update(self.discriminator_losses(a, b, fake_a, fake_b))
        return self.running_means(losses, count)

    def translator(self, direction="ab", averaged=None):
        """Returns the `keras.Model` that `translate` uses, for example to export it.

        Args:
            direction: "ab" or "ba".
            averaged: True for the running averages of the weights, False for the
                weights as last trained; None for the averages once a step was made.

        Raises:
            ValueError: for another direction, or averages that are not kept.
        """
        check_choice("CycleGAN.translate", "direction", direction, ("ab", "ba"))
        if averaged and self.average_decay is None:
            raise ValueError(
                "CycleGAN.translate: averaged is True, but this model keeps no "
                "averages. Build it with average_decay=0.999, and train it."
            )
        self.follow_weights()
        if averaged is None:
            # Before the first step, there is nothing to average.
            averaged = self.average_decay is not None and self.steps_done.numpy() > 0
        return getattr(self, f"{'averaged' if averaged else 'generator'}_{direction}")

    def translate(
        self, images, direction="ab", tile_size=None, averaged=None, **options
    ):
        """Translates images of any size, as `gan_style.inference.translate` does.

        Args:
            images, tile_size, **options: as in `gan_style.inference.translate`: uint8
                images come back as uint8, floats in [-1, 1] as float32.
            direction, averaged: as in `translator`.

        Raises:
            ValueError: for another direction, dtype, range or shape.
        """
        network = self.translator(direction, averaged)
        return translate(network, images, tile_size, **options)

"""Pix2Pix: paired image-to-image translation, in one direction.

Follows Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks"
(2017): a discriminator that sees the input beside the output, cross-entropy, and 100
times the L1 distance to the ground truth.
"""

import keras
from keras import ops

from gan_style.hardware.memory import run_after
from gan_style.inference.translation import translate
from gan_style.training.adversarial import AdversarialModel
from gan_style.training.guards import check_shapes
from gan_style.utils.checks import check_number

LOSSES = ("validity", "reconstruction", "generator", "discriminator")


def cross_entropy(answer, target):
    """Mean binary cross-entropy between logits and a target, 1 (real) or 0 (fake).

    >>> round(float(cross_entropy(ops.zeros((1, 16, 16, 1)), 1.0)), 4)  # log 2
    0.6931
    """
    answer = ops.cast(answer, "float32")
    targets = ops.full_like(answer, target)
    return ops.mean(ops.binary_crossentropy(targets, answer, from_logits=True))


@keras.saving.register_keras_serializable(package="gan_style")
class Pix2Pix(AdversarialModel):
    """A generator and a conditional discriminator, trained on pairs with `fit`.

    `CycleGAN`'s paired counterpart: a batch is `(x, y)`, images and their ground truth.
    The generator is as deterministic as its network, without the paper's dropout noise.

    Args:
        generator: `keras.Model` from images `(batch, height, width, channels)` in
            [-1, 1] to images as high and wide in [-1, 1], such as `unet_generator`.
        discriminator: `keras.Model` from x and y joined along the channels to logits
            of any shape: `patch_discriminator((height, width, 6))` for RGB.
        l1_weight: float from 0, the weight of the mean absolute difference to the
            ground truth; the paper uses 100.

    Raises:
        ValueError: for a network that is not a built `keras.Model`, a discriminator
            with another number of channels, or a weight below 0.

    >>> import numpy as np
    >>> from gan_style.models import patch_discriminator, unet_generator
    >>> model = Pix2Pix(
    ...     unet_generator((16, 16, 3), 2), patch_discriminator((16, 16, 6), 2))
    >>> model.compile()
    >>> x, y = np.zeros((2, 1, 16, 16, 3), "float32")
    >>> history = model.fit(x, y, batch_size=1, verbose=0)
    >>> sorted(history.history)
    ['discriminator', 'generator', 'reconstruction', 'validity']
    """

    NETWORKS = ("generator", "discriminator")
    OPTIONS = ("l1_weight",)

    def __init__(self, generator, discriminator, l1_weight=100.0, **kwargs):
        super().__init__(generator, discriminator, **kwargs)
        self.l1_weight = check_number("Pix2Pix", "l1_weight", l1_weight)
        channels = generator.input_shape[-1] + generator.output_shape[-1]
        joined = (*generator.output_shape[:-1], channels)
        check_shapes("Pix2Pix", discriminator=(discriminator.input_shape, joined))
        self.build_state(LOSSES)

    def batch_shapes(self):
        """Shapes of the two parts of a training batch, with None for open sizes."""
        return self.generator.input_shape, self.generator.output_shape

    def call(self, x, training=False):
        """Translates a batch of images."""
        return self.generator(x, training=training)

    def generator_losses(self, x, y, training=False):
        """The generator's losses, a dict of scalars, and the translated batch.

        They are "validity", "reconstruction" (the mean absolute difference to y) and
        their weighted sum "generator".
        """
        fake = self.generator(x, training=training)
        pair = ops.concatenate([x, fake], axis=-1)
        validity = cross_entropy(self.discriminator(pair, training=training), 1.0)
        difference = ops.cast(fake, "float32") - ops.cast(y, "float32")
        reconstruction = ops.mean(ops.abs(difference))
        total = validity + self.l1_weight * reconstruction
        losses = {"validity": validity, "reconstruction": reconstruction}
        return {**losses, "generator": total}, fake

    def discriminator_loss(self, x, y, fake, training=False):
        """Half of the cross-entropy of (x, y) as real and of (x, fake) as fake."""
        real, fake = (ops.concatenate([x, other], axis=-1) for other in (y, fake))
        real = self.discriminator(real, training=training)
        fake = self.discriminator(fake, training=training)
        return 0.5 * (cross_entropy(real, 1.0) + cross_entropy(fake, 0.0))

    def train_step(self, data):
        x, y, count = self.unpack_pair(data)

        with self.tape_of("generator") as tape:
            losses, fake = self.generator_losses(x, y, training=True)
        gradients = self.gradients(tape, losses["generator"], "generator", count)
        self.generator_optimizer.apply(gradients, self.generator_variables)

        # The generator's gradients have read the discriminator; now it may change.
        (fake,) = run_after(gradients, fake)
        with self.tape_of("discriminator") as tape:
            loss = self.discriminator_loss(x, y, fake, training=True)
        gradients = self.gradients(tape, loss, "discriminator", count)
        self.discriminator_optimizer.apply(gradients, self.discriminator_variables)

        self.steps_done.assign_add(1)
        return self.running_means({**losses, "discriminator": loss}, count)

    def test_step(self, data):
        x, y, count = self.unpack_pair(data)
        losses, fake = self.generator_losses(x, y)
        loss = self.discriminator_loss(x, y, fake)
        return self.running_means({**losses, "discriminator": loss}, count)

    def translate(self, images, tile_size=None, **options):
        """Translates images of any size, as `CycleGAN.translate` does."""
        return translate(self.generator, images, tile_size, **options)

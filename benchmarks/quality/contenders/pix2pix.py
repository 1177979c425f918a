"""Pix2Pix on true pairs, in one direction: what could be reached (drawn data only).

Isola et al. (2017), by this package's `Pix2Pix`, with the U-Net and the rate of
chapter 1; `gate` as in `ours`. Its weights are not averaged.
"""

import tensorflow as tf

from contenders import Contender
from contenders.parts import adam, generator
from gan_style import Pix2Pix, patch_discriminator


def build(
    shape,
    seed,
    progress,
    network="unet",
    filters=32,
    blocks=4,
    rate=5e-4,
    beta=0.5,
    constant=1 / 3,
    gate=False,
    direction="ab",
):
    model = Pix2Pix(
        generator(network, shape, filters, blocks, gate=gate),
        patch_discriminator((*shape[:2], 2 * shape[2]), 32),
    )
    model.compile(*(adam(rate, beta, constant, progress) for _ in range(2)))
    return Paired(model, direction)


class Paired(Contender):
    pairs = True

    def __init__(self, model, direction):
        self.model, self.directions = model, (direction,)
        self.step = tf.function(lambda x, y: model.train_step((x, y)))
        self.done = 0

    def train_step(self, a, b):
        if self.done % 25 == 0:
            self.model.reset_metrics()
        self.done += 1
        return self.step(a, b) if self.directions == ("ab",) else self.step(b, a)

    def translate(self, images, direction):
        return self.model.translate(images)

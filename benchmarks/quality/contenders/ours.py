"""This package's `CycleGAN`, as its chapters train it, and what might improve it.

Options, alone or together:

    features      the discriminators see through frozen VGG16 features too (patch=2: the
                  PatchGAN's weight beside the two heads)
    augment       differentiable augmentation of all that the discriminators see;
                  augment=translation-cutout names its kinds
    spectral      spectral instead of instance norm in the discriminators
    antialias     blurs beside strides and upsamplings
    gate          the generators say where the image stays as it is; gate=0.5: and half
                  of a pixel at most
    detail=2      the discriminators also see what differs from the neighbouring pixels
    small_first   half of the training on images of half the side (small_first=0.3: 30%)
    chapter=1     settings of chapter 1 (fruit) or 2 (landscapes); each may be replaced:
    network=unet, filters=32, blocks=4, judge_filters=32, rate=5e-4, judge_rate=5e-4,
    beta=0.5, constant=0.33, reconstruction=5, identity=2, decay=0.999
"""

import tensorflow as tf

from contenders import Contender
from contenders.parts import adam, discriminator, generator
from gan_style import CycleGAN

CHAPTERS = {
    1: {"network": "unet", "filters": 32, "blocks": 0, "rate": 5e-4, "decay": 0.999}
    | {"constant": 1 / 3, "reconstruction": 5.0, "identity": 2.0},
    2: {"network": "nearest", "filters": 16, "blocks": 4, "rate": 8e-4, "decay": 0.99}
    | {"constant": 1 / 2, "reconstruction": 5.0, "identity": 5.0},
}


def build(shape, seed, progress, chapter=1, small_first=0, **options):
    options = {**CHAPTERS[chapter], **options}
    share = 0.5 if small_first is True else small_first
    sides = [1.0, 0.5] if share else [1.0]  # the larger one first: it ends the training
    models = []
    for scale in sides:
        smaller = tuple(int(side * scale) for side in shape[:2])
        models.append(cyclegan((*smaller, shape[2]), seed, progress, **options))
    return Ours(models[::-1], share, progress)


def cyclegan(
    shape,
    seed,
    progress,
    network,
    filters,
    blocks,
    rate,
    constant,
    reconstruction,
    identity,
    decay,
    beta=0.5,
    judge_filters=32,
    judge_rate=None,
    antialias=False,
    gate=False,
    **levers,
):
    """A compiled `CycleGAN`; `levers` are those of `parts.discriminator`."""
    model = CycleGAN(
        *(generator(network, shape, filters, blocks, antialias, gate) for _ in "ab"),
        *(
            discriminator(shape, judge_filters, s, antialias=antialias, **levers)
            for s in (10 * seed, 10 * seed + 5)
        ),
        reconstruction_weight=reconstruction,
        identity_weight=identity,
        seed=seed,
        average_decay=decay or None,
    )
    model.compile(
        adam(rate, beta, constant, progress),
        adam(judge_rate or rate, beta, constant, progress),
    )
    return model


class Ours(Contender):
    """One `CycleGAN`, or one for small images and one that goes on from it."""

    def __init__(self, models, share, progress):
        self.models = models
        self.share, self.progress = share, progress
        self.steps = [
            tf.function(lambda a, b, m=model: m.train_step((a, b))) for model in models
        ]
        self.done = 0

    @property
    def phase(self):
        return f"{len(self.models)} to go"

    def train_step(self, a, b):
        if len(self.models) > 1 and self.progress.numpy() >= self.share:
            small, large = self.models
            for name in large.NETWORKS:
                getattr(large, name).set_weights(getattr(small, name).get_weights())
            del self.models[0], self.steps[0]
        if self.done % 25 == 0:
            self.models[0].reset_metrics()  # or losses were means since the beginning
        self.done += 1
        side = self.models[0].generator_ab.input_shape[1]
        if side < a.shape[1]:
            a, b = (tf.nn.avg_pool2d(x, 2, 2, "VALID") for x in (a, b))
        return self.steps[0](a, b)

    def translate(self, images, direction):
        return self.models[0].translate(images, direction)

"""Trains chapter 2's networks on Monet's paintings, measures them, and draws a figure.

    python benchmarks/quality/monet.py ../shared/data/monet2photo

for the networks, rate and 10,000 steps of chapter 2's `medium` (1.5 hours on two cores
with AVX-512), or smaller, in 19 minutes:

    python benchmarks/quality/monet.py ../shared/data/monet2photo --steps 3000 \\
        --filters 24 --blocks 4 --discriminator-filters 32

The folder is laid out as monet2photo: trainA, testA with paintings, trainB, testB with
photographs. It writes `training.keras`, which an interrupted training resumes from, and
`monet.jpg` to `--output`. The figure's photographs are scikit-image's; the paintings in
its last row are those of the training set that `--paintings` counts. Distances are to
the paintings of the training set, since there are few others; `--rulers vgg16` needs no
PyTorch.
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageOps
from rulers import RULERS, Judge, load_rulers
from skimage import data as photographs

from gan_style import (
    CycleGAN,
    constant_then_linear,
    datasets,
    evaluation,
    patch_discriminator,
    resnet_generator,
)
from gan_style.hardware import recommend
from gan_style.training import SaveAndResume
from gan_style.utils.images import save_image

SIDE = 128
EPOCH = 250  # steps


def cyclegan(steps, filters, blocks, discriminator_filters, rate, seed):
    shape = (SIDE, SIDE, 3)
    options = {"upsampling": "nearest", "gate": 0.5}
    generators = [
        resnet_generator(shape, filters, blocks, name=name, **options)
        for name in ("ab", "ba")
    ]
    discriminators = [
        patch_discriminator(shape, discriminator_filters, name=name, detail=2.0)
        for name in ("da", "db")
    ]
    model = CycleGAN(
        *generators,
        *discriminators,
        reconstruction_weight=2.0,
        identity_weight=0.5,
        average_decay=0.999,
        seed=seed,
    )
    schedule = constant_then_linear(rate, steps // 2, steps - steps // 2)
    model.compile(*(keras.optimizers.Adam(schedule, beta_1=0.5) for _ in range(2)))
    return model


def square(image):
    """The middle of an image, as large as those of the training."""
    size, method = (SIDE, SIDE), Image.Resampling.LANCZOS
    return np.asarray(ImageOps.fit(Image.fromarray(image), size, method))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", help="laid out as monet2photo")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--discriminator-filters", type=int, default=64)
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--paintings", type=int, nargs=3, default=(48, 96, 144))
    parser.add_argument("--rulers", nargs="+", default=RULERS, choices=RULERS)
    parser.add_argument("--output", type=Path, default=Path("outputs/monet"))
    options = parser.parse_args()

    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(recommend().policy)
    data = datasets.load(options.folder, SIDE, seed=options.seed, swap=True)
    print(data)
    networks = options.filters, options.blocks, options.discriminator_filters
    model = cyclegan(options.steps, *networks, options.rate, options.seed)
    saved, begun = SaveAndResume(options.output / "training.keras"), time.perf_counter()
    epochs = options.steps // EPOCH
    model.fit(
        data.train, steps_per_epoch=EPOCH, epochs=epochs, verbose=2, callbacks=[saved]
    )
    seconds = time.perf_counter() - begun
    print(f"{model.steps_done.numpy()} steps done, {seconds:.0f} seconds in this run")

    photos = data.test_a[:]
    candidates = {"CycleGAN": model.translate(photos, "ab")}
    candidates |= evaluation.baselines(photos, data.train_a[:], data.train_b[:])
    candidates["other paintings"] = data.test_b[:]
    judge = Judge(load_rulers(options.rulers), data.train_b[:])
    print(f"{'1000 x KID':40}", *(f"{ruler:>16}" for ruler in options.rulers))
    for name, images in candidates.items():
        found = judge(images).values()
        print(f"{name:40}", *(f"{kid:9.0f} +- {error:3.0f}" for kid, error in found))

    shown = [getattr(photographs, name)() for name in ("rocket", "coffee", "chelsea")]
    shown = [square(image) for image in shown]
    painted = [model.translate(image, "ab") for image in shown]
    own = [data.train_b[number] for number in options.paintings]
    figure = evaluation.image_grid(
        [shown, painted, own],
        row_titles=["photograph", "CycleGAN", "Claude Monet"],
        zoom=2,
    )
    print(save_image(options.output / "monet.jpg", evaluation.rendered(figure)))


if __name__ == "__main__":
    main()

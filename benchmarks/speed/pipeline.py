"""Shows whether a training step waits for its images.

    python benchmarks/speed/pipeline.py    # 200 drawn JPEG files a domain
    python benchmarks/speed/pipeline.py --images FOLDER    # your own trainA and trainB
    python benchmarks/speed/pipeline.py --side 256 --network resnet

First the input pipeline alone: JPEG files decoded, scaled, cropped and batched, read
anew for every epoch or kept in memory. Then `fit` on the same step with three kinds of
input, alternating: one batch ready in memory, the files, the images kept in memory. The
additional time of `fit` with files is what the images cost; where the step itself runs
on the CPU, that includes decoding them. "Longest end" is the longest time between the
last step of `fit` and its return.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from gan_style import (
    CycleGAN,
    datasets,
    patch_discriminator,
    resnet_generator,
    samples,
    unet_generator,
)
from gan_style.utils.images import save_image


def draw_files(folder, count, side):
    """JPEG files of the size of a small photograph."""
    for part, kind in (("trainA", "apple"), ("trainB", "orange")):
        for seed in range(count):
            image = samples.fruit(kind, seed, side)
            save_image(Path(folder) / part / f"{seed:05}.jpg", image)


def pairs_per_second(data, seconds=5.0):
    """How many pairs the pipeline makes when nothing else runs."""
    made, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        for a, _ in data.train:
            made += len(a)
            if time.perf_counter() - begun >= seconds:
                break
    return made / (time.perf_counter() - begun)


def build(network, side):
    keras.utils.set_random_seed(0)
    builder, filters = {"unet": (unet_generator, 32), "resnet": (resnet_generator, 64)}[
        network
    ]
    shape = (side, side, 3)
    model = CycleGAN(
        builder(shape, filters),
        builder(shape, filters),
        patch_discriminator(shape, filters),
        patch_discriminator(shape, filters),
        seed=0,
    )
    model.compile()
    return model


class Times(keras.callbacks.Callback):
    """When each step ended."""

    def on_train_begin(self, logs=None):
        self.ends = [time.perf_counter()]

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(time.perf_counter())


def fit_seconds(model, dataset, steps):
    """Seconds of the first step, with the pipeline's start, of each later one, and
    from the last one to the end of `fit`."""
    times = Times()
    model.fit(
        dataset, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[times]
    )
    end = time.perf_counter() - times.ends[-1]
    first, *later = (e - b for b, e in zip(times.ends, times.ends[1:], strict=False))
    return first, later, end


def measure(folder, network, side, rounds, steps):
    kept = datasets.load(folder, side, cache_megabytes=4096)
    read = datasets.load(folder, side, cache_megabytes=0)
    print(f"## input pipeline, {kept}")
    path = str(kept.train_a.sources[0])
    print(f"files such as {Path(path).name}, {os.path.getsize(path) / 1024:.0f} KiB")
    for _ in kept.train:  # the epoch that reads them
        pass
    alone = {
        "read from files": pairs_per_second(read),
        "kept in memory": pairs_per_second(kept),
    }
    ready = next(iter(kept.train))
    ways = {
        "one batch in memory": tf.data.Dataset.from_tensors(ready).repeat(),
        "read from files": read.train,
        "kept in memory": kept.train,
    }
    model = build(network, side)
    spent = {name: ([], [], []) for name in ways}
    for dataset in ways.values():
        fit_seconds(model, dataset, 2)
    for _ in range(rounds):
        for name, dataset in ways.items():
            first, later, end = fit_seconds(model, dataset, steps)
            spent[name][0].append(first)
            spent[name][1].extend(later)
            spent[name][2].append(end)
    print(
        f"{network} at {side}, batch 1: fit in {rounds} rounds of {steps} steps in turn"
    )
    print(
        "input                pairs/s alone  s/step  ratio  s of the first  longest end"
    )
    base = statistics.median(spent["one batch in memory"][1])
    for name, (first, later, end) in spent.items():
        median = statistics.median(later)
        speed = f"{alone[name]:13.0f}" if name in alone else " " * 13
        print(
            f"{name:20} {speed} {median:7.4f} {median / base:6.3f} "
            f"{statistics.median(first):16.2f} {max(end):12.2f}"
        )
    print(
        f"A step uses one pair in {base:.3f} s; in that time files alone give "
        f"{alone['read from files'] * base:.0f} and the memory "
        f"{alone['kept in memory'] * base:.0f} pairs."
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", help="a folder with trainA and trainB")
    parser.add_argument("--network", choices=("unet", "resnet"), default="unet")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.images:
            draw_files(folder, arguments.count, 350)
        measure(
            arguments.images or folder,
            arguments.network,
            arguments.side,
            arguments.rounds,
            arguments.steps,
        )


if __name__ == "__main__":
    main()

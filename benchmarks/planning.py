"""Compares plans with runs: the seconds and memory predicted and measured.

    python benchmarks/planning.py                  # every case, about 12 minutes
    python benchmarks/planning.py style@512 unet@128

Each case runs in a process of its own. It is planned first, then run, with the steps
named here instead of the default ones, to keep it short. A plan is good if it comes
within a quarter of the truth.
"""

import argparse
import os
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from gan_style.hardware.memory import forget_peak, resident_memory

CASES = {
    "style@256": {"size": 256, "steps": [20, 20, 20]},
    "style@512": {"size": 512, "steps": [12, 10, 8, 8, 8]},
    "style@1024": {"size": 1024, "steps": [4], "scales": [1024]},
    "style@1024/tiles": {
        "size": 1024,
        "steps": [3],
        "scales": [1024],
        "memory": "2.2 GB",
    },
    "style@2048/tiles": {
        "size": 2048,
        "steps": [2],
        "scales": [2048],
        "memory": "4 GB",
    },
    "unet@128": {"side": 128, "steps": 15},
    "resnet@128": {"side": 128, "steps": 24},
}


class FullMemory(keras.callbacks.Callback):
    """Fills L-BFGS's memory after the first step of a scale, as ten steps would.

    Pairs of curvature 0 lead nowhere, but take their room.
    """

    def on_train_batch_end(self, batch, logs=None):
        if batch:
            return
        optimizer = self.model.optimizer
        empty = [
            (tf.zeros_like(optimizer.image), tf.zeros_like(optimizer.image), pair[2])
            for pair in optimizer.pairs[:-1]
        ]
        optimizer.pairs = [*empty, optimizer.pairs[-1]]


def style(size, steps, scales=None, memory=None):
    """A run of style transfer: its plan, and the seconds and bytes that it took."""
    from gan_style import StyleTransfer, samples
    from gan_style.style_transfer.planning import plan_style

    transfer = StyleTransfer(
        samples.photograph(size),
        samples.painting(min(size, 512)),
        size=size,
        features={"weights": "hed"},
    )
    plan = plan_style(transfer, memory=memory, steps=steps, scales=scales)
    forget_peak()
    began = time.perf_counter()
    plan.paint(progress=False, callbacks=[FullMemory()])
    return plan, time.perf_counter() - began


def training(network, side, steps):
    """An epoch of a CycleGAN: its plan, and the seconds and bytes that it took."""
    from gan_style import CycleGAN, patch_discriminator
    from gan_style.models.generators import resnet_generator, unet_generator
    from gan_style.training.planning import plan_training

    shape = (side, side, 3)
    builder = {"unet": unet_generator, "resnet": resnet_generator}[network]
    model = CycleGAN(
        *(builder(shape, 32) for _ in "ab"),
        *(patch_discriminator(shape, 32) for _ in "ab"),
        seed=0,
    )
    model.compile()
    rng = np.random.default_rng(0)
    images = [rng.uniform(-1, 1, (steps, *shape)).astype("float32") for _ in "ab"]
    plan = plan_training(model, [p[:1] for p in images], steps, epochs=1)
    forget_peak()
    began = time.perf_counter()
    model.fit(*images, batch_size=1, verbose=0)
    return plan, time.perf_counter() - began


def case(name):
    options = dict(CASES[name])
    network = name.split("@")[0]
    if network == "style":
        plan, seconds = style(**options)
    else:
        plan, seconds = training(network, **options)
    memory = resident_memory(peak=True)
    print(
        f"| {name:<16} | {plan.seconds:6.1f} s | {seconds:6.1f} s "
        f"| {plan.seconds / seconds:4.2f} | {plan.memory / 1e9:5.2f} GB "
        f"| {memory / 1e9:5.2f} GB | {plan.memory / memory:4.2f} |",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        case(options.cases[0])
        return
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"no case {sorted(unknown)}; there are {', '.join(CASES)}")
    print(
        "| case             |  planned |     took | ratio | planned | at peak | ratio |"
    )
    print(
        "|------------------|---------:|---------:|------:|--------:|--------:|------:|"
    )
    for name in options.cases or CASES:
        command = [sys.executable, __file__, name, "--here"]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()

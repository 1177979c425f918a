"""Trains on tiny images for an hour, and looks at whether memory grows.

    python benchmarks/reliability/soak.py               # an hour
    python benchmarks/reliability/soak.py --minutes 5

One call of `fit` with all that usually goes with it: a grid and a film of the test
images, curves of the losses, and a saved model at every epoch. Prints the resident
memory once a minute, and at the end the growth per hour, from a line through the
figures after the first sixth of the time.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from gan_style import CycleGAN, datasets, patch_discriminator, resnet_generator
from gan_style.hardware.memory import resident_memory
from gan_style.training import LossCurves, SaveAndResume, TranslationGrid


class Watch(keras.callbacks.Callback):
    """Notes the resident memory once a minute, and ends the training in time."""

    def __init__(self, minutes):
        super().__init__()
        self.minutes = minutes
        self.noted = []  # (minute, MiB)
        self.step = self.next = 0
        self.epoch = 0

    def on_train_begin(self, logs=None):
        self.begun = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        minute = (time.monotonic() - self.begun) / 60
        if minute >= self.next:
            self.next = int(minute) + 1
            self.noted.append((minute, resident_memory() / 2**20))
            print(
                f"{minute:5.1f} min  step {self.step:7}  epoch {self.epoch:5}  "
                f"{self.noted[-1][1]:8.1f} MiB",
                flush=True,
            )
        if minute >= self.minutes:
            self.model.stop_training = True


def train(folder, watch):
    keras.utils.set_random_seed(0)
    shape = (16, 16, 3)
    networks = [resnet_generator(shape, 4, 1, name=name) for name in ("ab", "ba")]
    networks += [patch_discriminator(shape, 4, name=name) for name in ("a", "b")]
    model = CycleGAN(*networks, seed=0, average_decay=0.99)
    model.compile()
    data = datasets.load("samples/fruit", 16, train_count=100, test_count=2)
    callbacks = [
        SaveAndResume(folder / "training.keras"),
        TranslationGrid(data.test_a, data.test_b, every=5, folder=folder, show=False),
        LossCurves(folder=folder, show=False),
        watch,
    ]
    model.fit(data.train, epochs=10**6, verbose=0, callbacks=callbacks)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    watch = Watch(arguments.minutes)
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder), watch)
    minutes, memory = np.array(watch.noted).T
    warm = minutes >= arguments.minutes / 6
    if warm.sum() < 3:
        print("too short to measure growth")
        return
    growth, _ = np.polyfit(minutes[warm] / 60, memory[warm], 1)
    print(
        f"{watch.step} steps, {watch.epoch + 1} epochs; after warm-up "
        f"{memory[warm].min():.0f} to {memory[warm].max():.0f} MiB, "
        f"growth {growth:+.2f} MiB an hour"
    )


if __name__ == "__main__":
    main()

"""A training and a style transfer's gradient, for test_cpu_paths.py: see `main`."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))
from helpers.cyclegans import small, weights_of

from gan_style import StyleTransfer, datasets, samples


def train(result, steps=4):
    model = small(16, pool_size=2)
    model.compile()
    data = datasets.load("samples/fruit", 16, train_count=steps, test_count=0)
    losses = []

    class Note(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            losses.append([logs[name] * (batch + 1) for name in sorted(logs)])

    model.fit(data.train, verbose=0, callbacks=[Note()])
    # The losses of each step alone, from the means of all so far.
    result["losses"] = np.diff(losses, axis=0, prepend=0)
    for i, weight in enumerate(weights_of(model)):
        result[f"weight {i}"] = weight


def paint(result):
    keras.utils.set_random_seed(0)
    transfer = StyleTransfer(
        samples.photograph(32),
        samples.painting(32),
        content_layers=["relu2_1"],
        style_layers=["relu1_1", "relu2_1"],
        features={"weights": None, "backbone": "vgg16"},
    )
    start = transfer.start("content", 32)[0].numpy()
    terms, result["gradient"] = transfer.loss_and_gradient(start)
    result["terms"] = np.array([*terms.values()])


def main(out, threads, deterministic):
    """Writes losses, weights and a gradient to `out`."""
    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    tf.config.threading.set_inter_op_parallelism_threads(int(threads))
    if deterministic == "yes":
        tf.config.experimental.enable_op_determinism()
    result = {}
    train(result)
    paint(result)
    np.savez(out, **result)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Times each of the package's layers in training beside Keras' own operations.

    python benchmarks/speed/layers.py                   # of this CPU's instructions
    python benchmarks/speed/layers.py --isa avx2
    python benchmarks/speed/layers.py --dtype bfloat16  # where the CPU has it

A row is a layer as the chapters or the paper use it, forward and backward, with
`GAN_STYLE_FAST_CPU` on and off in turn; a ratio below 1 favours "on". "same" means that
both give the same bits: no faster path is chosen. "error" is the relative difference.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import accelerator
import keras
import numpy as np
import tensorflow as tf

from gan_style.layers import Conv2D, InstanceNormalization, UpsampleConv2D


def same(filters, size, **options):
    return lambda: Conv2D(filters, size, use_bias=False, **options)


DOWN = {"strides": 2, "padding": "same"}
LAYERS = {
    # name: (builder, height and width, channels)
    "residual block, chapter 2 (64)": (same(64, 3), 26, 64),
    "residual block, 32 filters, 128 px": (same(128, 3), 34, 128),
    "residual block, 64 filters, 128 px": (same(256, 3), 34, 256),
    "residual block, 64 filters, 256 px": (same(256, 3), 66, 256),
    "ResNet's last convolution, chapter 2": (same(3, 7), 102, 16),
    "ResNet's last convolution, 128 px": (same(3, 7), 134, 64),
    "ResNet's first convolution, 128 px": (same(64, 7), 134, 3),
    "U-Net, up to 16 px": (lambda: UpsampleConv2D(128), 8, 256),
    "U-Net, up to 32 px": (lambda: UpsampleConv2D(64), 16, 256),
    "U-Net, up to 64 px": (lambda: UpsampleConv2D(32), 32, 128),
    "U-Net, up to 128 px": (lambda: UpsampleConv2D(3), 64, 64),
    "U-Net of 64 filters, up to 64 px": (lambda: UpsampleConv2D(64), 32, 256),
    "U-Net, down from 64 px": (same(64, 4, **DOWN), 64, 32),
    "PatchGAN, down from 32 px": (same(128, 4, **DOWN), 32, 64),
    "PatchGAN of 64 filters, stride 1": (same(512, 4, padding="same"), 16, 256),
    "instance norm, 64 px, 64 channels": (InstanceNormalization, 64, 64),
    "instance norm, 32 px, 256 channels": (InstanceNormalization, 32, 256),
}


def step(builder, side, channels, dtype, fast):
    """A compiled forward and backward pass, and its gradients."""
    os.environ["GAN_STYLE_FAST_CPU"] = "1" if fast else "0"
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(1, side, side, channels)).astype("float32")
    images = tf.cast(images, dtype)
    layer = builder()
    layer.dtype_policy = f"mixed_{dtype}" if dtype != "float32" else dtype
    shape = layer(images).shape

    upstream = tf.cast(rng.normal(size=shape), dtype)

    @tf.function
    def train():
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, training=True)
        sources = [images, *(v.value for v in layer.trainable_variables)]
        return tape.gradient(outputs, sources, tf.cast(upstream, outputs.dtype))

    gradients = train()  # traced now, while the switch is as it should be
    return train, gradients


def seconds(train, repeats):
    begun = time.perf_counter()
    for _ in range(repeats):
        gradients = train()
    accelerator.wait(tf.reduce_sum(gradients[0]))
    return (time.perf_counter() - begun) / repeats


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    accelerator.add_isa_option(parser)
    arguments = parser.parse_args()
    accelerator.limit_isa(arguments.isa)
    print(f"{'layer':38}{'fast ms':>9}{'plain ms':>9}{'ratio':>7}{'error':>9}")
    for name, (builder, side, channels) in LAYERS.items():
        ways = [
            step(builder, side, channels, arguments.dtype, f) for f in (True, False)
        ]
        (fast, ours), (plain, theirs) = ways
        error = max(
            float(tf.norm(tf.cast(a - b, "float32")) / tf.norm(tf.cast(b, "float32")))
            for a, b in zip(ours, theirs, strict=True)
        )
        repeats = max(3, int(0.03 / seconds(plain, 3)))
        pairs = [
            (seconds(fast, repeats), seconds(plain, repeats))
            for _ in range(arguments.rounds)
        ]
        medians = [
            1000 * statistics.median(times) for times in zip(*pairs, strict=True)
        ]
        ratio = statistics.median(a / b for a, b in pairs)
        verdict = "   same" if error == 0 else f"{ratio:7.2f}"
        print(
            f"{name:38}{medians[0]:9.2f}{medians[1]:9.2f}{verdict}{error:9.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()

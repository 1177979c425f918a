"""Times CycleGAN's training step beside the tutorials' way and PyTorch.

    python benchmarks/cyclegan.py                 # both networks at 128 pixels
    python benchmarks/cyclegan.py resnet@256      # ResNet-9 at 256 pixels
    python benchmarks/cyclegan.py --bfloat16 yes  # also where that is only emulated

All variants run in one process, in turn, several times, so that a machine that gets
faster or slower does so for all of them; figures are medians and ratios. Peak memory
comes from a process of its own for every variant. "Peak" is the fastest convolution
that TensorFlow reaches here in the same run, in multiply-adds; "share" is the part of
it that the step's nominal ones (those of the plain networks) amount to.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import rivals
import tensorflow as tf

from gan_style import CycleGAN, patch_discriminator, resnet_generator, unet_generator
from gan_style.budgets import resident_memory
from gan_style.devices import recommend

NETWORKS = {
    # name: (builder, tutorial's builder, filters, discriminators' filters)
    "unet": (unet_generator, rivals.tutorial_unet, 32, 32),
    "resnet": (resnet_generator, rivals.tutorial_resnet, 64, 64),
}
VARIANTS = (
    "ours float32",
    "ours bfloat16",
    "tutorial float32",
    "pytorch float32",
    "pytorch bfloat16",
)


def pictures(side, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(rng.uniform(-1, 1, (1, side, side, 3)).astype("float32") for _ in "ab")


def our_step(network, side, policy):
    builder, _, filters, discriminator_filters = NETWORKS[network]
    keras.config.set_dtype_policy(policy)
    shape = (side, side, 3)
    model = CycleGAN(
        builder(shape, filters),
        builder(shape, filters),
        patch_discriminator(shape, discriminator_filters),
        patch_discriminator(shape, discriminator_filters),
        seed=0,
    )
    model.compile()
    keras.config.set_dtype_policy("float32")
    step = tf.function(lambda a, b: model.train_step((a, b)))
    return lambda a, b: step(a, b)["generators"].numpy()


def make(variant, network, side):
    """A function of two batches that does one training step, or None."""
    keras.utils.set_random_seed(0)
    who, precision = variant.split()
    _, tutorial, filters, discriminator_filters = NETWORKS[network]
    shape = (side, side, 3)
    if who == "ours":
        policy = "float32" if precision == "float32" else "mixed_bfloat16"
        return our_step(network, side, policy)
    if who == "tutorial":
        return rivals.tutorial_step(tutorial, shape, filters, discriminator_filters)
    return rivals.torch_step(
        network, shape, filters, discriminator_filters, precision == "bfloat16"
    )


def convolution_peak(dtype, seconds=2.0):
    """Multiply-adds per second of the fastest of three large convolutions."""
    best = 0.0
    for side, channels in ((64, 128), (32, 256), (128, 64)):
        x = tf.cast(tf.random.normal((2, side, side, channels)), dtype)
        kernel = tf.cast(tf.random.normal((3, 3, channels, channels)), dtype)
        convolve = tf.function(lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"))
        convolve(x, kernel)
        work, end = 2 * side * side * 9 * channels**2, time.perf_counter() + seconds / 3
        while time.perf_counter() < end:
            start = time.perf_counter()
            convolve(x, kernel).numpy()
            best = max(best, work / (time.perf_counter() - start))
    return best


def multiplications(model):
    """Multiply-adds of one picture through the convolutions of a plain network."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2DTranspose):
            total += np.prod(layer.kernel.shape) * np.prod(layer.input.shape[1:3])
        elif isinstance(layer, keras.layers.Conv2D):
            total += np.prod(layer.kernel.shape) * np.prod(layer.output.shape[1:3])
    return int(total)


def step_multiplications(network, side):
    """Of a whole step: forward, to the inputs, to the kernels."""
    _, tutorial, filters, discriminator_filters = NETWORKS[network]
    g = multiplications(tutorial((side, side, 3), filters))
    d = multiplications(
        rivals.tutorial_discriminator((side, side, 3), discriminator_filters)
    )
    # Generators: six passes, all three directions. Discriminators: forward and
    # backward to the fake for the generators, then two pictures each with kernels.
    return 6 * 3 * g + 2 * 2 * d + 4 * 3 * d


def seconds(step, batch, repeats):
    start = time.perf_counter()
    for _ in range(repeats):
        step(*batch)
    return (time.perf_counter() - start) / repeats


def peak_memory(variant, network, side):
    """MiB of resident memory at most, in a process of its own."""
    command = [sys.executable, __file__, f"{network}@{side}", "--memory-of", variant]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(out.split()[-1])


def chosen_variants(bfloat16):
    """Leaves bfloat16 out where a device without instructions for it takes minutes."""
    policy, _, reason = recommend()
    if bfloat16 == "yes" or (bfloat16 == "auto" and policy == "mixed_bfloat16"):
        return VARIANTS
    print(f"bfloat16: left out. {reason} --bfloat16 yes measures it all the same.")
    return tuple(v for v in VARIANTS if not v.endswith("bfloat16"))


def compare(network, side, rounds, repeats, variants):
    steps, times, batch = {}, {}, pictures(side)
    for variant in variants:
        step = make(variant, network, side)
        if step is None:
            print(f"{variant}: skipped, PyTorch is not installed")
            continue
        step(*batch), step(*batch)
        steps[variant], times[variant] = step, []
    peaks = {name: convolution_peak(name) for name in {v.split()[1] for v in variants}}
    for _ in range(rounds):
        for variant, step in steps.items():
            times[variant].append(seconds(step, batch, repeats))
    for name, peak in peaks.items():
        peaks[name] = max(peak, convolution_peak(name))

    work = step_multiplications(network, side)
    print(f"\n## {network} at {side}, one step of batch 1, {rounds} rounds")
    for name, peak in sorted(peaks.items(), reverse=True):
        print(f"convolution peak, {name}: {peak / 1e9:.0f} thousand million a second")
    print(
        f"{'variant':18} {'median s':>9} {'/tutorial':>9} {'/pytorch':>9} "
        f"{'share':>6} {'MiB':>6}"
    )
    medians = {name: statistics.median(t) for name, t in times.items()}
    for name, median in medians.items():
        ratios = [
            f"{median / medians[base]:9.2f}" if base in medians else " " * 9
            for base in ("tutorial float32", "pytorch float32")
        ]
        share = work / median / peaks[name.split()[1]]
        memory = peak_memory(name, network, side)
        print(
            f"{name:18} {median:9.4f} {' '.join(ratios)} {share:6.2f} {memory:6.0f}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", default=["unet@128", "resnet@128"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--bfloat16", choices=("auto", "yes", "no"), default="auto")
    parser.add_argument("--memory-of", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.memory_of:
        variants = chosen_variants(arguments.bfloat16)
    for what in arguments.what:
        network, _, side = what.partition("@")
        side = int(side or 128)
        if arguments.memory_of:
            step, batch = make(arguments.memory_of, network, side), pictures(side)
            seconds(step, batch, 3)
            print(resident_memory(peak=True) / 2**20)
            return
        repeats = 5 if network == "unet" else 1
        compare(network, side, arguments.rounds, repeats, variants)


if __name__ == "__main__":
    main()

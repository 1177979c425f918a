"""Times CycleGAN's training step beside the tutorials' and PyTorch's.

    python benchmarks/speed/cyclegan.py                 # both networks at 128 pixels
    python benchmarks/speed/cyclegan.py resnet@256      # ResNet-9 at 256 pixels
    python benchmarks/speed/cyclegan.py --bfloat16 yes  # also where it is only emulated
    python benchmarks/speed/cyclegan.py --xla yes       # also compiled by XLA
    python benchmarks/speed/cyclegan.py --isa avx2      # as on a CPU without AVX-512

All variants alternate in one process, so that a machine that gets faster or slower does
so for all of them; figures are medians and ratios. Peak memory is that of a separate
process per variant (PyTorch's includes TensorFlow's import, 0.6 GB), on a GPU that of
the first steps. "Peak" is the fastest convolution that TensorFlow reaches in the same
run, in multiply-adds; "share" is the nominal multiply-adds of the step (those of the
plain networks) divided by it: more than 1 where the step needs fewer.

On a GPU, all variants run on it, memory is the GPU's, and the steps compiled by XLA
("xla") are included; `--batch 8` shows the throughput that a batch of 1 does not use.
"Compiled" is PyTorch with `torch.compile`, which needs a C++ compiler on a CPU.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import accelerator
import keras
import numpy as np
import rivals
import tensorflow as tf

from gan_style import CycleGAN, patch_discriminator, resnet_generator, unet_generator
from gan_style.hardware.devices import recommend
from gan_style.hardware.memory import resident_memory

NETWORKS = {
    # name: (builder, tutorial's builder, filters, discriminators' filters)
    "unet": (unet_generator, rivals.tutorial_unet, 32, 32),
    "resnet": (resnet_generator, rivals.tutorial_resnet, 64, 64),
}
VARIANTS = (
    "ours float32",
    "ours float32 xla",
    "ours bfloat16",
    "ours bfloat16 xla",
    "tutorial float32",
    "tutorial float32 xla",
    "pytorch float32",
    "pytorch bfloat16",
    "pytorch float32 compiled",
    "pytorch bfloat16 compiled",
)


def images(side, batch=1, seed=0):
    rng = np.random.default_rng(seed)
    shape = (batch, side, side, 3)
    return tuple(rng.uniform(-1, 1, shape).astype("float32") for _ in "ab")


def our_step(network, side, policy, jit_compile):
    builder, _, filters, discriminator_filters = NETWORKS[network]
    keras.config.set_dtype_policy(policy)
    shape = (side, side, 3)
    model = CycleGAN(
        builder(shape, filters),
        builder(shape, filters),
        patch_discriminator(shape, discriminator_filters),
        patch_discriminator(shape, discriminator_filters),
        seed=0,
        average_decay=None,  # the other variants keep no averages
    )
    model.compile()
    keras.config.set_dtype_policy("float32")
    step = tf.function(
        lambda a, b: model.train_step((a, b))["generators"], jit_compile=jit_compile
    )
    return step


def make(variant, network, side):
    """A function of two batches that does one training step, or None."""
    keras.utils.set_random_seed(0)
    who, precision, *compiled = variant.split()
    _, tutorial, filters, discriminator_filters = NETWORKS[network]
    shape = (side, side, 3)
    if who == "ours":
        policy = "float32" if precision == "float32" else "mixed_bfloat16"
        return our_step(network, side, policy, bool(compiled))
    if who == "tutorial":
        return rivals.tutorial_step(
            tutorial, shape, filters, discriminator_filters, jit_compile=bool(compiled)
        )
    bfloat16 = precision == "bfloat16"
    return rivals.torch_step(
        network, shape, filters, discriminator_filters, bfloat16, bool(compiled)
    )


def convolution_peak(dtype, seconds=2.0):
    """Multiply-adds per second of the fastest of three large convolutions."""
    best, batch, calls = (0.0, 2, 1) if not accelerator.gpu_name() else (0.0, 32, 20)
    for side, channels in ((64, 128), (32, 256), (128, 64)):
        x = tf.cast(tf.random.normal((batch, side, side, channels)), dtype)
        kernel = tf.cast(tf.random.normal((3, 3, channels, channels)), dtype)
        convolve = tf.function(lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"))
        convolve(x, kernel)
        work = batch * side * side * 9 * channels**2
        end = time.perf_counter() + seconds / 3
        while time.perf_counter() < end:
            start = time.perf_counter()
            for _ in range(calls):
                y = convolve(x, kernel)
            accelerator.wait(y[0, 0, 0, 0])
            best = max(best, calls * work / (time.perf_counter() - start))
    return best


def multiplications(model):
    """Multiply-adds of one image through the convolutions of a plain network."""
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
    # backward to the fake for the generators, then two images each with kernels.
    return 6 * 3 * g + 2 * 2 * d + 4 * 3 * d


def seconds(step, batch, repeats):
    start = time.perf_counter()
    for _ in range(repeats):
        loss = step(*batch)
    accelerator.wait(loss)
    return (time.perf_counter() - start) / repeats


def peak_memory(variant, network, side, batch):
    """Peak MiB of resident memory, in a separate process."""
    command = [sys.executable, __file__, f"{network}@{side}", "--memory-of", variant]
    command += ["--batch", str(batch)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(out.split()[-1])


def built(variant, network, side, batch):
    """A step that has run twice, or None; and its peak MiB on a GPU, or None.

    Resident memory is measured by `peak_memory`, in a separate process.
    """

    def warm_up():
        step = make(variant, network, side)
        if step is None:
            print(f"{variant}: skipped, PyTorch is not installed")
            return None
        try:
            accelerator.wait(step(*batch)), accelerator.wait(step(*batch))
        except RuntimeError as error:  # of torch.compile
            if not variant.startswith("pytorch") or not variant.endswith("compiled"):
                raise
            print(f"{variant}: skipped, it cannot be compiled here: {error}")
            return None
        return step

    begun, mib = time.perf_counter(), None
    if accelerator.gpu_name():
        with accelerator.GpuMemory() as memory:
            step = warm_up()
        mib = memory.bytes / 2**20
    else:
        step = warm_up()
    if step is not None:
        took = time.perf_counter() - begun
        print(f"{variant}: built, and run twice, in {took:.0f} s", flush=True)
    return step, mib


def chosen_variants(bfloat16, xla):
    """Leaves out what is emulated on a device, or needs minutes to compile."""
    policy, jit_compile, reason = recommend()
    variants = VARIANTS
    if xla == "no" or (xla == "auto" and not jit_compile):
        variants = tuple(v for v in variants if not v.endswith("xla"))
    if bfloat16 == "yes" or (bfloat16 == "auto" and policy == "mixed_bfloat16"):
        return variants
    print(f"bfloat16: left out. {reason} --bfloat16 yes includes it.")
    return tuple(v for v in variants if "bfloat16" not in v)


def compare(network, side, rounds, repeats, variants, count=1):
    steps, times, memory, batch = {}, {}, {}, images(side, count)
    for variant in variants:
        step, memory[variant] = built(variant, network, side, batch)
        if step is None:
            continue
        steps[variant], times[variant] = step, []
    # TensorFlow refuses convolutions in bfloat16 where the device has none.
    own = {v.split()[1] for v in steps if not v.startswith("pytorch")}
    peaks = {name: convolution_peak(name) for name in own}
    for _ in range(rounds):
        for variant, step in steps.items():
            times[variant].append(seconds(step, batch, repeats))
    for name, peak in peaks.items():
        peaks[name] = max(peak, convolution_peak(name))

    work = count * step_multiplications(network, side)
    print(f"\n## {network} at {side}, one step of batch {count}, {rounds} rounds")
    for name, peak in sorted(peaks.items(), reverse=True):
        print(f"convolution peak, {name}: {peak / 1e9:.0f} thousand million a second")
    print(
        f"{'variant':20} {'median s':>9} {'/tutorial':>9} {'/pytorch':>9} "
        f"{'share':>6} {'MiB':>6}"
    )
    medians = {name: statistics.median(t) for name, t in times.items()}
    for name, median in medians.items():
        ratios = [
            f"{median / medians[base]:9.2f}" if base in medians else " " * 9
            for base in ("tutorial float32", "pytorch float32")
        ]
        share = work / median / peaks.get(name.split()[1], float("nan"))
        mib = memory[name] or peak_memory(name, network, side, count)
        print(
            f"{name:20} {median:9.4f} {' '.join(ratios)} {share:6.2f} {mib:6.0f}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", default=["unet@128", "resnet@128"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--bfloat16", choices=("auto", "yes", "no"), default="auto")
    parser.add_argument("--xla", choices=("auto", "yes", "no"), default="auto")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--memory-of", choices=VARIANTS, help=argparse.SUPPRESS)
    accelerator.add_isa_option(parser)
    arguments = parser.parse_args()
    accelerator.limit_isa(arguments.isa)
    if not arguments.memory_of:
        if name := accelerator.gpu_name():
            print(name)
        variants = arguments.variants
        if not variants:
            variants = chosen_variants(arguments.bfloat16, arguments.xla)
    for what in arguments.what:
        network, _, side = what.partition("@")
        side = int(side or 128)
        if arguments.memory_of:
            step = make(arguments.memory_of, network, side)
            seconds(step, images(side, arguments.batch), 3)
            print(resident_memory(peak=True) / 2**20)
            return
        repeats = 5 if network == "unet" else 1
        if accelerator.gpu_name():
            repeats = 20
        compare(network, side, arguments.rounds, repeats, variants, arguments.batch)


if __name__ == "__main__":
    main()

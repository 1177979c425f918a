"""What the allocator costs in a training: seconds, system time and page faults.

Runs chapter 1's training (U-Net, 128 px, 32 filters, drawn fruit) in a fresh Jupyter
kernel for each way of allocating memory, in turn:

    python benchmarks/speed/page_faults.py --steps 200 --rounds 2
    python benchmarks/speed/page_faults.py --isa avx2
"""

import argparse
import json
import os
import statistics

import accelerator
from jupyter_client.manager import start_new_kernel

WAYS = {
    "default": {},
    "pooling allocator": {"TF_CPU_ALLOCATOR_USE_BFC": "1"},
    "huge pages": {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
}
# Before the training: `from_generator`, whose operation changes the process's malloc.
PATCH = """
import tensorflow as tf
list(tf.data.Dataset.from_generator(lambda: [0], output_types="int32"))
"""

TRAINING = """
import json, resource, time
import keras
from gan_style import (
    CycleGAN, constant_then_linear, datasets, patch_discriminator, unet_generator
)

SIZE, STEPS = {size}, {steps}
keras.utils.set_random_seed(1)
data = datasets.load("samples/fruit", SIZE, seed=1, train_count=100, test_count=2)
shape = (SIZE, SIZE, 3)
model = CycleGAN(
    unet_generator(shape, 32, name="ab"), unet_generator(shape, 32, name="ba"),
    patch_discriminator(shape, 32, name="a"), patch_discriminator(shape, 32, name="b"),
    seed=1,
)
adam = lambda: keras.optimizers.Adam(2e-4, beta_1=0.5)
model.compile(adam(), adam())
model.fit(data.train, steps_per_epoch=10, verbose=0)  # traces, and draws the images
before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
history = model.fit(data.train, steps_per_epoch=STEPS, verbose=0)
seconds = time.perf_counter() - began
after = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({{
    "seconds a step": seconds / STEPS,
    "user s": after.ru_utime - before.ru_utime,
    "system s": after.ru_stime - before.ru_stime,
    "page faults": after.ru_minflt - before.ru_minflt,
    "peak MB": after.ru_maxrss / 1024,
    "loss": history.history["generators"][0],
}}))
"""


def run(environment, size, steps, before=""):
    """One training in a kernel of its own; returns what it measured."""
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    manager, client = start_new_kernel(env=env)
    printed = []

    def keep(message):
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            printed.append(message["content"]["text"])

    try:
        code = before + TRAINING.format(size=size, steps=steps)
        reply = client.execute_interactive(code, output_hook=keep, timeout=3600)
        if reply["content"]["status"] != "ok":
            raise RuntimeError(reply["content"].get("evalue", "the kernel failed"))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return json.loads("".join(printed).splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=2)
    accelerator.add_isa_option(parser)
    options = parser.parse_args()
    limit = accelerator.isa_limits(options.isa)
    ways = {way: (environment, "") for way, environment in WAYS.items()}
    ways["default, after from_generator"] = {}, PATCH
    results = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way, (environment, before) in ways.items():
            environment = {**environment, **limit}
            measured = run(environment, options.size, options.steps, before)
            results[way].append(measured)
    names = [*next(iter(results.values()))[0]]
    print("| |", " | ".join(names), "| system / user |")
    print("|---" * (len(names) + 2) + "|")
    for way, runs in results.items():
        median = {name: statistics.median(r[name] for r in runs) for name in names}
        share = median["system s"] / median["user s"]
        row = [f"{median[name]:,.3f}" for name in names]
        print(f"| {way} |", " | ".join(row), f"| {share:.2f} |")


if __name__ == "__main__":
    main()

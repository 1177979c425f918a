"""Which precision and which compiler suit the device that this machine has."""

import os
from typing import NamedTuple


class Recommendation(NamedTuple):
    """What `recommend` gives.

    Attributes:
        policy: for `keras.config.set_dtype_policy`.
        jit_compile: for `CycleGAN.compile`.
        reason: one sentence.
    """

    policy: str
    jit_compile: bool
    reason: str


def recommend():
    """Looks at the device that TensorFlow will train on, and recommends for it.

    Float32 is the reference, and always right; a mixed policy computes convolutions in
    16 bits and keeps weights, losses and statistics in 32. It pays where the device has
    instructions for it, and costs time where it has none.

    Returns:
        A `Recommendation`.

    >>> policy, jit_compile, reason = recommend()
    >>> policy in ("float32", "mixed_bfloat16", "mixed_float16")
    True
    """
    import tensorflow as tf

    gpus = [
        tf.config.experimental.get_device_details(gpu)
        for gpu in tf.config.get_visible_devices("GPU")
    ]
    # TensorFlow's fast bfloat16 on a CPU is oneDNN's, which this variable switches off.
    onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() not in ("0", "false")
    return choose(gpus, cpu_flags() if onednn else frozenset())


def choose(gpus, flags):
    """Decides by what is there.

    Args:
        gpus: for each visible GPU what `tf.config.experimental.get_device_details`
            says: a dict that may have "device_name" and "compute_capability".
        flags: names of the CPU's instruction sets, as Linux spells them.

    Returns:
        A `Recommendation`. Several GPUs have to suit all: the oldest decides.

    >>> choose([{"device_name": "T4", "compute_capability": (7, 5)}], set()).policy
    'mixed_float16'
    >>> choose([], {"avx2", "avx512_bf16"}).reason
    'The CPU has bfloat16 instructions (avx512_bf16).'
    """
    if gpus:
        oldest = min(gpus, key=lambda gpu: gpu.get("compute_capability") or (0, 0))
        return _for_gpu(
            oldest.get("device_name", "The GPU"), oldest.get("compute_capability")
        )
    found = sorted({"avx512_bf16", "amx_bf16"} & set(flags))
    if found:
        reason = f"The CPU has bfloat16 instructions ({', '.join(found)})."
        return Recommendation("mixed_bfloat16", False, reason)
    reason = (
        "The CPU shows no bfloat16 instructions, without which 16 bits are slower "
        "than 32."
    )
    return Recommendation("float32", False, reason)


def _for_gpu(name, capability):
    if capability is None:
        # Apple's and others' plugins, on which XLA is not to be relied on either.
        reason = (
            f"{name} does not tell its compute capability, so the reference it is: "
            "try mixed_bfloat16 and measure."
        )
        return Recommendation("float32", False, reason)
    level = ".".join(map(str, capability))
    if capability >= (8, 0):
        reason = f"{name} (compute capability {level}) has bfloat16 tensor cores."
        return Recommendation("mixed_bfloat16", True, reason)
    if capability >= (7, 0):
        reason = (
            f"{name} (compute capability {level}) has tensor cores for float16 but not "
            "for bfloat16; CycleGAN.compile scales the losses for it."
        )
        return Recommendation("mixed_float16", True, reason)
    reason = f"{name} (compute capability {level}) has no tensor cores."
    return Recommendation("float32", True, reason)


def cpu_flags(path="/proc/cpuinfo"):
    """The CPU's instruction sets, as Linux on Intel and AMD lists them.

    Returns:
        A frozenset of names; an empty one where there is no such list: macOS, Windows,
        and ARM, whose bfloat16 TensorFlow does not use by itself.

    >>> "avx512_bf16" in cpu_flags() or "avx512_bf16" not in cpu_flags()
    True
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, values = line.partition(":")
                if name.strip() == "flags":
                    return frozenset(values.split())
    except OSError:
        pass  # another system
    return frozenset()

"""The GPU of a benchmark: whether there is one, and the memory it uses.

Import it before TensorFlow runs anything: TensorFlow would reserve all of the GPU's
memory and leave none to PyTorch, which alternates with it.
"""

import functools
import os
import sys

import numpy as np
import tensorflow as tf

from gan_style.hardware.memory import resident_memory

for _gpu in tf.config.list_physical_devices("GPU"):
    tf.config.experimental.set_memory_growth(_gpu, True)


@functools.cache
def pytorch():
    """PyTorch, or None. Imported late: others' memory is measured without it."""
    try:
        import torch
    except ImportError:
        return None
    return torch


def add_isa_option(parser):
    """Adds `--isa`, which `limit_isa` obeys."""
    parser.add_argument(
        "--isa", choices=("avx2",), help="as if the CPU had no instructions beyond"
    )


def isa_limits(isa):
    """The environment that limits the libraries' instructions; none for None.

    oneDNN, which computes convolutions for TensorFlow and PyTorch, and PyTorch's own
    kernels read it.
    """
    limits = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    return limits if isa else {}


def limit_isa(isa):
    """Starts this program again under `isa_limits`, unless they hold already."""
    limits = isa_limits(isa)
    if any(os.environ.get(name) != value for name, value in limits.items()):
        os.environ.update(limits)
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.argv])


def gpu_name():
    """The GPU that TensorFlow trains on, or None."""
    gpus = tf.config.list_logical_devices("GPU")
    if not gpus:
        return None
    device = tf.config.list_physical_devices("GPU")[0]
    return tf.config.experimental.get_device_details(device).get("device_name", "GPU")


def torch_device():
    """The device on which PyTorch runs: the one that TensorFlow uses."""
    torch = pytorch()
    if gpu_name() and torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True  # as its users train
        return "cuda"
    return "cpu"


def wait(result):
    """Waits for a device: a step returns before its work is done."""
    if hasattr(result, "detach"):
        result = result.detach().cpu()
    elif tf.is_tensor(result):
        result = tf.cast(result, "float32")  # NumPy lacks bfloat16
    return float(np.ravel(result)[-1])


def peak_memory():
    """Peak bytes of this process: of the GPU where there is one, else resident."""
    return sum(_gpu_memory("peak")) if gpu_name() else resident_memory(peak=True)


class GpuMemory:
    """The peak of GPU memory that a `with` block allocates: `bytes`.

    Memory allocated before it is not counted.
    """

    def __enter__(self):
        tf.config.experimental.reset_memory_stats("GPU:0")
        if (torch := _torch_in_use()) is not None:
            torch.cuda.reset_peak_memory_stats()
        self.before = sum(_gpu_memory("current"))
        return self

    def __exit__(self, *_):
        self.bytes = sum(_gpu_memory("peak")) - self.before


def _torch_in_use():
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_initialized() else None


def _gpu_memory(when):
    yield tf.config.experimental.get_memory_info("GPU:0")[when]
    if (torch := _torch_in_use()) is not None:
        yield (
            torch.cuda.max_memory_allocated()
            if when == "peak"
            else torch.cuda.memory_allocated()
        )

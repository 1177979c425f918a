"""Memory and time: what this machine has, budgets in words, and what spares memory."""

import contextlib
import math
import re
from pathlib import Path

import keras
import lazy_loader
import psutil

from gan_style.utils.checks import refused

_UNITS = {
    "time": {"s": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600},
    "memory": {"mb": 1e6, "gb": 1e9, "mib": 2**20, "gib": 2**30},
}
_EXAMPLES = {"time": "'3 minutes' or 180 (seconds)", "memory": "'4 GB' or 4e9 (bytes)"}
# (limit, in use, details) of a container, in both versions of Linux' control groups.
_CGROUPS = (
    ("memory.max", "memory.current", "memory.stat"),
    [f"memory/memory.{x}" for x in ("limit_in_bytes", "usage_in_bytes", "stat")],
)
tf = lazy_loader.load("tensorflow")  # at its first use: Keras has other backends


class DoesNotFit(ValueError):
    """No run of the requested kind fits a budget; the message names what would fit."""


def available_memory():
    """Return the bytes that this machine has left, within its container's limits."""
    available = psutil.virtual_memory().available
    for paths in _CGROUPS:
        limit, used, stat = (read_text(f"/sys/fs/cgroup/{x}").strip() for x in paths)
        if limit.isdigit() and used.isdigit():
            # Files in memory count as used, though the system gives them up.
            files = re.search(r"^inactive_file (\d+)", f"{stat}\ninactive_file 0", re.M)
            available = min(available, max(0, int(limit) - int(used) + int(files[1])))
    return float(available)


def budget(name, value):
    """Return seconds or bytes, a float, of a budget such as 90, "90 s" or "4 GB"."""
    amount = value
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([a-z]+?)s?\s*", value.lower())
        unit = match and _UNITS[name].get(match[2])
        amount = float(match[1]) * unit if unit else None
    number = isinstance(amount, int | float) and not isinstance(amount, bool)
    if not number or not 0 < amount < math.inf:
        raise refused("plan", name, value, f"a positive amount: {_EXAMPLES[name]}")
    return float(amount)


def say_seconds(seconds):
    """Return a duration in words, such as "8 s", "2 min 40 s" or "1 h 30 min"."""
    if seconds < 59.5:
        return f"{seconds:.{int(seconds < 1)}f} s"
    if seconds < 3599.5:
        return "{} min {} s".format(*divmod(round(seconds), 60))
    return "{} h {} min".format(*divmod(round(seconds / 60), 60))


def resident_memory(peak=False):
    """Return the bytes of this process in memory: now, or the most so far."""
    memory = psutil.Process().memory_info()
    if not peak or psutil.WINDOWS:
        return float(memory.peak_wset if peak else memory.rss)
    if match := re.search(r"^VmHWM:\s*(\d+)", read_text("/proc/self/status"), re.M):
        return 1024.0 * int(match[1])
    import resource  # which Windows lacks

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most) if psutil.MACOS else 1024.0 * most  # in bytes on macOS


def forget_peak():
    """Restart the peak of `resident_memory`, where the system allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def memory_limit(memory):
    """Return the most bytes that the process may use, with those it uses already."""
    if memory is not None:
        return budget("memory", memory)
    return 0.9 * available_memory() + resident_memory()


def run_after(awaited, *tensors):
    """Return the tensors such that TensorFlow computes them after those awaited.

    Each gains a number that is always 0, which TensorFlow cannot know: its optimizer
    removes plain control dependencies, and with them the order of reads and writes.
    """
    token = tf.add_n([tf.reshape(tensor, (-1,))[0] for tensor in awaited])
    zero = tf.minimum(tf.cast(tf.math.is_nan(token), "float32"), 0.0)
    return [tensor + tf.cast(zero, tensor.dtype) for tensor in tensors]


def in_turn(awaited, *images):
    """As `run_after`; but nothing waits if a batch has at most 128 x 128 pixels."""
    sizes = [math.prod(n or math.inf for n in batch.shape[:3]) for batch in images]
    return images if max(sizes) <= 128**2 else run_after(awaited, *images)


def write_rows(variable, rows, values):
    """Write some rows of a variable: with TensorFlow in place, without a copy of it."""
    if keras.backend.backend() == "tensorflow":
        variable.value.scatter_update(tf.IndexedSlices(values, rows))
    else:
        variable.assign(keras.ops.scatter_update(variable, rows[:, None], values))


def read_text(path):
    """Return the text of one of the system's files, or "" where it is missing."""
    with contextlib.suppress(OSError):
        return Path(path).read_text(errors="replace")
    return ""

"""Budgets of time and memory in a person's words, and what a machine has of them."""

import math
import os
import re
from pathlib import Path
from typing import NamedTuple

_UNITS = {
    "time": {"s": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600},
    "memory": {"mb": 1e6, "gb": 1e9, "mib": 2**20, "gib": 2**30},
}
_EXAMPLES = {"time": "'3 minutes' or 180 (seconds)", "memory": "'4 GB' or 4e9 (bytes)"}


class DoesNotFit(ValueError):
    """No run of the kind asked for fits a budget: says the least, and what fits."""


class Machine(NamedTuple):
    """Where a run takes place: its `cores`, and the bytes of `memory` left to it.

    `memory` is None where it cannot be told: then nothing is held to it.
    """

    cores: int
    memory: float | None


def this_machine():
    """Looks at the machine: its cores and the memory left, in a container its share.

    >>> this_machine().cores >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    left = [_memory_available(), _memory_of_container()]
    return Machine(cores, min((m for m in left if m is not None), default=None))


def budget(name, value):
    """Reads a budget: a number, or a number and a unit.

    Args:
        name: "time" or "memory".
        value: seconds or bytes, or a word such as "3 minutes", "90 s", "4 GB".

    Returns:
        A float: seconds or bytes.

    Raises:
        ValueError: for what is neither, or not positive.

    >>> budget("time", "1.5 minutes"), budget("memory", "4 GB")
    (90.0, 4000000000.0)
    """
    amount = value
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([\d.]+)\s*([a-z]+?)s?\s*", value.lower())
        # "s" itself is a unit, not a plural.
        match = match or re.fullmatch(r"\s*([\d.]+)\s*(s)\s*", value.lower())
        unit = _UNITS[name].get(match[2]) if match else None
        try:
            amount = float(match[1]) * unit if unit else None
        except ValueError:  # "1.2.3"
            amount = None
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        amount = None
    if amount is None or not 0 < amount < float("inf"):
        raise ValueError(
            f"{name}: got {value!r}, expected a positive amount such as "
            f"{_EXAMPLES[name]}."
        )
    return float(amount)


def say_seconds(seconds):
    """Says a time as a person would.

    >>> say_seconds(8.4), say_seconds(160), say_seconds(5400)
    ('8 s', '2 min 40 s', '1 h 30 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s" if seconds < 1 else f"{seconds:.0f} s"
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def resident_memory(peak=False):
    """Bytes that this process has in memory, now or at most so far; None if unknown.

    >>> resident_memory() is None or resident_memory() > 1e6
    True
    """
    status = _read("/proc/self/status")
    match = re.search(rf"^{'VmHWM' if peak else 'VmRSS'}:\s*(\d+)", status, re.M)
    if match:
        return 1024.0 * int(match[1])
    try:
        import resource
    except ImportError:
        return None
    # Outside Linux there is the peak alone; macOS counts it in bytes.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most) if os.uname().sysname == "Darwin" else 1024.0 * most


def forget_peak():
    """Starts the peak of `resident_memory` afresh, where the system allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _memory_available():
    match = re.search(r"^MemAvailable:\s*(\d+)", _read("/proc/meminfo"), re.M)
    if match:
        return 1024.0 * int(match[1])
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" in names:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return None


def _memory_of_container():
    for most, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        limit, taken = _read(most).strip(), _read(used).strip()
        if limit.isdigit() and taken.isdigit():
            return float(max(0, int(limit) - int(taken)))
    return None


def _read(path):
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def memory_limit(memory, machine):
    """The bytes that the process may come to, what it has already included."""
    if memory is not None:
        return budget("memory", memory)
    left = (machine or this_machine()).memory
    return math.inf if left is None else 0.9 * left + (resident_memory() or 0)

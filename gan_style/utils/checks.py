"""Checks of arguments: each returns the value, or raises a `ValueError` of one form.

`owner: name is VALUE, but must be EXPECTED.` The owner is what the user called.
"""

import contextlib
import numbers
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

TOLERANCE = 1e-3  # by which an image may exceed [-1, 1], as resized ones do


def summarize(value):
    """Describe a value on one line, for an error."""
    if isinstance(value, np.ndarray):
        text = f"{value.dtype} {value.shape}"
        if value.dtype.kind in "buif" and value.size:
            text += f" from {float(value.min()):g} to {float(value.max()):g}"
        return text
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def refused(owner, name, value, expected):
    """Return the error for an argument; `expected` may end in what to do."""
    return ValueError(f"{owner}: {name} is {summarize(value)}, but must be {expected}.")


def check_int(owner, name, value, minimum=1):
    """Return an integer of at least `minimum` as an int."""
    integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not integer or value < minimum:
        raise refused(owner, name, value, f"an integer of at least {minimum}")
    return int(value)


def check_number(owner, name, value, minimum=0.0, maximum=float("inf")):
    """Return a finite number from `minimum` to `maximum` as a float."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not minimum <= value <= maximum or value == float("inf"):
        expected = f"a finite number of at least {minimum:g}"
        if maximum < float("inf"):
            expected = f"a number from {minimum:g} to {maximum:g}"
        raise refused(owner, name, value, expected)
    return float(value)


def check_choice(owner, name, value, choices):
    """Return `value` if it is one of `choices`."""
    # By equality and kind: an array is equal to nothing, and True is not 1.
    if any(type(value) is type(one) and value == one for one in choices):
        return value
    raise refused(owner, name, value, " or ".join(map(repr, choices)))


def check_sequence(owner, name, value, what):
    """Return `value`, a list or an array of `what`; not a string or a dict."""
    with contextlib.suppress(TypeError):
        if not isinstance(value, (str, bytes, dict)):
            iter(value), len(value)
            return value
    raise refused(owner, name, value, f"a list or an array: {what}")


def check_list(owner, name, value, what):
    """Return the items of `value`, as of `check_sequence` or an iterator, as a list."""
    value = list(value) if isinstance(value, Iterator) else value
    return list(check_sequence(owner, name, value, what))


def check_array(owner, name, value, dimensions=None, shape="(count, ...)"):
    """Return an array of numbers, with `dimensions` of the meaning `shape` if given."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        array = np.empty((), object)
    # "V" is how NumPy sees bfloat16.
    if array.dtype.kind not in "buifV" or dimensions not in (None, array.ndim):
        given = array if array.ndim else value
        raise refused(owner, name, given, f"an array of numbers, {shape}")
    return array


def check_range(owner, name, images):
    """Refuse images that are not finite or, but for rounding, not in [-1, 1]."""
    images = np.asarray(images)
    low, high = (images.min(), images.max()) if images.size else (0, 0)
    if not -1 - TOLERANCE <= low <= high <= 1 + TOLERANCE:  # also where there is a NaN
        finite = np.isfinite([low, high]).all()
        convert = f"Pass {name} / 127.5 - 1 as float32."
        remedy = convert if finite else "Find out why it is not finite."
        raise ValueError(
            f"{owner}: {name} holds numbers from {low:.4g} to {high:.4g} "
            f"({images.dtype}), but must be in [-1, 1]. {remedy}"
        )


def check_path(owner, name, value):
    """Return a valid path as a `pathlib.Path`, with `~` expanded."""
    try:
        path = Path(value).expanduser()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.lstat(path)
        return path
    # RuntimeError: the home of an unknown user.
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        expected = f"a path, a string or pathlib.Path ({error})"
        raise refused(owner, name, value, expected) from error

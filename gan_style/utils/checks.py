"""Checks of arguments: each returns the value, or raises a `ValueError` of one form.

`owner: name is VALUE, but must be EXPECTED.` The owner is what the user called.
"""

import contextlib
import numbers
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

TOLERANCE = 1e-3  # by which an image may exceed [-1, 1], as resized ones do


def summarize(value, most=80):
    """Describe a value on one line, for an error.

    >>> summarize("x" * 100, most=10)
    "'xxxxxx..."
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _refused(owner, name, value, expected):
    return ValueError(f"{owner}: {name} is {summarize(value)}, but must be {expected}.")


def check_int(owner, name, value, minimum=1):
    """Return an integer of at least `minimum` as an int.

    >>> check_int("unet_generator", "filters", 32)
    32
    """
    integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not integer or value < minimum:
        raise _refused(owner, name, value, f"an integer of at least {minimum}")
    return int(value)


def check_number(owner, name, value, minimum=0.0, maximum=float("inf")):
    """Return a finite number from `minimum` to `maximum` as a float.

    >>> check_number("CycleGAN", "identity_weight", 5)
    5.0
    """
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not minimum <= value <= maximum or value == float("inf"):
        expected = f"a finite number of at least {minimum:g}"
        if maximum < float("inf"):
            expected = f"a number from {minimum:g} to {maximum:g}"
        raise _refused(owner, name, value, expected)
    return float(value)


def check_choice(owner, name, value, choices):
    """Return `value` if it is one of `choices`.

    >>> check_choice("load", "unreadable", "skip", ("error", "skip"))
    'skip'
    """
    # By equality and kind: an array is equal to nothing, and True is not 1.
    if any(type(value) is type(one) and value == one for one in choices):
        return value
    *first, last = (repr(one) for one in choices)
    known = f"{', '.join(first)} or {last}" if first else last
    raise _refused(owner, name, value, known)


def check_list(owner, name, value, what):
    """Return the items of `value`, which must not be a string, as a list.

    >>> check_list("load", "source", (1, 2), "two folders")
    [1, 2]
    """
    with contextlib.suppress(TypeError):  # of an array without dimensions
        if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
            return list(value)
    raise _refused(owner, name, value, f"a list: {what}")


def check_sequence(owner, name, value, what):
    """Return `value`, which must have a length and items and not be a string.

    >>> check_sequence("baselines", "images", range(3), "images")
    range(0, 3)
    """
    with contextlib.suppress(TypeError):  # of a generator
        if isinstance(value, Iterable) and not isinstance(value, (str, bytes, dict)):
            len(value)
            return value
    raise _refused(owner, name, value, f"a list or an array of {what}")


def check_array(owner, name, value, dimensions=None, shape="(count, ...)"):
    """Return an array of numbers, with `dimensions` of the meaning `shape` if given.

    >>> check_array("report", "truth", [[1, 2]], 2).shape
    (1, 2)
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        array = np.empty((), object)
    # "V" is how NumPy sees bfloat16.
    if array.dtype.kind not in "buifV" or dimensions not in (None, array.ndim):
        what = f"{array.dtype} {array.shape}" if array.ndim else summarize(value)
        raise ValueError(
            f"{owner}: {name} is {what}, but must be an array of numbers, {shape}."
        )
    return array


def check_range(owner, name, images):
    """Refuse images that are not finite or, but for rounding, not in [-1, 1].

    >>> check_range("fit", "x", np.full((1, 8, 8, 3), 200, "uint8"))
    Traceback (most recent call last):
    ValueError: fit: x holds numbers from 200 to 200 (uint8), but must be in [-1, 1].
    Pass x / 127.5 - 1 as float32.
    """
    images = np.asarray(images)
    low, high = (images.min(), images.max()) if images.size else (0, 0)
    if not -1 - TOLERANCE <= low <= high <= 1 + TOLERANCE:  # also where there is a NaN
        remedy = f"Pass {name} / 127.5 - 1 as float32."
        if not np.isfinite([low, high]).all():
            remedy = "Find out why it is not finite."
        raise ValueError(
            f"{owner}: {name} holds numbers from {low:.4g} to {high:.4g} "
            f"({images.dtype}), but must be in [-1, 1]. {remedy}"
        )


def check_path(owner, name, value):
    """Return a valid path as a `pathlib.Path`, with `~` expanded.

    >>> check_path("LossCurves", "folder", "outputs").name
    'outputs'
    """
    expected = "a path, a string or a pathlib.Path"
    if not isinstance(value, (str, os.PathLike)):
        raise _refused(owner, name, value, expected)
    try:
        path = Path(value).expanduser()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.lstat(path)
        return path
    # RuntimeError: the home of an unknown user.
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        expected += f" ({getattr(error, 'strerror', None) or error})"
        raise _refused(owner, name, value, expected) from error

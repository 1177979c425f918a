"""Checks of arguments that several modules share."""

import numbers
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def check_int(owner, name, value, minimum=1):
    """Returns `value` as an int, or says what `owner` needs.

    Raises:
        ValueError: when `value` is not an integer of at least `minimum`.

    >>> check_int("unet_generator", "filters", 32)
    32
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, numbers.Integral)
        or value < minimum
    ):
        raise ValueError(
            f"{owner}: {name} is {summarize(value)}, but must be an integer of at "
            f"least {minimum}."
        )
    return int(value)


def check_number(owner, name, value, minimum=0.0, maximum=float("inf")):
    """Returns `value` as a float, or says what `owner` needs.

    Raises:
        ValueError: when `value` is not a finite number from `minimum` to `maximum`.

    >>> check_number("CycleGAN", "identity_weight", 5)
    5.0
    """
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not minimum <= value <= maximum or value == float("inf"):
        expected = f"a finite number of at least {minimum:g}"
        if maximum < float("inf"):
            expected = f"a number from {minimum:g} to {maximum:g}"
        raise ValueError(
            f"{owner}: {name} is {summarize(value)}, but must be {expected}."
        )
    return float(value)


def check_choice(owner, name, value, choices):
    """Returns `value` if it is one of `choices`, or says which there are.

    Raises:
        ValueError: for anything else.

    >>> check_choice("load", "unreadable", "skip", ("error", "skip"))
    'skip'
    """
    # By equality and kind: an array is equal to nothing, and True is not 1.
    if any(type(value) is type(one) and value == one for one in choices):
        return value
    *first, last = (repr(one) for one in choices)
    known = f"{', '.join(first)} or {last}" if first else last
    raise ValueError(f"{owner}: {name} is {value!r}, but must be {known}.")


def check_list(owner, name, value, what):
    """Returns the items of `value` as a list, or says what `owner` needs.

    A string, which Python takes for a sequence of letters, is none.

    Args:
        owner, name, value: whose argument it is.
        what: what the items have to be, for the error.

    Raises:
        ValueError: when `value` has no items.

    >>> check_list("load", "source", (1, 2), "two folders")
    [1, 2]
    """
    try:
        if not isinstance(value, (str, bytes)) and isinstance(value, Iterable):
            return list(value)
    except TypeError:
        pass  # an array without dimensions
    raise ValueError(
        f"{owner}: {name} is {summarize(value)}, but must be a list: {what}."
    )


def summarize(value, most=80):
    """Describes a value on one line, for an error.

    >>> summarize("x" * 100, most=10)
    "'xxxxxx..."
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def check_sequence(owner, name, value, what):
    """Returns `value` as it is if it has a length and items, or says what it needs.

    Raises:
        ValueError: for what is no list, array or other sequence, and for strings.

    >>> check_sequence("baselines", "images", range(3), "images")
    range(0, 3)
    """
    try:
        if not isinstance(value, (str, bytes, dict)) and isinstance(value, Iterable):
            len(value)
            return value
    except TypeError:
        pass  # an array without dimensions, or a generator
    raise ValueError(
        f"{owner}: {name} is {summarize(value)}, but must be a list or an array of "
        f"{what}."
    )


def check_array(owner, name, value, dimensions=None, shape="(count, ...)"):
    """Returns `value` as an array of real numbers, or says what `owner` needs.

    Args:
        owner, name, value: whose argument it is.
        dimensions: how many there have to be, or None for any.
        shape: what they mean, for the error.

    Raises:
        ValueError: for what is no such array.

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


def check_path(owner, name, value):
    """Returns `value` as a `pathlib.Path`, or says what `owner` needs.

    Raises:
        ValueError: for what cannot be the path of anything.

    >>> check_path("LossCurves", "folder", "outputs").name
    'outputs'
    """
    reason = ""
    if isinstance(value, (str, os.PathLike)):
        try:
            os.lstat(value)
            return Path(value)
        except (FileNotFoundError, NotADirectoryError):
            return Path(value)
        except (OSError, ValueError) as error:
            reason = f" ({getattr(error, 'strerror', None) or error})"
    raise ValueError(
        f"{owner}: {name} is {summarize(value)}{reason}, but must be a path, a "
        "string or a pathlib.Path."
    )


def check_training_images(owner, name, images):
    """Refuses an array of images that would spoil a training without a word.

    Raises:
        ValueError: for an array with numbers that are not finite or not in [-1, 1].

    >>> check_training_images("fit", "x", np.full((1, 8, 8, 3), 200, "uint8"))
    Traceback (most recent call last):
    ValueError: fit: x holds numbers from 200 to 200 (uint8), but images must be in
    [-1, 1]. Pass x / 127.5 - 1 as float32, or a dataset of gan_style.datasets.
    """
    images = np.asarray(images)
    low, high = (images.min(), images.max()) if images.size else (0, 0)
    if not -1.001 <= low <= high <= 1.001:  # also where there is a NaN
        finite = np.isfinite([low, high]).all()
        raise ValueError(
            f"{owner}: {name} holds numbers from {low:.4g} to {high:.4g} "
            f"({images.dtype}), but images must be in [-1, 1]. "
            + (
                f"Pass {name} / 127.5 - 1 as float32, or a dataset of "
                "gan_style.datasets."
                if finite
                else "Look for where what is not finite comes from."
            )
        )

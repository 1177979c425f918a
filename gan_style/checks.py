"""Checks of arguments that several modules share."""

import numbers
from collections.abc import Iterable


def check_whole_number(owner, name, value, least=1):
    """Returns `value` as an int, or says what `owner` needs.

    Raises:
        ValueError: when `value` is not a whole number of at least `least`.

    >>> check_whole_number("unet_generator", "filters", 32)
    32
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, numbers.Integral)
        or value < least
    ):
        raise ValueError(
            f"{owner}: {name} is {value!r}, but it has to be a whole number of at "
            f"least {least}."
        )
    return int(value)


def check_number(owner, name, value, least=0.0):
    """Returns `value` as a float of at least `least`, or says what `owner` needs.

    Raises:
        ValueError: when `value` is not a finite number of at least `least`.

    >>> check_number("CycleGAN", "identity_weight", 5)
    5.0
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, numbers.Real)
        or not least <= value < float("inf")
    ):
        raise ValueError(
            f"{owner}: {name} is {value!r}, but it has to be a finite number of at "
            f"least {least:g}."
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
    raise ValueError(f"{owner}: {name} is {value!r}, but it has to be {known}.")


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
        f"{owner}: {name} is {shortly(value)}, but it has to be a list: {what}."
    )


def shortly(value, most=80):
    """Describes a value on one line, for an error.

    >>> shortly("x" * 100, most=10)
    "'xxxxxx..."
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."

"""Checks of arguments that several modules share."""

import numbers


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

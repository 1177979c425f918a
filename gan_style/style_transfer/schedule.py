"""The scales of a run from coarse to fine, the steps at each, and the optimizers."""

import math
import numbers

import tensorflow as tf

from gan_style.style_transfer.optimizers import LBFGS, Adam
from gan_style.utils.checks import check_choice, check_int, check_list

OPTIMIZERS = {"lbfgs": LBFGS, "adam": Adam}
_OWNER = "StyleTransfer.run"


def default_scales(size, coarsest=128, ratio=2**0.5):
    """List the longer sides of a coarse-to-fine run, each about `ratio` the last.

    Example:
        >>> default_scales(512)
        [128, 181, 256, 362, 512]
        >>> default_scales(100)
        [100]
    """
    count = max(0, round(math.log(size / coarsest) / math.log(ratio)))
    return [round(size / ratio**k) for k in range(count, 0, -1)] + [size]


def default_steps(scales, finest=60, most=150):
    """List the steps at each scale: more on coarse scales, where they are cheap.

    Example:
        >>> default_steps([128, 181, 256, 362, 512])
        [146, 117, 94, 75, 60]
    """
    coarser = range(len(scales) - 1, -1, -1)
    return [round(min(most, finest * 1.25**k)) for k in coarser]


def check_schedule(size, scales, steps):
    """Return lists of the scales of a run to a size, and of the steps at each scale."""
    scales = default_scales(size) if scales is None else scales
    scales = check_list(_OWNER, "scales", scales, "integers, longer sides in pixels")
    scales = [check_int(_OWNER, "scales", scale) for scale in scales]
    steps = default_steps(scales) if steps is None else steps
    steps = [steps] * len(scales) if isinstance(steps, numbers.Number) else steps
    steps = check_list(_OWNER, "steps", steps, "one integer per scale")
    steps = [check_int(_OWNER, "steps", count) for count in steps]
    if len(steps) != len(scales) or scales[-1:] != [size]:
        raise ValueError(
            f"{_OWNER}: scales, steps are {scales} and {steps}, but must be as many, "
            f"and {size} the last scale."
        )
    return scales, steps


def check_optimizer(name, settings):
    """Refuse an unknown optimizer, and settings that it does not accept."""
    check_choice(_OWNER, "optimizer", name, tuple(OPTIMIZERS))
    try:
        OPTIMIZERS[name](tf.zeros((1, 1, 1, 3)), None, **settings)
    except TypeError as error:
        raise ValueError(
            f"{_OWNER}: settings are {settings}, but must be those of {name}. ({error})"
        ) from error

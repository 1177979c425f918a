"""The scales of a run, from coarse to fine, and the steps at each."""

import math
import numbers

from gan_style.utils.checks import check_int, check_list


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
    owner = "StyleTransfer.run"
    scales = default_scales(size) if scales is None else scales
    scales = check_list(owner, "scales", scales, "integers, longer sides in pixels")
    steps = default_steps(scales) if steps is None else steps
    steps = [steps] * len(scales) if isinstance(steps, numbers.Number) else steps
    steps = check_list(owner, "steps", steps, "one integer per scale")
    scales = [check_int(owner, "scales", scale) for scale in scales]
    steps = [check_int(owner, "steps", count) for count in steps]
    if len(steps) != len(scales) or scales[-1:] != [size]:
        raise ValueError(
            f"{owner}: scales, steps are {scales} and {steps}, but must be as many, "
            f"and {size} the last scale."
        )
    return scales, steps

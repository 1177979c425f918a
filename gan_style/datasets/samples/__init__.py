"""Images that need no download: drawn, any number of them, at any size.

A sample is a pure function of its kind, seed and size. The random numbers are the same
on every machine, and the drawing is done in float64 and rounded at the very end, so
the levels are too, but for the odd one that a mathematics library rounds another way.
"""

import numpy as np

from gan_style.datasets.samples.fruit_scenes import fruit
from gan_style.datasets.samples.landscapes import landscape
from gan_style.datasets.samples.swirls import painting
from gan_style.utils.checks import check_int

__all__ = ["fruit", "landscape", "painting", "photograph"]


def photograph(size=None):
    """Return a photograph that ships with scikit-image: Chelsea the cat.

    It was taken by Stefan van der Walt, who put it into the public domain (CC0).

    Args:
        size: the longer side in pixels, from 16 up; None leaves the 451 of the file.

    Returns:
        uint8 `(height, width, 3)`, RGB, about 2 high to 3 wide.

    Raises:
        ValueError: for another size.

    >>> photograph().shape, photograph(150).shape
    ((300, 451, 3), (100, 150, 3))
    """
    # Imported here, because drawing does without.
    from PIL import Image
    from skimage import data

    image = data.chelsea()
    if size is None:
        return image
    size = check_int("photograph", "size", size, minimum=16)
    shape = size, max(1, round(size * image.shape[0] / image.shape[1]))
    return np.asarray(Image.fromarray(image).resize(shape, Image.Resampling.LANCZOS))

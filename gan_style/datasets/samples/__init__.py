"""Images that need no download: drawn, any number of them, at any size.

A sample is a pure function of its kind, seed and size. The random numbers are the same
on every machine, and the drawing is done in float64 and rounded at the very end, so
the levels are too, but for the odd one that a mathematics library rounds another way.
"""

import numpy as np

from gan_style.datasets.samples import fruit_scenes, landscapes, swirls
from gan_style.utils.checks import check_choice, check_int


def fruit(kind, seed, size=128):
    """Draw apples or oranges on a table.

    The same seed is the same scene for both kinds, with the same light, places and
    sizes, and even with the same pores, deeper in an orange's skin: a true pair, which
    tells how well an unpaired method found the mapping.

    Args:
        kind: "apple" or "orange".
        seed: integer from 0 up.
        size: side of the image in pixels, from 16 up.

    Returns:
        uint8 `(size, size, 3)`, RGB.

    Raises:
        ValueError: for another kind, or a seed or size out of range.

    >>> apple, orange = fruit("apple", seed=7), fruit("orange", seed=7)
    >>> apple.shape, bool((apple[0] == orange[0]).all())
    ((128, 128, 3), True)
    """
    return _drawn("fruit", fruit_scenes, kind, seed, size)


def landscape(kind, seed, size=128):
    """Draw a landscape, photographed or painted.

    The same seed is the same motif for both kinds: a true pair. The painting lays
    an impressionist palette on the canvas in strokes that follow the forms.

    Args:
        kind: "photograph" or "painting".
        seed: integer from 0 up.
        size: side of the image in pixels, from 16 up.

    Returns:
        uint8 `(size, size, 3)`, RGB.

    Raises:
        ValueError: for another kind, or a seed or size out of range.

    >>> photograph = landscape("photograph", seed=7)
    >>> painting = landscape("painting", seed=7)
    >>> photograph.shape, bool(painting.mean() > photograph.mean())
    ((128, 128, 3), True)
    """
    return _drawn("landscape", landscapes, kind, seed, size)


def photograph(size=None):
    """Return a photograph that ships with scikit-image: Chelsea the cat.

    It was taken by Stefan van der Walt, who put it into the public domain (CC0).

    Args:
        size: the longer side in pixels; None leaves the 451 of the file.

    Returns:
        uint8 `(height, width, 3)`, RGB, about 2 high to 3 wide.

    Raises:
        ValueError: for a size that is not an integer from 16 up.

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


def painting(size=512, seed=0):
    """Draw a painting: a night sky of swirling strokes over hills and wheat.

    It replaces a master's painting where the internet is missing: strong
    colours, flowing strokes of several sizes, and the relief of thick paint.

    Args:
        size: side of the image in pixels, from 16 up.
        seed: integer from 0 up: another sky, other strokes.

    Returns:
        uint8 `(size, size, 3)`, RGB.

    Raises:
        ValueError: for a size or seed out of range.

    >>> painting(64).shape
    (64, 64, 3)
    """
    size = check_int("painting", "size", size, minimum=16)
    return swirls.draw(size, check_int("painting", "seed", seed, minimum=0))


def _drawn(owner, module, kind, seed, size):
    check_choice(owner, "kind", kind, module.KINDS)
    seed = check_int(owner, "seed", seed, minimum=0)
    return module.draw(kind, seed, check_int(owner, "size", size, minimum=16))

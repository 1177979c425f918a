"""What the drawn samples share: random numbers, noise, lookups and colours.

Images are float64 `(size, size, 3)` in [0, 1] until they are finished. Lengths are
in sides of the image, so that a scene looks alike at every size.
"""

from functools import lru_cache

import numpy as np
from scipy import ndimage

from gan_style.utils.checks import check_int


def checked(owner, seed, size):
    seed = check_int(owner, "seed", seed, minimum=0)
    return seed, check_int(owner, "size", size, minimum=16)


class SampleRNG:
    """Random numbers that depend on nothing but the integers given.

    Only PCG64's uniform floats are used, which are the same in every NumPy.
    """

    def __init__(self, *key):
        self._draw = np.random.Generator(np.random.PCG64(list(key))).random

    def between(self, low, high):
        return low + (high - low) * float(self._draw())

    def chance(self, share):
        return float(self._draw()) < share

    def choice(self, options):
        return options[int(self._draw() * len(options))]

    def array(self, *shape):
        return self._draw(shape)

    def colour(self, low, high):
        """A colour between two, near the straight line from one to the other."""
        low, high = np.asarray(low, float), np.asarray(high, float)
        return low + (high - low) * (0.7 * self._draw() + 0.3 * self._draw(3))


class Sketch(SampleRNG):
    """An empty scene: its random numbers, and x and y of the pixels' centres."""

    def __init__(self, size, *key):
        super().__init__(*key)
        line = (np.arange(size) + 0.5) / size
        self.size, self.x, self.y = size, line[None, :], line[:, None]

    def noise(self, rows, columns=None, octaves=1):
        """Smooth noise around 0, about in [-1, 1]; each octave doubles the detail."""
        columns = columns or rows
        total, weight = 0.0, 1.0
        for _ in range(octaves):
            lattice = 2 * self.array(rows + 1, columns + 1) - 1
            cell, share = _cells(self.size, columns)
            wide = lattice[:, cell] * (1 - share) + lattice[:, cell + 1] * share
            cell, share = _cells(self.size, rows)
            high = wide[cell] * (1 - share[:, None]) + wide[cell + 1] * share[:, None]
            total = total + weight * high
            rows, columns, weight = 2 * rows, 2 * columns, weight / 2
        return total


@lru_cache(maxsize=128)
def _cells(size, cells):
    """The cell that each pixel lies in, and how far it is on the way to the next."""
    place = (np.arange(size) + 0.5) / size * cells
    cell = np.minimum(place.astype(int), cells - 1)
    return cell, smooth(0, 1, place - cell)


def smooth(low, high, value):
    """0 below low, 1 above high, and a smooth step between."""
    share = np.clip((value - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def mix(one, other, share):
    """From one colour (or image) to another; the share is `(height, width)`."""
    return (np.asarray(other) - np.asarray(one)) * np.asarray(share)[..., None] + one


def span(low, high, size):
    """The pixels between two places, as a slice."""
    return slice(max(0, int(low * size)), max(0, int(high * size) + 1))


def lookup(table, rows, columns):
    """Read a table between its entries; it repeats without end."""
    return ndimage.map_coordinates(table, [rows, columns], order=1, mode="grid-wrap")


def cover(distance, size):
    """Share of a pixel that a shape covers; the distance is negative inside."""
    return np.clip(0.5 - distance * size, 0, 1)


def finish(image):
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)

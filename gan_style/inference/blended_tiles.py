"""Cuts an image into overlapping tiles, and blends their translations."""

import numpy as np


def starts_of_tiles(size, tile, overlap, multiple=1):
    """Where the tiles along one side begin, evenly spread from end to end.

    Args:
        size: pixels of the side, a multiple of `multiple`, at least `tile`.
        tile: pixels of a tile.
        overlap: pixels that neighbours share at least.
        multiple: every start is a multiple of this, so that strided convolutions see
            the same grid in every tile.

    >>> starts_of_tiles(256, 128, 32)
    [0, 64, 128]
    """
    if size <= tile:
        return [0]
    steps = -(-(size - tile) // max(tile - overlap, multiple))
    spread = np.linspace(0, size - tile, steps + 1)
    # Rounded down: neighbours can only come closer than `tile - overlap` by doing so
    # where the one before was rounded as well, and the last one is exact.
    return [int(start // multiple * multiple) for start in spread]


def blend_tiles(height, width, tile, overlap, multiple, translate_tiles):
    """Translates an image tile by tile, with smooth transitions.

    Every tile counts with a weight that falls to 0 towards its border as a raised
    cosine over the overlap; a pixel is the weighted mean of the tiles that hold it.

    Args:
        height, width: pixels of the image.
        tile: pixels of a tile's side; a shorter image side takes one tile.
        overlap: pixels that neighbours share at least.
        multiple: tiles begin at its multiples.
        translate_tiles: function from a list of `(rows, columns)` slices to an iterable
            of their translations, `(rows, columns, channels)` each.

    Returns:
        float32 `(height, width, channels)`.
    """
    rows, columns = min(tile, height), min(tile, width)
    places = [
        (slice(top, top + rows), slice(left, left + columns))
        for top in starts_of_tiles(height, rows, overlap, multiple)
        for left in starts_of_tiles(width, columns, overlap, multiple)
    ]
    window = _ramp(rows, overlap)[:, None, None] * _ramp(columns, overlap)[:, None]
    weights = np.zeros((height, width, 1), "float32")
    total = None
    for place, result in zip(places, translate_tiles(places), strict=True):
        if total is None:
            total = np.zeros((height, width, result.shape[-1]), "float32")
        total[place] += window * result
        weights[place] += window
    return np.divide(total, weights, out=total)


def _ramp(size, overlap):
    # Half a pixel in from the border, so that no weight is 0.
    distance = np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5
    rise = np.clip(distance / max(min(overlap, size // 2), 1), 0, 1)
    return np.sin(0.5 * np.pi * rise).astype("float32") ** 2

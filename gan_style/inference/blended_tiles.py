"""Cuts an image into overlapping tiles, and blends their translations."""

import numpy as np


def tile_starts(size, tile, overlap, multiple=1):
    """Spread tiles evenly over a side, and return where they begin.

    Neighbours share at least `overlap` pixels. Every start is a multiple of `multiple`
    (and so must `size` be), so that strided convolutions see the same grid in each.

    >>> tile_starts(256, 128, 32)
    [0, 64, 128]
    """
    if size <= tile:
        return [0]
    count = -(-(size - tile) // max(tile - overlap, multiple)) + 1
    # Rounding down costs an overlap less than `multiple`; the last start is exact.
    starts = np.linspace(0, size - tile, count) // multiple * multiple
    return starts.astype(int).tolist()


def blend_tiles(height, width, tile, overlap, multiple, translate_tiles):
    """Translate an image tile by tile, and return float32 `(height, width, channels)`.

    A pixel is the mean of the tiles that hold it, with weights that fall to 0 towards
    a tile's border as a raised cosine over the overlap. `translate_tiles` maps a list
    of `(rows, columns)` slices to an iterable of `(rows, columns, channels)`.
    """
    rows, columns = min(tile, height), min(tile, width)
    places = [
        (slice(top, top + rows), slice(left, left + columns))
        for top in tile_starts(height, rows, overlap, multiple)
        for left in tile_starts(width, columns, overlap, multiple)
    ]
    window = _ramp(rows, overlap)[:, None, None] * _ramp(columns, overlap)[:, None]
    total, weights = None, np.zeros((height, width, 1), "float32")
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

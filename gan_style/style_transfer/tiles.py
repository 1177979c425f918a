"""Where to cut an image, so that its tiles together give what the whole would give."""

from typing import NamedTuple


class Tile(NamedTuple):
    """Rows and columns `(start, stop)` of a tile, in pixels: its core's, and all.

    Cores cover the image without overlap; around them is the halo, as far as their
    activations see.
    """

    core_rows: tuple
    core_columns: tuple
    rows: tuple
    columns: tuple

    def core(self, stride, shape):
        """Find the core in a layer's activations: in the tile's, and in the image's.

        Returns two tuples `(first row, end row, first column, end column)`.
        """
        inside, whole = [], []
        cores, outers = (self.core_rows, self.core_columns), (self.rows, self.columns)
        for (start, stop), (first, _), size in zip(cores, outers, shape, strict=True):
            # Pooling drops an odd last row: the last core ends where the layer ends.
            core = start // stride, min(-(-stop // stride), size // stride)
            inside += [edge - first // stride for edge in core]
            whole += core
        return tuple(inside), tuple(whole)


def plan_tiles(height, width, tile_size, halo, stride):
    """Cut an image into tiles whose cores are computed exactly.

    A tile starts at a multiple of the deepest layer's `stride`, where the whole image's
    pooling cells start too. At the image's edge, the network pads it like the whole.

    Example:
        >>> [tile.columns for tile in plan_tiles(16, 64, 32, halo=5, stride=8)]
        [(0, 40), (24, 64)]
    """
    halo = -(-halo // stride) * stride
    return [
        Tile(rows, columns, outer_rows, outer_columns)
        for rows, outer_rows in _cuts(height, tile_size, halo, stride)
        for columns, outer_columns in _cuts(width, tile_size, halo, stride)
    ]


def _cuts(size, tile_size, halo, stride):
    # Equal pieces rather than full ones and a sliver.
    pieces = max(1, -(-size // tile_size))
    step = -(-size // (pieces * stride)) * stride
    for start in range(0, size, step):
        stop = min(start + step, size)
        yield (start, stop), (max(0, start - halo), min(size, stop + halo))

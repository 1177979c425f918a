"""Where to cut an image, so that its pieces together say what the whole would say."""

from typing import NamedTuple


class Tile(NamedTuple):
    """One piece of an image: its core, and the core with its halo, in pixels.

    Every field is a `(start, stop)` pair of rows or columns. Cores cover the image
    without overlap; the halo is what the core's activations can see beyond it.
    """

    core_rows: tuple
    core_columns: tuple
    rows: tuple
    columns: tuple

    def core(self, stride, grid):
        """Finds the core among a layer's activations.

        Args:
            stride: pixels between two neighbouring activations.
            grid: rows and columns of the whole image's activations.

        Returns:
            Two tuples `(first row, end row, first column, end column)`: where the
            core lies in the whole image's activations, and where in the tile's.
        """
        whole, inside = [], []
        for core, outer, size in (
            (self.core_rows, self.rows, grid[0]),
            (self.core_columns, self.columns, grid[1]),
        ):
            # Pooling drops an odd last row: the last core ends where the layer ends.
            start, stop = core[0] // stride, min(-(-core[1] // stride), size)
            offset = outer[0] // stride
            whole += [start, stop]
            inside += [start - offset, stop - offset]
        return tuple(whole), tuple(inside)


def plan_tiles(height, width, tile_size, reach, stride):
    """Cuts an image into tiles whose cores are computed exactly.

    A convolution sees its neighbours and a pooling its cell. So a tile starts at a
    multiple of the deepest layer's stride, where the whole image's pooling cells
    start too, and carries a halo at least as wide as its activations reach. At the
    image's edge it has no halo, and the network pads it as it pads the whole.

    Args:
        height: the image's rows.
        width: the image's columns.
        tile_size: the rows and columns of a core, rounded up to a multiple of `stride`.
        reach: pixels that an activation can see beyond its own cell.
        stride: pixels between two neighbouring activations of the deepest layer.

    Returns:
        A list of `Tile`.

    Raises:
        ValueError: if `tile_size` is not positive.

    Example:
        >>> [tile.columns for tile in plan_tiles(16, 64, 32, reach=5, stride=8)]
        [(0, 40), (24, 64)]
    """
    if tile_size < 1:
        raise ValueError(
            f"tile_size: got {tile_size}, expected a positive number of pixels."
        )
    halo = -(-reach // stride) * stride
    return [
        Tile(rows, columns, outer_rows, outer_columns)
        for rows, outer_rows in _cuts(height, tile_size, halo, stride)
        for columns, outer_columns in _cuts(width, tile_size, halo, stride)
    ]


def _cuts(size, tile_size, halo, stride):
    # Equal pieces rather than full ones and a sliver.
    pieces = max(1, -(-size // tile_size))
    step = -(-size // (pieces * stride)) * stride
    starts = range(0, size, step)
    for start in starts:
        stop = min(start + step, size)
        yield (start, stop), (max(0, start - halo), min(size, stop + halo))

"""Brush strokes: many at once, each a curved band of bristles with a relief."""

import numpy as np

_FINER = 2  # the canvas is this much finer than the image, to smooth the edges


def grid(side, across, down):
    """x and y of `side` x `side` places, each at random within its cell."""
    cells = np.arange(side**2)
    return (cells % side + across) / side, (cells // side + down) / side


def places(size, y, x):
    """The pixels nearest to some places, as an index."""
    return tuple(np.clip((p * size).astype(int), 0, size - 1) for p in (y, x))


class Canvas:
    """A canvas, primed with a colour or an image, that strokes are laid on."""

    def __init__(self, size, colour):
        self.size, self._side = size, _FINER * size
        ground = np.broadcast_to(colour, (size, size, 3))
        self._colour = ground.repeat(_FINER, 0).repeat(_FINER, 1).reshape(-1, 3)
        self._height = np.zeros(self._side**2)

    def lay(self, rng, angle, x, y, length, width, colours, contrast=0.14):
        """Lay strokes, in this order, from x, y along a field of angles."""
        path_x, path_y, turn = self._paths(x, y, angle, length)
        count, steps = path_x.shape
        bands = max(2, int(np.ceil(1.3 * self._side * width.max())) + 1)
        along, across = np.linspace(0, 1, steps), np.linspace(-1, 1, bands)
        half = width[:, None] / 2 * np.sqrt(1 - 0.96 * (2 * along - 1) ** 4)
        columns = self._band(path_x, -np.sin(turn) * half, across)
        rows = self._band(path_y, np.cos(turn) * half, across)
        bristles = rng.array(count, bands)
        wet = 0.6 * np.clip(along - 0.55, 0, None) / 0.45
        seen = bristles[:, None, :] > wet[:, None]
        for lines in (rows, columns):
            seen &= (lines >= 0) & (lines < self._side)
        rows = rows * self._side + columns
        # Every bristle of every stroke has a number; the last to pass a place stays.
        number = np.arange(count * bands, dtype="int32").reshape(count, 1, bands)
        passed = np.full(self._side**2, -1, "int32")
        passed[rows[seen]] = np.broadcast_to(number, seen.shape)[seen]
        painted = np.flatnonzero(passed >= 0)
        passed = passed[painted]
        paint = colours[:, None, :] * (1 + contrast * (bristles - 0.5))[..., None]
        self._colour[painted] = paint.reshape(-1, 3)[passed]
        ridge = 0.55 * (1 - across**2) + 0.45 * bristles
        self._height[painted] = ridge.ravel()[passed]

    def _band(self, path, aside, across):
        lines = (aside * self._side)[..., None] * across
        lines += (path * self._side)[..., None]
        return np.floor(lines, out=lines).astype("int32")

    def _paths(self, x, y, angle, length):
        steps = int(np.ceil(1.3 * self._side * length.max())) + 1
        hop = length / (steps - 1)
        turns, path = np.empty((len(x), steps)), np.empty((2, len(x), steps))
        for step in range(steps):
            turns[:, step] = angle[places(self.size, y, x)]
            path[:, :, step] = x, y
            x = x + hop * np.cos(turns[:, step])
            y = y + hop * np.sin(turns[:, step])
        return *path, turns

    def image(self, relief=0.10):
        """What the eye sees, `(size, size, 3)`, lit from the upper left."""
        height = self._height.reshape(self._side, self._side)
        slope = np.zeros_like(height)
        slope[1:, 1:] = height[1:, 1:] - 0.5 * (height[:-1, 1:] + height[1:, :-1])
        light = 1 + relief * np.clip(slope, -1, 1)
        colour = self._colour.reshape(self._side, self._side, 3) * light[..., None]
        return colour.reshape(self.size, _FINER, self.size, _FINER, 3).mean((1, 3))

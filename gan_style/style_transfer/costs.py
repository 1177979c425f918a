"""What style transfer costs on this machine: seconds and bytes, from two steps."""

import math
import time as clock
from typing import NamedTuple

import tensorflow as tf

from gan_style.hardware.memory import resident_memory
from gan_style.style_transfer.optimizers import LBFGS
from gan_style.style_transfer.tiles import plan_tiles

# Measured on CPU (benchmarks/planner.py): what a step keeps of each layer's output,
# forwards and backwards; what TensorFlow takes once; steps of L-BFGS that try twice.
_KEPT, _ONCE, _TRIALS = 1.1, 110e6, 1.04
_IMAGES = {"lbfgs": 27, "adam": 9}  # image-sized arrays beside the network's


class StyleCosts(NamedTuple):
    """What steps of a transfer cost on this machine, in seconds.

    Fields: `scale`, once a scale; `prepare`, once a scale and pixel; `step`, each
    evaluation; `pixel`, each evaluation and pixel; `tile_size`, for which they hold.
    """

    scale: float
    prepare: float
    step: float
    pixel: float
    tile_size: int | None

    def seconds(self, transfer, scales, steps):
        """The seconds of a run."""
        total = 0.0
        for size, count in zip(scales, steps, strict=True):
            shape = transfer.shape_at(size)
            seen = _pixels_seen(transfer, shape, self.tile_size)
            total += self.scale + self.prepare * seen
            total += (_TRIALS * count + 1) * (self.step + self.pixel * seen)
        return total


def measure_style(transfer, tile_size=None, sizes=(128, 256)):
    """Times two steps of a transfer at each of a few sizes, none above its own.

    Args:
        transfer: a `StyleTransfer`.
        tile_size: as it has; the tiles' two passes are timed where there are tiles.
        sizes: the longer sides, from small to large.

    Returns:
        A `StyleCosts`.
    """
    sizes = sorted({min(size, transfer.size) for size in sizes})
    seen, steps, prepared, traced = [], [], [], []
    for size in sizes:
        began = clock.perf_counter()
        objective = transfer.objective(size)
        prepared.append(clock.perf_counter() - began)
        one = None if tile_size is None else size  # one tile: two passes, no halo
        optimizer = LBFGS(
            transfer.start("content", size), lambda x, f=objective, t=one: f(x, t)
        )
        began = clock.perf_counter()
        optimizer.step()
        traced.append(clock.perf_counter() - began)
        began, before = clock.perf_counter(), optimizer.evaluations
        optimizer.step()
        optimizer.step()
        taken = clock.perf_counter() - began
        steps.append(taken / (optimizer.evaluations - before))
        seen.append(math.prod(transfer.shape_at(size)))
    # The first step evaluates twice; what it takes longer is tracing.
    scale = max(0.0, traced[-1] - 2 * steps[-1])
    # A line through both sizes, but a hiccup of the machine must not tilt it far.
    pixel, step = steps[-1] / seen[-1], 0.0
    if len(seen) > 1:
        slope = (steps[1] - steps[0]) / (seen[1] - seen[0])
        slope = min(max(slope, 0.6 * pixel), pixel)
        pixel, step = slope, steps[1] - slope * seen[1]
    return StyleCosts(scale, prepared[-1] / seen[-1], step, pixel, tile_size)


def style_memory(transfer, size, tile_size=None, optimizer="lbfgs"):
    """Bytes of the process at the peak of a run, with what it holds already.

    Args:
        transfer: a `StyleTransfer`.
        size: the longer side of the largest scale.
        tile_size: rows and columns of a tile's core, or None for the whole.
        optimizer: as in `StyleTransfer.run`.
    """
    shape = transfer.shape_at(size)
    seen = _tiles(transfer, shape, tile_size)
    largest = max(_area(tile) for tile in seen)
    floats, stride = 0, 1
    for layer in transfer.features.model.layers:
        stride *= 2 if layer.name.endswith("pool") else 1
        width = tf.as_dtype(layer.compute_dtype).size
        floats += width * layer.output.shape[-1] / stride**2
    targets = sum(
        4 * transfer.features.model.output[name].shape[-1] / stride**2
        for name, stride in transfer.features.strides.items()
        if name in transfer.content_layers
    )
    pixel = 3 * tf.as_dtype(transfer.dtype).size
    whole = math.prod(shape) * (pixel * _IMAGES[optimizer] + targets)
    return (resident_memory() or 0) + _ONCE + whole + _KEPT * floats * largest


def _tiles(transfer, shape, tile_size):
    features = transfer.features
    stride = max(features.strides.values())
    size = tile_size or max(shape)
    return plan_tiles(*shape, size, features.reach, stride)


def _area(tile):
    return (tile.rows[1] - tile.rows[0]) * (tile.columns[1] - tile.columns[0])


def _pixels_seen(transfer, shape, tile_size):
    """The pixels that a step looks at: those of the halos count again."""
    return sum(_area(tile) for tile in _tiles(transfer, shape, tile_size))

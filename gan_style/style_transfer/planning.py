"""The scales and steps of a run, the time and memory it needs, and which run fits."""

import functools
import math
import numbers
from timeit import timeit
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from gan_style.hardware import DoesNotFit
from gan_style.hardware.memory import budget, memory_limit, resident_memory, say_seconds
from gan_style.style_transfer.features import plan_tiles
from gan_style.style_transfer.inputs import MARGIN
from gan_style.style_transfer.optimizers import LBFGS
from gan_style.utils.checks import check_int, check_list, refused

_SAFETY = 0.9  # a safety margin, because a few steps are a small sample
_TILE_SIZES = [n + 2 * MARGIN for n in (1024, 768, 512, 384, 256, 192, 128)]
_FINEST_STEPS = (35, 30, 25, 20, 15)  # with fewer, the finest scale is blurred
# Measured on CPU (benchmarks/planning.py): how often a layer's output is held; bytes of
# TensorFlow's own; L-BFGS's evaluations per step, and its image-sized arrays.
_HELD, _OVERHEAD, _EVALUATIONS, _IMAGES = 1.1, 300e6, 1.04, 27


def default_scales(size, coarsest=192, ratio=2**0.5):
    """List the longer sides of a coarse-to-fine run, each about `ratio` the last.

    >>> default_scales(512)
    [181, 256, 362, 512]
    """
    count = max(0, round(math.log(size / coarsest) / math.log(ratio)))
    return [round(size / ratio**k) for k in range(count, 0, -1)] + [size]


def default_steps(scales, finest=35, most=90):
    """List the steps at each scale: more on coarse scales, where they are cheap.

    >>> default_steps([181, 256, 362, 512])
    [68, 55, 44, 35]
    """
    return [round(min(most, finest * 1.25**k)) for k in reversed(range(len(scales)))]


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
        expected = f"as many scales as steps, and {size} the last scale"
        raise refused(owner, "(scales, steps)", (scales, steps), expected)
    return scales, steps


class StylePlan(NamedTuple):
    """A run that fits, from `plan_style`: print it, `_replace` parts, or `paint()`."""

    transfer: object  # the `StyleTransfer` that was planned for
    scales: list  # as in `StyleTransfer.run`; the next two as well
    steps: list
    tile_size: int | None
    seconds: float  # estimated
    memory: float  # in bytes: of the whole process, at its peak

    def paint(self, **options):
        """Run as planned; `options` are further arguments of `StyleTransfer.run`."""
        options = {"tile_size": self.tile_size, **options}
        return self.transfer.run(self.steps, self.scales, **options)

    def __str__(self):
        height, width = self.transfer.shape_at(self.scales[-1])
        pieces = f"tiles of {self.tile_size}" if self.tile_size else "in one piece"
        schedule = zip(self.steps, self.scales, strict=True)
        scales = ", ".join(f"{steps} at {scale}" for steps, scale in schedule)
        return (
            f"{width} x {height} px, {pieces}; steps: {scales}; "
            f"about {say_seconds(self.seconds)} and {self.memory / 1e9:.1f} GB"
        )


def plan_style(transfer, time=None, memory=None, steps=None, scales=None):
    """Estimate what a run of style transfer needs, or find a run that fits a budget.

    Times a few steps at two small sizes; counts memory from the network's layers. Where
    the default run does not fit, plans fewer steps and scales, or exact tiles.

    Args:
        transfer: a `StyleTransfer` of the wanted size.
        time: the most it may take: seconds, or a string such as "3 minutes"; or None.
        memory: the most the process may use: bytes, or a string such as "4 GB"; by
            default what the machine has available.
        steps, scales: as in `StyleTransfer.run`; None lets the plan choose.

    Returns:
        A `StylePlan`.

    Raises:
        DoesNotFit: where no run of this size fits; names the largest size that does.
        ValueError: for a budget that is not one, or another schedule.
    """
    if not hasattr(transfer, "loss_and_gradient"):
        raise refused("plan_style", "transfer", transfer, "a StyleTransfer")
    schedules = [check_schedule(transfer.size, scales, steps)]
    if steps is None and scales is None:
        schedules = _candidate_schedules(transfer.size)
    time = math.inf if time is None else budget("time", time)
    limit = memory_limit(memory)

    def seconds_at(size):
        ways = schedules if size == transfer.size else _candidate_schedules(size)
        return min(costs.seconds(transfer, *way) for way in ways) / _SAFETY

    for tile_size in (None, *(t for t in _TILE_SIZES if t < transfer.size)):
        memory_at = functools.partial(style_memory, transfer, tile_size=tile_size)
        if (peak := memory_at(transfer.size)) <= limit:
            break
    else:
        raise _too_little("memory", limit, memory_at, transfer, "more memory")
    costs = measure_style(transfer, tile_size)
    for scales, steps in schedules:
        took = costs.seconds(transfer, scales, steps)
        if took <= _SAFETY * time:
            return StylePlan(transfer, scales, steps, tile_size, took, peak)
    raise _too_little("time", time, seconds_at, transfer, "fewer steps or more time")


def _candidate_schedules(size):
    """Return pairs of scales and steps to choose from, the best first."""
    return [
        (scales, default_steps(scales, finest, 2.5 * finest))
        for finest in _FINEST_STEPS
        for scales in (default_scales(size), default_scales(size, ratio=2.0))
    ]


def _too_little(name, limit, needed, transfer, advice):
    size = transfer.size
    fitting = [smaller for smaller in range(64, size, 16) if needed(smaller) <= limit]
    advice = f"size={fitting[-1]} or less, or {advice}" if fitting else advice
    say = say_seconds if name == "time" else lambda most: f"{most / 1e9:.1f} GB"
    return DoesNotFit(
        f"plan_style: {name} is {say(limit)}, but must be at least "
        f"{say(needed(size))}, for size={size}. Use {advice}."
    )


class StyleCosts(NamedTuple):
    """What a transfer costs on this machine, in seconds."""

    scale: float  # per scale
    prepare: float  # per scale and pixel
    step: float  # per evaluation
    pixel: float  # per evaluation and pixel
    tile_size: int | None  # for which they hold

    def seconds(self, transfer, scales, steps):
        """Return the seconds of a run."""
        total = 0.0
        for size, count in zip(scales, steps, strict=True):
            pixels = sum(_tile_areas(transfer, size, self.tile_size))
            total += self.scale + self.prepare * pixels
            total += (_EVALUATIONS * count + 1) * (self.step + self.pixel * pixels)
        return total


def measure_style(transfer, tile_size=None, sizes=(128, 256)):
    """Time a few steps at some sizes, none above the transfer's: its `StyleCosts`."""
    pixels, seconds = [], []
    for size in sorted({min(size, transfer.size) for size in sizes}):
        prepare = functools.partial(transfer.objective, size)
        preparing = timeit(prepare, number=1)
        one = None if tile_size is None else size  # one tile: two passes, no halo
        evaluate = functools.partial(prepare(), tile_size=one)
        optimizer = LBFGS(transfer.start("content", size), evaluate)
        tracing, before = timeit(optimizer.step, number=1), optimizer.evaluations
        stepping = timeit(optimizer.step, number=2)
        seconds.append(stepping / (optimizer.evaluations - before))
        pixels.append(math.prod(transfer.shape_at(size)))
    # The first step evaluates twice; the rest of its time is tracing.
    scale = max(0.0, tracing - 2 * seconds[-1])
    # By least squares; a hiccup must not tilt the line far, nor make a step negative.
    origin = np.dot(pixels, seconds) / np.dot(pixels, pixels)
    pixel = np.polyfit(pixels, seconds, 1)[0] if len(pixels) > 1 else origin
    pixel = float(np.clip(pixel, 0.6 * origin, origin))
    step = max(0.0, float(np.mean(seconds) - pixel * np.mean(pixels)))
    return StyleCosts(scale, preparing / pixels[-1], step, pixel, tile_size)


def style_memory(transfer, size, tile_size=None):
    """Estimate the bytes of the process at the peak of a run to a size."""
    features, network, stride = transfer.features, 0.0, 1
    for layer in features.model.layers:
        output = layer.output
        stride *= getattr(layer, "strides", (1,))[0]
        network += tf.as_dtype(output.dtype).size * output.shape[-1] / stride**2
    targets = sum(
        4 * features.model.output[name].shape[-1] / features.strides[name] ** 2
        for name in transfer.content_layers
    )
    images = 3 * tf.as_dtype(transfer.dtype).size * _IMAGES
    whole = math.prod(_canvas(transfer, size)) * (images + targets)
    tile = max(_tile_areas(transfer, size, tile_size))
    return resident_memory() + _OVERHEAD + whole + _HELD * network * tile


def _canvas(transfer, size):
    return [side + 2 * MARGIN for side in transfer.shape_at(size)]


def _tile_areas(transfer, size, tile_size):
    """Return the pixels of each tile with its halo."""
    features, shape = transfer.features, _canvas(transfer, size)
    tiles = plan_tiles(*shape, tile_size, features.halo, max(features.strides.values()))
    boxes = (tile.outer for tile in tiles)
    return [(bottom - top) * (right - left) for top, bottom, left, right in boxes]

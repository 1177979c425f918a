"""How long a run will take and how much memory, before it starts; and what fits.

Two steps are timed on this machine, on small images, and carried over to the run by
what a step's work is made of: pixels. Memory is counted from the network's layers, and
for a CycleGAN, whose step is tried out at its full size, measured.
"""

from typing import NamedTuple

from gan_style.hardware.memory import (
    DoesNotFit,
    budget,
    memory_limit,
    say_seconds,
)
from gan_style.style_transfer.checkpoints import Run, default_scales, default_steps
from gan_style.style_transfer.costs import measure_style, style_memory
from gan_style.utils.checks import summarize

_MARGIN = 0.9  # of a budget is planned with: a measurement of two steps is no oath
_TILE_SIZES = (None, 1024, 768, 512, 384, 256, 192, 128)
_FINEST_STEPS = (60, 50, 40, 30, 25, 20, 15)  # below, the finest scale stays a blur


class StylePlan(NamedTuple):
    """A run that fits, from `plan_style`: print it, change its mind, or `paint()`.

    Fields: `scales`, `steps` and `optimizer` as `StyleTransfer.run` takes them,
    `tile_size` as `StyleTransfer` does; the `seconds` it will take, and the `memory`
    in bytes, the whole process at its peak; `transfer`, the one that was asked about.
    """

    transfer: object
    scales: list
    steps: list
    tile_size: int | None
    optimizer: str
    seconds: float
    memory: float

    def paint(self, **options):
        """Runs as planned; `options` are further ones of `StyleTransfer.run`."""
        self.transfer.tile_size = self.tile_size
        return self.transfer.run(
            self.steps, self.scales, optimizer=self.optimizer, **options
        )

    def __str__(self):
        height, width = self.transfer.shape_at(self.scales[-1])
        pieces = f"tiles of {self.tile_size}" if self.tile_size else "in one piece"
        scales = ", ".join(
            f"{steps} at {scale}"
            for steps, scale in zip(self.steps, self.scales, strict=True)
        )
        return (
            f"{width} x {height} px, {pieces}; steps of {self.optimizer}: {scales}; "
            f"about {say_seconds(self.seconds)} and {self.memory / 1e9:.1f} GB"
        )


def plan_style(
    transfer,
    time=None,
    memory=None,
    steps=None,
    scales=None,
    optimizer="lbfgs",
    costs=None,
    machine=None,
):
    """Says what a run of style transfer takes, or what run fits a budget.

    Times two steps each at two small sizes, which takes some seconds. Where the
    default run does not fit, takes fewer steps and scales for the time, and tiles for
    the memory; the result of a tiled run is the same.

    Args:
        transfer: a `StyleTransfer`, with the size that is wanted.
        steps: as in `StyleTransfer.run`, or None to leave them to the plan.
        scales: the same.
        time: the most it may take: seconds, or a word such as "3 minutes"; or None.
        memory: the most the process may use: bytes, or a word such as "4 GB"; by
            default what the machine has left.
        optimizer: as in `StyleTransfer.run`.
        costs: `measure_style` of an earlier plan, to spare the measurement.
        machine: a `Machine`; `this_machine()` by default.

    Returns:
        A `StylePlan`.

    Raises:
        DoesNotFit: where no run of this size does; it says the largest size that does.
        ValueError: for a budget that is none, or an unknown optimizer.
    """
    if not hasattr(transfer, "loss_and_gradient"):
        raise ValueError(
            f"plan_style: transfer is {summarize(transfer)}, but must be a "
            "StyleTransfer."
        )
    ways = _candidate_schedules(transfer, steps, scales, optimizer)
    time = None if time is None else budget("time", time)
    tile_size = _largest_tiles(transfer, memory_limit(memory, machine), optimizer)
    if costs is None or costs.tile_size != tile_size:
        costs = measure_style(transfer, tile_size)
    if time is not None:
        fitting = [w for w in ways if costs.seconds(transfer, *w) <= _MARGIN * time]
        ways = fitting or _refuse_time(transfer, costs, time, ways)
    scales, steps = ways[0]
    return StylePlan(
        transfer,
        scales,
        steps,
        tile_size,
        optimizer,
        costs.seconds(transfer, scales, steps),
        style_memory(transfer, transfer.size, tile_size, optimizer),
    )


def _candidate_schedules(transfer, steps=None, scales=None, optimizer="lbfgs"):
    """Scales and steps to choose from, the best first; or those that are given."""
    if steps is not None or scales is not None:
        run = Run(transfer, steps, scales, optimizer, {})
        return [(run.scales, run.steps)]
    Run(transfer, None, None, optimizer, {})
    return _schedules_at(transfer.size)


def _schedules_at(size):
    ways = []
    for finest in _FINEST_STEPS:
        for ratio in (2**0.5, 2.0):
            scales = default_scales(size, ratio=ratio)
            ways.append((scales, default_steps(scales, finest, most=2.5 * finest)))
    return ways


def _largest_tiles(transfer, room, optimizer):
    """The largest tiles that fit, None for the whole; or says what would."""
    tried = [t for t in _TILE_SIZES if t is None or t < transfer.size]
    for tile_size in tried:
        if style_memory(transfer, transfer.size, tile_size, optimizer) <= room:
            return tile_size
    least = style_memory(transfer, transfer.size, tried[-1], optimizer)
    fits = _largest(
        transfer,
        lambda size: style_memory(transfer, size, tried[-1], optimizer) <= room,
    )
    advice = f"give size={fits} or less" if fits else "no size fits"
    if optimizer == "lbfgs" and room >= style_memory(
        transfer, transfer.size, tried[-1], "adam"
    ):
        advice += ", or optimizer='adam', which remembers fewer images"
    raise DoesNotFit(
        f"memory: got {room / 1e9:.1f} GB, but size={transfer.size} takes "
        f"{least / 1e9:.1f} GB even in tiles; {advice}, or give more memory."
    )


def _refuse_time(transfer, costs, time, ways):
    def least(ways):
        return min(costs.seconds(transfer, *way) for way in ways) / _MARGIN

    fits = _largest(transfer, lambda size: least(_schedules_at(size)) <= time)
    advice = f"give size={fits} or less" if fits else "no size fits"
    raise DoesNotFit(
        f"time: got {say_seconds(time)}, but size={transfer.size} takes "
        f"{say_seconds(least(ways))} with {ways[-1][1][-1]} steps at the finest "
        f"scale; {advice}, or give more time."
    )


def _largest(transfer, fits, least=64):
    sizes = [size for size in range(least, transfer.size, 16) if fits(size)]
    return sizes[-1] if sizes else None

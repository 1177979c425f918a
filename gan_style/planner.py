"""How long a run will take and how much memory, before it starts; and what fits.

Two steps are timed on this machine, on small pictures, and carried over to the run by
what a step's work is made of: pixels. Memory is counted from the network's layers, and
for a CycleGAN, whose step is tried out at its full size, measured.
"""

import math
import time as clock
from typing import NamedTuple

import tensorflow as tf

from gan_style.budgets import (
    DoesNotFit,
    budget,
    forget_peak,
    resident_memory,
    say_seconds,
    this_machine,
)
from gan_style.checks import check_array, check_list, check_whole_number, shortly
from gan_style.style_costs import measure_style, style_memory
from gan_style.style_runs import Run, default_scales, default_steps

_MARGIN = 0.9  # of a budget is planned with: a measurement of two steps is no oath
_TILE_SIZES = (None, 1024, 768, 512, 384, 256, 192, 128)
_FINEST_STEPS = (60, 50, 40, 30, 25, 20, 15)  # below, the finest scale stays a blur

_SHAPE = "(count, height, width, channels)"
_PAPERS_EPOCHS = 200  # of training, as the CycleGAN paper has it


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


class TrainingPlan(NamedTuple):
    """What a training takes, from `plan_training`.

    Fields: `seconds_per_step`, `seconds_per_epoch`, the `epochs` that it is about,
    their `seconds` in all, and the `memory` in bytes, the whole process at its peak.
    """

    seconds_per_step: float
    seconds_per_epoch: float
    epochs: int
    seconds: float
    memory: float

    def __str__(self):
        return (
            f"{self.epochs} epochs of {say_seconds(self.seconds_per_epoch)} "
            f"({self.seconds_per_step:.3g} s a step): about "
            f"{say_seconds(self.seconds)} and {self.memory / 1e9:.1f} GB"
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
            f"plan_style: transfer is {shortly(transfer)}, but it has to be a "
            "StyleTransfer."
        )
    ways = _ways(transfer, steps, scales, optimizer)
    time = None if time is None else budget("time", time)
    tile_size = _largest_tiles(transfer, _room(memory, machine), optimizer)
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


def _ways(transfer, steps=None, scales=None, optimizer="lbfgs"):
    """Scales and steps to choose from, the best first; or those that are given."""
    if steps is not None or scales is not None:
        run = Run(transfer, steps, scales, optimizer, {})
        return [(run.scales, run.steps)]
    Run(transfer, None, None, optimizer, {})
    return _ways_at(transfer.size)


def _ways_at(size):
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
        advice += ", or optimizer='adam', which remembers fewer pictures"
    raise DoesNotFit(
        f"memory: got {room / 1e9:.1f} GB, but size={transfer.size} takes "
        f"{least / 1e9:.1f} GB even in tiles; {advice}, or give more memory."
    )


def _refuse_time(transfer, costs, time, ways):
    def least(ways):
        return min(costs.seconds(transfer, *way) for way in ways) / _MARGIN

    fits = _largest(transfer, lambda size: least(_ways_at(size)) <= time)
    advice = f"give size={fits} or less" if fits else "no size fits"
    raise DoesNotFit(
        f"time: got {say_seconds(time)}, but size={transfer.size} takes "
        f"{say_seconds(least(ways))} with {ways[-1][1][-1]} steps at the finest "
        f"scale; {advice}, or give more time."
    )


def _largest(transfer, fits, least=64):
    sizes = [size for size in range(least, transfer.size, 16) if fits(size)]
    return sizes[-1] if sizes else None


def _room(memory, machine):
    """The bytes that the process may come to, what it has already included."""
    if memory is not None:
        return budget("memory", memory)
    left = (machine or this_machine()).memory
    return math.inf if left is None else _MARGIN * left + (resident_memory() or 0)


def plan_training(
    model, batch, steps_per_epoch, epochs=None, time=None, memory=None, machine=None
):
    """Says what a training of a CycleGAN takes, by trying out two of its steps.

    The steps are real ones, of `fit`'s own compiled function; all that they change in
    the model is put back. Where no number of epochs is given, there are as many as
    fit the time, 200 at most.

    Args:
        model: a compiled `CycleGAN`.
        batch: a pair `(a, b)` of picture batches as it will be trained on, float32
            `(batch, height, width, 3)` in [-1, 1].
        steps_per_epoch: batches of an epoch.
        epochs: how many, or None.
        time: the most it may take: seconds, or a word such as "8 hours"; or None.
        memory: the most the process may use: bytes, or a word such as "4 GB"; by
            default what the machine has left.
        machine: a `Machine`; `this_machine()` by default.

    Returns:
        A `TrainingPlan`.

    Raises:
        DoesNotFit: where the epochs do not, or not even one does.
        ValueError: for a model that is not compiled, or a budget that is none.
    """
    if not getattr(model, "compiled", False):
        raise ValueError("plan_training: model is not compiled; call compile() first.")
    per_epoch = check_whole_number("plan_training", "steps_per_epoch", steps_per_epoch)
    if epochs is not None:
        epochs = check_whole_number("plan_training", "epochs", epochs)
    time = None if time is None else budget("time", time)
    room = _room(memory, machine)
    _check_training_memory(_least_training_memory(model, batch), room)
    step, peak = _try_training(model, batch)
    _check_training_memory(peak, room)
    fit = max(_PAPERS_EPOCHS, epochs or 1)
    if time is not None:
        fit = math.floor(_MARGIN * time / (step * per_epoch))
    if fit < (epochs or 1):
        raise DoesNotFit(
            f"time: got {say_seconds(time)}, but {epochs or 1} epochs of {per_epoch} "
            f"steps take {say_seconds((epochs or 1) * step * per_epoch / _MARGIN)}; "
            f"{f'give epochs={fit} or less' if fit else 'give fewer steps an epoch'}, "
            "smaller pictures or more time."
        )
    epochs = epochs or min(fit, _PAPERS_EPOCHS)
    epoch = step * per_epoch
    return TrainingPlan(step, epoch, epochs, epochs * epoch, peak)


def _check_training_memory(needed, room):
    if needed > room:
        raise DoesNotFit(
            f"memory: got {room / 1e9:.1f} GB, but a step takes at least "
            f"{needed / 1e9:.1f} GB; give smaller batches or pictures, or more memory."
        )


def _try_training(model, batch):
    """Seconds of a step, and the process's memory at its peak, in bytes."""
    variables = _every_variable(model)
    before = [v.numpy() for v in variables]
    batches = iter(tf.data.Dataset.from_tensors(tuple(batch)).repeat())
    forget_peak()
    model.make_train_function()
    try:
        model.train_function(batches)  # compiles
        began = clock.perf_counter()
        for _ in range(2):
            logs = model.train_function(batches)
        for value in logs.values():
            float(value)  # a GPU may not be done yet
        taken = (clock.perf_counter() - began) / 2
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
    peak = resident_memory(peak=True) or 0.0
    copies = sum(value.nbytes for value in before)
    return taken / model.steps_per_execution, max(0.0, peak - copies)


def _every_variable(model):
    optimizers = (model.generator_optimizer, model.discriminator_optimizer)
    every = [*model.variables, *(v for o in optimizers for v in o.variables)]
    return list({id(v): v for v in every}.values())


def _least_training_memory(model, batch):
    """Bytes without which no step can be: what the generators must remember."""
    parts = check_list("plan_training", "batch", batch, "a pair of picture batches")
    if len(parts) != 2:
        raise ValueError(
            f"plan_training: batch has {len(parts)} parts, but it has to be a pair "
            "(a, b) of picture batches."
        )
    a, b = (
        check_array("plan_training", "a part of batch", part, 4, _SHAPE)
        for part in parts
    )
    pictures = len(a) + len(b)
    shapes = [layer.output.shape[1:] for layer in model.generator_ab.layers]
    floats = sum(math.prod(shape) for shape in shapes if None not in shape)
    return (resident_memory() or 0.0) + 4.0 * pictures * floats

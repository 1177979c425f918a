"""How long a training will take and how much memory, before it starts."""

import math
import time as clock
from typing import NamedTuple

import tensorflow as tf

from gan_style.hardware.memory import (
    DoesNotFit,
    budget,
    forget_peak,
    memory_limit,
    resident_memory,
    say_seconds,
)
from gan_style.utils.checks import check_array, check_int, check_list

_MARGIN = 0.9  # of a budget is planned with, as two steps are a small sample
_SHAPE = "(count, height, width, channels)"
_PAPERS_EPOCHS = 200  # of training, as the CycleGAN paper has it


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


def plan_training(
    model, batch, steps_per_epoch, epochs=None, time=None, memory=None, machine=None
):
    """Says what a training of a CycleGAN takes, by trying out two of its steps.

    The steps are real ones, of `fit`'s own compiled function; all that they change in
    the model is put back. Where no number of epochs is given, there are as many as
    fit the time, 200 at most.

    Args:
        model: a compiled `CycleGAN`.
        batch: a pair `(a, b)` of image batches as it will be trained on, float32
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
    per_epoch = check_int("plan_training", "steps_per_epoch", steps_per_epoch)
    if epochs is not None:
        epochs = check_int("plan_training", "epochs", epochs)
    time = None if time is None else budget("time", time)
    room = memory_limit(memory, machine)
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
            "smaller images or more time."
        )
    epochs = epochs or min(fit, _PAPERS_EPOCHS)
    epoch = step * per_epoch
    return TrainingPlan(step, epoch, epochs, epochs * epoch, peak)


def _check_training_memory(needed, room):
    if needed > room:
        raise DoesNotFit(
            f"memory: got {room / 1e9:.1f} GB, but a step takes at least "
            f"{needed / 1e9:.1f} GB; give smaller batches or images, or more memory."
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
    parts = check_list("plan_training", "batch", batch, "a pair of image batches")
    if len(parts) != 2:
        raise ValueError(
            f"plan_training: batch has {len(parts)} parts, but must be a pair "
            "(a, b) of image batches."
        )
    a, b = (
        check_array("plan_training", "a part of batch", part, 4, _SHAPE)
        for part in parts
    )
    images = len(a) + len(b)
    shapes = [layer.output.shape[1:] for layer in model.generator_ab.layers]
    floats = sum(math.prod(shape) for shape in shapes if None not in shape)
    return (resident_memory() or 0.0) + 4.0 * images * floats

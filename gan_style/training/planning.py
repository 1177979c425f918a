"""How long a training takes and how much memory, before it starts."""

import math
from time import perf_counter
from typing import NamedTuple

import tensorflow as tf

from gan_style.evaluation.metrics import check_count
from gan_style.hardware import memory as machine
from gan_style.training.checkpoints import state_variables
from gan_style.utils.checks import check_array, check_int

_MARGIN = 0.9  # of the time is used, as two steps are a small sample


class TrainingPlan(NamedTuple):
    """What a training needs; `memory` is in bytes, the whole process at its peak."""

    seconds_per_step: float
    seconds_per_epoch: float
    epochs: int
    seconds: float
    memory: float

    def __str__(self):
        each, total = map(machine.say_seconds, (self.seconds_per_epoch, self.seconds))
        return (
            f"{self.epochs} epochs of {each} ({self.seconds_per_step:.3g} s a step): "
            f"about {total} and {self.memory / 1e9:.1f} GB"
        )


def plan_training(model, batch, steps_per_epoch, epochs=None, time=None, memory=None):
    """Return a training's `TrainingPlan` from two steps, then restore the model.

    Args:
        model: a compiled `CycleGAN` or `Pix2Pix`.
        batch: a pair `(a, b)` of image batches as in the training, float32
            `(batch, height, width, channels)` in [-1, 1].
        steps_per_epoch: int from 1, batches of an epoch.
        epochs: int from 1, or None for as many as fit the time, 200 at most.
        time: the most it may take: seconds, or a text such as "8 hours"; or None.
        memory: the most the process may use: bytes, or a text such as "4 GB"; by
            default what the machine has left.

    Raises:
        DoesNotFit: if the epochs do not fit, or not even one.
        ValueError: for a model that is not compiled, or another budget.
    """
    owner, shape = "plan_training", "(count, height, width, channels)"
    if not getattr(model, "compiled", False):
        raise ValueError(f"{owner}: model must be compiled: call compile() first.")
    per_epoch = check_int(owner, "steps_per_epoch", steps_per_epoch)
    epochs = None if epochs is None else check_int(owner, "epochs", epochs)
    time = None if time is None else machine.budget("time", time)
    limit = machine.memory_limit(memory)
    check_count(owner, "batch", batch, 2, "a pair of image batches")
    parts = [check_array(owner, "batch", part, 4, shape) for part in batch]
    # A step needs at least the outputs of all layers of a generator.
    generator = next(layer for layer in model.layers if hasattr(layer, "layers"))
    shapes = [layer.output.shape[1:] for layer in generator.layers]
    floats = sum(math.prod(shape) for shape in shapes if None not in shape)
    peak = machine.resident_memory() + 4.0 * sum(map(len, parts)) * floats
    if peak <= limit:
        step, peak = _measure(model, parts)
    if peak > limit:
        raise machine.DoesNotFit(
            f"{owner}: memory is {limit / 1e9:.1f} GB, but must be at least "
            f"{peak / 1e9:.1f} GB. Pass smaller batches or images, or more memory."
        )
    epoch, least = step * per_epoch, epochs or 1
    fit = math.inf if time is None else math.floor(_MARGIN * time / epoch)
    if fit < least:
        needed = machine.say_seconds(least * epoch / _MARGIN)
        advice = f"epochs={fit} or less" if fit else "fewer steps"
        raise machine.DoesNotFit(
            f"{owner}: time is {machine.say_seconds(time)}, but must be at least "
            f"{needed} for {least} epochs of {per_epoch} steps. Pass {advice}, smaller "
            "images or more time."
        )
    epochs = epochs or min(fit, 200)  # the paper's
    return TrainingPlan(step, epoch, epochs, epochs * epoch, peak)


def _measure(model, batch):
    """Measure the seconds of a step, and the process's memory at its peak, in bytes."""
    state = [(variable, variable.numpy()) for variable in state_variables(model)]
    batches = iter(tf.data.Dataset.from_tensors(tuple(batch)).repeat())
    machine.forget_peak()
    model.make_train_function()
    try:
        model.train_function(batches)  # compiles
        began = perf_counter()
        for _ in range(2):
            logs = model.train_function(batches)
        for value in logs.values():
            float(value)  # waits for a GPU
        seconds = (perf_counter() - began) / 2
    finally:
        for variable, value in state:
            variable.assign(value)
    peak = machine.resident_memory(peak=True) - sum(value.nbytes for _, value in state)
    return seconds / model.steps_per_execution, max(0.0, peak)

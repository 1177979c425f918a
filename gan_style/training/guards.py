"""What `fit` of a GAN refuses or mentions before the first step."""

import warnings

import keras
import numpy as np
import tensorflow as tf

from gan_style.utils.checks import check_range

_SCHEDULE = keras.optimizers.schedules.LearningRateSchedule
_RATE_CALLBACKS = (
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.LearningRateScheduler,
)


def rate_of(optimizer):
    """The learning rate at the optimizer's step, as a float."""
    rate = optimizer.learning_rate  # of several replicas, a variable without float()
    return float(rate.numpy() if hasattr(rate, "numpy") else rate)


class BothOptimizers:
    """What callbacks find as `model.optimizer`: they act on both optimizers."""

    built = True
    weights = ()

    def __bool__(self):
        return False  # for what Keras does with a model's only optimizer

    def __init__(self, *optimizers):
        self.optimizers = optimizers

    @property
    def learning_rate(self):
        """The first optimizer's; setting it changes both in proportion."""
        return self.optimizers[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, rate):
        factor = float(rate) / rate_of(self.optimizers[0])
        for optimizer in self.optimizers:
            optimizer.learning_rate = rate_of(optimizer) * factor


def check_channels(model):
    """Refuses a `CycleGAN` whose networks disagree on the domains' channels."""
    ab, ba = model.generator_ab, model.generator_ba
    a, b = ab.input_shape[-1], ba.input_shape[-1]
    for name, network, got, expected in (
        ("generator_ab", ab, ab.output_shape[-1], b),
        ("generator_ba", ba, ba.output_shape[-1], a),
        ("discriminator_a", model.d_A, model.d_A.input_shape[-1], a),
        ("discriminator_b", model.d_B, model.d_B.input_shape[-1], b),
    ):
        if None not in (got, expected) and got != expected:
            end = "gives" if network in (ab, ba) else "expects"
            raise ValueError(
                f"CycleGAN: {name} {end} images of {got} channels, but its domain "
                f"has {expected}. Build the networks for one number a domain."
            )
    if model.identity_weight and a != b:
        raise ValueError(
            f"CycleGAN: identity_weight is {model.identity_weight:g}, but A has "
            f"{a} channels and B {b}, so no image is its own translation. Pass "
            "identity_weight=0, or images of as many channels."
        )


def check_data(model, owner, data):
    """Refuses data that would spoil a training silently.

    Args:
        model: an `AdversarialModel`.
        owner: who asks, for the errors.
        data: pairs of a name and what was passed: arrays and tensors are looked
            through, of a `tf.data.Dataset` the `element_spec`.

    Raises:
        ValueError: for numbers that are not finite or not in [-1, 1], a dataset of
            another type than float, or one whose batches are no pairs.
    """
    for name, value in data:
        if isinstance(value, tf.data.Dataset):
            _check_spec(model, owner, name, value.element_spec)
            continue
        for array in keras.tree.flatten(value):
            if isinstance(array, np.ndarray) or tf.is_tensor(array):
                check_range(owner, name, array)


def _check_spec(model, owner, name, spec):
    if not isinstance(spec, tuple) or len(spec) < 2:
        raise ValueError(
            f"{owner}: {name} is a dataset of {spec}, but must hold pairs (a, b) of "
            "image batches. Zip two datasets: tf.data.Dataset.zip((a, b))."
        )
    for part, shape in zip(spec[:2], model.batch_shapes(), strict=True):
        dtype, given = getattr(part, "dtype", None), getattr(part, "shape", None)
        if dtype is None or not dtype.is_floating:
            raise ValueError(
                f"{owner}: {name} is a dataset of {getattr(dtype, 'name', part)}, but "
                "must hold float32 in [-1, 1]. Add "
                ".map(lambda a, b: (tf.cast(a, 'float32') / 127.5 - 1, "
                "tf.cast(b, 'float32') / 127.5 - 1))."
            )
        if given.rank is not None and not given.is_compatible_with(shape):
            raise ValueError(
                f"{owner}: {name} is a dataset of images {tuple(given)}, but the "
                f"networks were built for {tuple(shape)}. Batch and resize the "
                "images, or build the networks for theirs."
            )


def check_replicas(model, owner, x, batch_size):
    """Refuses batches that leave a replica without an image at the first step."""
    replicas = model.distribute_strategy.num_replicas_in_sync
    if replicas == 1:
        return
    if isinstance(x, tf.data.Dataset):
        first = keras.tree.flatten(x.element_spec)[0].shape
        batch_size = first[0] if first.rank else None
    elif hasattr(x, "__len__"):
        batch_size = min(batch_size or 32, len(x))
    if batch_size is not None and batch_size % replicas:
        raise ValueError(
            f"{owner}: batch_size is {batch_size}, but must be a multiple of the "
            f"{replicas} replicas, which share each batch. Pass "
            f"batch_size={-(-batch_size // replicas) * replicas}."
        )


def check_callbacks(model, owner, callbacks):
    """Refuses callbacks that would fail at the end of an epoch; returns a list."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    callbacks = keras.tree.flatten(callbacks) if callbacks else []
    optimizers = (model.generator_optimizer, model.discriminator_optimizer)
    for callback in callbacks:
        name = type(callback).__name__
        if isinstance(callback, keras.callbacks.SwapEMAWeights):
            raise ValueError(
                f"{owner}: callbacks holds {name}, but this model keeps averages of "
                "its own. Pass average_decay to CycleGAN instead."
            )
        scheduled = any(isinstance(o._learning_rate, _SCHEDULE) for o in optimizers)
        if isinstance(callback, _RATE_CALLBACKS) and scheduled:
            raise ValueError(
                f"{owner}: callbacks holds {name}, but generator_optimizer or "
                "discriminator_optimizer has a schedule, which sets the rate itself. "
                "Compile with numbers as rates, or leave the callback out."
            )
    return callbacks


class WarnOfZeroRates(keras.callbacks.Callback):
    """Says once that a schedule has ended, so that steps would change nothing."""

    said = False

    def on_epoch_begin(self, epoch, logs=None):
        rates = [rate_of(o) for o in self.model.optimizer.optimizers]
        if not self.said and not any(rates):
            self.said = True
            warnings.warn(
                "fit: both learning rates are 0, as their schedules have ended, so no "
                "weight will change. Compile again with new optimizers to train on.",
                stacklevel=2,
            )

"""What a GAN refuses or mentions before the first step."""

import inspect
import warnings

import keras
import tensorflow as tf

from gan_style.utils.checks import check_range, refused


def check_networks(owner, networks):
    """Refuse networks, by name, that are no built models of their own."""
    if keras.backend.backend() != "tensorflow":
        expected = "tensorflow. Set KERAS_BACKEND=tensorflow before Python starts"
        raise refused(owner, "Keras' backend", keras.backend.backend(), expected)
    names = {}
    for name, network in networks.items():
        if not isinstance(network, keras.Model) or not network.built:
            expected = "a built keras.Model, such as one of gan_style.models"
            raise refused(owner, name, network, expected)
        if (other := names.setdefault(id(network), name)) != name:
            expected = f"another model than {other}. Build one for each"
            raise refused(owner, name, network, expected)


def check_shapes(owner, remedy="Build the networks for the same images.", **images):
    """Refuse networks whose images have another shape than those of the others."""
    for name, (shape, expected) in images.items():
        if not tf.TensorShape(shape).is_compatible_with(expected):
            expected = f"{expected[1:]}. {remedy}".removesuffix(".")
            raise refused(owner, f"shape of images for {name}", shape[1:], expected)


def check_weights(owner, model):
    """Refuse networks without weights that training can change."""
    for kind in ("generator", "discriminator"):
        if not (variables := model.variables_of(kind)):
            raise ValueError(
                f"{owner}: no {kind} has a trainable weight. Unfreeze one, and compile."
            )
        for variable in variables:
            if variable.dtype in ("bfloat16", "float16"):
                expected = "float32: its rounding is finer than an optimizer's steps"
                expected += f". Build the networks under mixed_{variable.dtype}"
                raise refused(owner, variable.path, variable.dtype, expected)


def check_call(model, method, args, kwargs):
    """Bind a call of a method of Keras; refuse data that would spoil a training."""
    owner = f"{type(model).__name__}.{method}"
    signature = inspect.signature(getattr(keras.Model, method))
    given = signature.bind(model, *args, **kwargs).arguments
    del given["self"]
    given |= given.pop("kwargs", {})
    for name in ("sample_weight", "class_weight"):
        if given.get(name) is not None:
            raise ValueError(f"{owner}: {name} must be None: all images count alike.")
    for name in ("x", "y", "validation_data"):
        value, shapes = given.get(name), model.batch_shapes()
        if isinstance(value, tf.data.Dataset):
            if value.cardinality() == 0:
                raise ValueError(f"{owner}: {name} has 0 batches, but must have some.")
            _check_spec(owner, name, value.element_spec, shapes)
            continue
        if isinstance(value, keras.utils.PyDataset):
            value = value[0]
        parts = value if isinstance(value, (tuple, list)) else [value]
        for part, shape in zip(parts, shapes[name == "y" :], strict=False):
            if hasattr(part, "__array__"):
                check_range(owner, name, part)
                remedy = "The first axis counts images."
                check_shapes(owner, remedy, **{name: (part.shape, shape)})
    replicas = model.distribute_strategy.num_replicas_in_sync
    if method in ("fit", "evaluate", "predict"):
        x, size = given.get("x"), given.get("batch_size")
        if isinstance(x, tf.data.Dataset):
            size = _first_batch(x, replicas)
            if method == "fit":
                given.setdefault("shuffle", False)  # Keras cannot, and would warn
            if method == "fit" and _uses_generator(x):
                warnings.warn(
                    f"{owner}: x uses tf.data.Dataset.from_generator, after which "
                    "TensorFlow returns memory to the system in every step; on a CPU "
                    "that can cost a third of the time. Use tf.numpy_function instead.",
                    stacklevel=3,
                )
        elif isinstance(x, (tuple, list)) or hasattr(x, "__array__"):
            count = len(keras.tree.flatten(x)[0])
            size = min(size or 32, count)
            if method == "predict":  # Keras would give a replica nothing
                check_batch_size(owner, count % size, replicas, "the last batch")
        check_batch_size(owner, size, replicas)
    size, data = given.get("validation_batch_size"), given.get("validation_data")
    size = _first_batch(data, replicas) if isinstance(data, tf.data.Dataset) else size
    check_batch_size(owner, size, replicas, "validation_batch_size")
    return given


def _first_batch(dataset, replicas):
    """Return the size of the first batch, which is read only if replicas share it."""
    shape = keras.tree.flatten(dataset.element_spec)[0].shape
    if replicas > 1 and shape.rank and shape[0] is None:
        shape = keras.tree.flatten(next(iter(dataset)))[0].shape
    return shape[0] if shape.rank else None


def check_float(owner, *images):
    """Refuse whole numbers at the door that every batch passes."""
    for part in images:
        if not keras.backend.is_float_dtype(part.dtype):
            expected = "float32 in [-1, 1]. Pass images / 127.5 - 1"
            raise refused(owner, "dtype of a batch", part.dtype.name, expected)


def _uses_generator(dataset):
    function = getattr(getattr(dataset, "_map_func", None), "function", None)
    graph = function.graph.as_graph_def().SerializeToString() if function else b""
    return b"GeneratorDataset" in graph or any(map(_uses_generator, dataset._inputs()))


def _check_spec(owner, name, spec, shapes):
    parts = spec if isinstance(spec, tuple) else [spec]
    for part, shape in zip(parts, shapes, strict=False):
        known = isinstance(part, tf.TensorSpec) and part.dtype.is_floating
        if not known or not part.shape.is_compatible_with(shape):
            expected = f"float32 {shape} in [-1, 1]. Batch and resize the images, and "
            expected += "map uint8 by tf.cast(image, 'float32') / 127.5 - 1"
            raise refused(owner, f"the dataset {name}", part, expected)


def check_batch_size(owner, size, replicas, name="batch_size"):
    """Refuse batches that replicas cannot share."""
    if size is not None and size % replicas:
        fitting = max(replicas, size - size % replicas)
        expected = f"a multiple of the {replicas} replicas, which share it"
        raise refused(owner, name, size, f"{expected}. Use {fitting}")


def check_callbacks(model, owner, callbacks):
    """Refuse callbacks that would fail at the end of an epoch; return a list."""
    callbacks = getattr(callbacks, "callbacks", callbacks)  # of a CallbackList
    callbacks = keras.tree.flatten(callbacks) if callbacks else []
    known, schedules = keras.callbacks, keras.optimizers.schedules
    unfit, rates = (known.SwapEMAWeights,), schedules.LearningRateSchedule
    if any(isinstance(_given_rate(o), rates) for o in model.optimizer.both):
        unfit += (known.ReduceLROnPlateau, known.LearningRateScheduler)
    for callback in callbacks:
        if isinstance(callback, unfit):
            expected = "left out, as average_decay or a schedule of rates does its work"
            expected += ". Or compile with numbers as rates"
            raise refused(owner, "a callback", callback, expected)
    return callbacks


def _given_rate(optimizer):  # a schedule too; loss scaling has another one
    return getattr(optimizer, "inner_optimizer", optimizer)._learning_rate


def rate_of(optimizer):
    """Return the learning rate at the optimizer's step, as a float."""
    rate = optimizer.learning_rate  # of several replicas, a variable without float()
    return float(rate.numpy() if hasattr(rate, "numpy") else rate)


class BothOptimizers:
    """What callbacks find as `model.optimizer`: they act on both optimizers."""

    built, weights = True, ()
    inner_optimizer = property(lambda self: self.both[0])  # whose rate TensorBoard logs

    def __init__(self, *optimizers):
        self.both = optimizers  # Keras sets what is in `optimizers` one by one

    def __bool__(self):
        return False  # for what Keras does with a model's only optimizer

    def __getattr__(self, name):
        raise AttributeError(
            f"model.optimizer, which stands for both optimizers, has no {name}. Use "
            "model.generator_optimizer or model.discriminator_optimizer."
        )

    @property
    def learning_rate(self):
        """The first optimizer's; setting it changes both in proportion."""
        rate = _Rate(rate_of(self.both[0]))
        rate.assign = lambda new: setattr(self, "learning_rate", new)
        return rate

    @learning_rate.setter
    def learning_rate(self, rate):
        # Never to 0, from which no factor leads back; a rate that is 0 stays 0.
        rate = max(float(rate), 1e-30)
        factor = rate / (rate_of(self.both[0]) or rate)
        for optimizer in self.both:
            optimizer.learning_rate = rate_of(optimizer) * factor


class _Rate(float):
    """A rate as a callback reads it, which it may also assign to."""

    numpy = float.__float__


def warn_of_ended(model):
    """Warn of schedules at whose end nothing is learned any more."""
    schedule = keras.optimizers.schedules.LearningRateSchedule
    for kind in ("generator", "discriminator"):
        optimizer = getattr(model, f"{kind}_optimizer")
        rate, now = _given_rate(optimizer), int(optimizer.iterations.numpy())
        steps = (now, now + 1, now + 1000)
        if isinstance(rate, schedule) and not any(float(rate(n)) for n in steps):
            warnings.warn(
                f"fit: the schedule of the learning rate of {kind}_optimizer has ended "
                f"at 0, so no {kind} will change. Compile again with new optimizers.",
                stacklevel=2,
            )


class KeepInStep(keras.callbacks.Callback):
    """As the last one, makes averages and optimizers follow what others restore."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.follow_weights()
        self.trained = int(self.model.steps_done.numpy())
        both = self.model.optimizer.both
        self.made = [(o, int(o.iterations.numpy())) for o in both]

    def on_train_end(self, logs=None):
        self.model.follow_weights()
        steps = int(self.model.steps_done.numpy())
        for optimizer, made in getattr(self, "made", ()):
            if made == int(optimizer.iterations.numpy()):  # else restored, as well
                # Loss scaling leaves steps out, so there may be fewer.
                optimizer.iterations.assign(max(0, made - self.trained + steps))

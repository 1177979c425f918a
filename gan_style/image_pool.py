"""The pool of earlier fakes, whose whole state is Keras variables."""

import random

import keras
from keras import layers, ops

from gan_style.utils.checks import check_int


@keras.saving.register_keras_serializable(package="gan_style")
class ImagePool(layers.Layer):
    """Hands the discriminator earlier fakes now and then.

    Follows Shrivastava et al. (2017) as CycleGAN does: the pool first fills up, every
    fake being handed on as it is. Once it is full, each fake has an even chance to be
    handed on, or to take the place of a random image of the pool, which is handed on
    instead. Within one batch these places are different ones.

    The images, how many they are and the random state are Keras variables: saving
    the model saves them, and a resumed training draws as if it had never stopped.

    Under TensorFlow's distribution every replica has a pool of its own, with draws of
    its own.

    Args:
        size: images to keep; 0 hands every fake on.
        seed: integer for the random draws, or None.

    Call arguments:
        fakes: float `(batch, height, width, channels)`, with a known image shape.

    Returns:
        Images for the discriminator, of the same shape and dtype.

    >>> import numpy as np
    >>> fakes = np.ones((1, 4, 4, 3), "float32")
    >>> bool(np.all(ImagePool(size=2, seed=0)(fakes) == fakes))
    True
    """

    def __init__(self, size=50, seed=None, **kwargs):
        # Fakes are kept and handed on as precisely as they come.
        super().__init__(autocast=False, **kwargs)
        self.input_spec = layers.InputSpec(ndim=4)
        self.size = check_int("ImagePool", "size", size, minimum=0)
        self.seed = seed
        if seed is not None:
            self.seed = check_int("ImagePool", "seed", seed, minimum=0)

    def build(self, input_shape):
        if self.size == 0:
            return
        shape = tuple(input_shape[1:])
        if None in shape:
            raise ValueError(
                f"ImagePool: the images' shape is {shape}, but a pool needs a fixed "
                "height, width and number of channels, such as (128, 128, 3)."
            )
        key = random.randrange(2**31) if self.seed is None else self.seed % 2**31
        self.images = self.add_weight(
            shape=(self.size, *shape),
            initializer="zeros",
            trainable=False,
            autocast=False,
            name="pictures",
        )
        # "int" is the kind that stays on the GPU: with TensorFlow int64, not int32.
        self.count = self.add_weight(
            shape=(), initializer="zeros", trainable=False, dtype="int", name="count"
        )
        self.random_state = self.add_weight(
            shape=(2,),
            initializer=lambda shape, dtype: ops.convert_to_tensor([key, 0], dtype),
            trainable=False,
            dtype="int",
            name="random_state",
        )

    def call(self, fakes):
        if self.size == 0:
            return fakes
        # A batch larger than the pool hands the images beyond its size straight on.
        fakes, beyond = fakes[: self.size], fakes[self.size :]
        batch = ops.shape(fakes)[0]
        count = ops.cast(self.count, "int32")
        place = count + ops.arange(batch, dtype="int32")
        full = ops.equal(count, self.size)
        # Every fake gets a place of its own, so that no two of them write to one.
        numbers = self._draw(2 * self.size)
        drawn = ops.cast(ops.argsort(numbers[: self.size])[:batch], "int32")
        slots = ops.where(full, drawn, place % self.size)
        swaps = ops.logical_and(full, numbers[self.size :][:batch] < 0.5)
        keeps = ops.logical_or(swaps, place < self.size)

        new = ops.cast(fakes, self.variable_dtype)
        old = ops.take(self.images, slots, axis=0)
        handed_on = ops.where(_per_image(swaps), old, new)
        self._store(slots, ops.where(_per_image(keeps), new, old))
        self.count.assign(
            ops.cast(ops.minimum(count + batch, self.size), self.count.dtype)
        )
        handed_on = ops.cast(handed_on, fakes.dtype)
        return ops.concatenate([handed_on, beyond], axis=0)

    def _draw(self, how_many):
        # Not keras.random: compiled by XLA it draws other numbers from the same seed,
        # and the state of its SeedGenerator is not saved with the model.
        key, step = ops.unstack(ops.cast(self.random_state, "uint32"))
        self.random_state.assign_add([0, 1])
        index = ops.cast(ops.arange(how_many, dtype="int32"), "uint32")
        bits = _scramble(index + _scramble(step + _scramble(key + _replica_key())))
        return (
            ops.cast(ops.right_shift(bits, ops.cast(8, "uint32")), "float32") / 2.0**24
        )

    def _store(self, slots, images):
        if keras.backend.backend() == "tensorflow":
            # In place: the pool is hundreds of times larger than what changes in it.
            import tensorflow as tf

            self.images.value.scatter_update(tf.IndexedSlices(images, slots))
        else:
            self.images.assign(ops.scatter_update(self.images, slots[:, None], images))

    def save_own_variables(self, store):
        """Saves the pools of this process's further replicas as well."""
        super().save_own_variables(store)
        for i, variable in enumerate(self.variables):
            for replica, copy in enumerate(_on_replicas(variable)[1:], 1):
                store[f"{i}_on_replica_{replica}"] = copy.numpy()

    def load_own_variables(self, store):
        """Gives each replica its own pool back, where there are as many as then."""
        names = list(store.keys())
        first = {name: store[name] for name in names if "_on_replica_" not in name}
        super().load_own_variables(first)
        for i, variable in enumerate(self.variables):
            for replica, copy in enumerate(_on_replicas(variable)[1:], 1):
                if f"{i}_on_replica_{replica}" in names:
                    copy.assign(store[f"{i}_on_replica_{replica}"])

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "size": self.size, "seed": self.seed}


def _replica_key():
    """What sets the draws of one replica apart from those of another; 0 for one."""
    if keras.backend.backend() != "tensorflow":
        return ops.convert_to_tensor(0, "uint32")
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    number = 0 if context is None else context.replica_id_in_sync_group
    return _scramble(ops.cast(number, "uint32"))


def _on_replicas(variable):
    """The copies of a variable on each replica of this process."""
    strategy = getattr(variable.value, "distribute_strategy", None)
    if strategy is None:
        return (variable.value,)
    return strategy.experimental_local_results(variable.value)


def _scramble(numbers):
    # The finalizer of MurmurHash3: every bit of a number turns about half of the
    # result's 32. The mask is for PyTorch, whose uint32 is Keras' int64.
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        factor = ops.convert_to_tensor(factor, "uint32")
        numbers = (
            ops.bitwise_xor(
                numbers, ops.right_shift(numbers, ops.cast(shift, "uint32"))
            )
            * factor
        )
        numbers = ops.bitwise_and(numbers, ops.convert_to_tensor(2**32 - 1, "uint32"))
    return numbers


def _per_image(flags):
    return ops.reshape(flags, (-1, 1, 1, 1))

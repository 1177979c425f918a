"""The layers that Keras lacks: instance norm, reflection padding, fake-picture pool.

All of them work on channels-last pictures, `(batch, height, width, channels)`.
"""

import numbers
import random

import keras
from keras import layers, ops

from gan_style.checks import check_number, check_whole_number


@keras.saving.register_keras_serializable(package="gan_style")
class InstanceNormalization(layers.Layer):
    """Normalises every channel of every picture to mean 0 and variance 1.

    Follows Ulyanov et al., "Instance Normalization: The Missing Ingredient for Fast
    Stylization" (2016), without learned scale and shift, as CycleGAN uses it. Mean and
    variance are taken in float32 under every precision policy.

    Args:
        epsilon: positive number added to the variance.

    Call arguments:
        images: `(batch, height, width, channels)`, any height and width.

    Returns:
        A tensor of the same shape, in the layer's compute dtype.

    >>> import numpy as np
    >>> y = InstanceNormalization()(np.random.rand(2, 8, 8, 3).astype("float32"))
    >>> bool(np.abs(np.mean(y, axis=(1, 2))).max() < 1e-5)
    True
    """

    def __init__(self, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.input_spec = layers.InputSpec(ndim=4)
        self.epsilon = check_number("InstanceNormalization", "epsilon", epsilon)
        if self.epsilon == 0:
            raise ValueError(
                "InstanceNormalization: epsilon is 0, but it has to be a positive "
                "number such as 1e-5, or a constant picture divides by 0."
            )

    def call(self, images):
        given = keras.backend.standardize_dtype(images.dtype)
        precise = images if given == "float64" else ops.cast(images, "float32")
        mean = ops.mean(precise, axis=(1, 2), keepdims=True)
        centred = precise - mean
        # The two-pass variance: the shorter E[x^2] - E[x]^2 cancels for a channel
        # whose mean is large against its deviation.
        variance = ops.mean(ops.square(centred), axis=(1, 2), keepdims=True)
        normalised = centred * ops.rsqrt(variance + self.epsilon)
        return ops.cast(normalised, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="gan_style")
class ReflectionPadding2D(layers.Layer):
    """Pads height and width by mirroring the picture at its border.

    The border pixel itself is not repeated, as with NumPy's `reflect` and PyTorch's
    `ReflectionPad2d`. It spares a convolution the dark frame that padding with zeros
    draws.

    Args:
        padding: pixels added at each of the four sides, or a pair
            `((top, bottom), (left, right))`.

    Call arguments:
        images: `(batch, height, width, channels)`; height and width have to be larger
            than the padding.

    >>> import numpy as np
    >>> row = np.arange(3.0, dtype="float32").reshape(1, 1, 3, 1)
    >>> layer = ReflectionPadding2D(((0, 0), (2, 1)))
    >>> np.ravel(layer(row)).tolist()
    [2.0, 1.0, 0.0, 1.0, 2.0, 1.0]
    """

    def __init__(self, padding=1, **kwargs):
        super().__init__(**kwargs)
        self.input_spec = layers.InputSpec(ndim=4)
        self.padding = self._as_pairs(padding)

    @staticmethod
    def _as_pairs(padding):
        try:
            if isinstance(padding, numbers.Number):
                sides = (padding,) * 4
            else:
                (top, bottom), (left, right) = padding
                sides = (top, bottom, left, right)
            sides = [check_whole_number("", "", n, least=0) for n in sides]
        except (TypeError, ValueError):
            raise ValueError(
                f"ReflectionPadding2D: padding is {padding!r}, but it has to be a "
                "whole number of pixels from 0, or ((top, bottom), (left, right))."
            ) from None
        return (tuple(sides[:2]), tuple(sides[2:]))

    def call(self, images):
        for axis, name in ((1, "height"), (2, "width")):
            side, most = images.shape[axis], max(self.padding[axis - 1])
            if side is not None and side <= most:
                raise ValueError(
                    f"ReflectionPadding2D: the {name} is {side}, but a mirror of "
                    f"{most} pixels needs at least {most + 1}. Pad less, or resize "
                    "the picture."
                )
            images = _reflect(images, axis, *self.padding[axis - 1])
        return images

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        sides = (
            None if side is None else side + sum(pair)
            for side, pair in zip((height, width), self.padding, strict=True)
        )
        return (batch, *sides, channels)

    def get_config(self):
        return {**super().get_config(), "padding": self.padding}


def _reflect(images, axis, before, after):
    # Written with single rows and columns because their gradient is cheap everywhere;
    # TensorFlow's own mirror padding has a slow gradient on the CPU.
    def line(start):
        index = [slice(None)] * 4
        index[axis] = slice(start, start + 1 or None)
        return images[tuple(index)]

    if before == after == 0:
        return images
    first = [line(i) for i in range(before, 0, -1)]
    last = [line(-2 - i) for i in range(after)]
    return ops.concatenate([*first, images, *last], axis=axis)


@keras.saving.register_keras_serializable(package="gan_style")
class UpsamplingConv2D(layers.Layer):
    """Doubles a picture by nearest neighbour, then convolves it with a 4x4 kernel.

    The same function, and the same weights, as `UpSampling2D(2)` followed by
    `Conv2D(filters, 4, padding="same")`, with 9/16 of the multiplications: four
    neighbouring output pixels see the same 3x3 input pixels, so one 3x3 convolution to
    four times the filters on the small picture, with sums of the kernel's taps, gives
    all four.

    Args:
        filters: channels of the result.
        use_bias: whether a bias is added.
        kernel_initializer: as in `Conv2D`.

    Call arguments:
        images: `(batch, height, width, channels)`.

    Returns:
        `(batch, 2 * height, 2 * width, filters)`.

    >>> import numpy as np
    >>> UpsamplingConv2D(5)(np.zeros((1, 4, 6, 2), "float32")).shape
    TensorShape([1, 8, 12, 5])
    """

    # Row p, tap a, kernel row u: the kernel rows that fall on input row i - 1 + a when
    # output row 2 i + p is computed.
    _TAPS = (
        ((1, 0, 0, 0), (0, 1, 1, 0), (0, 0, 0, 1)),
        ((0, 0, 0, 0), (1, 1, 0, 0), (0, 0, 1, 1)),
    )

    def __init__(
        self,
        filters,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.input_spec = layers.InputSpec(ndim=4)
        self.filters = check_whole_number("UpsamplingConv2D", "filters", filters)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        # Kept in float32 under every policy: the taps are summed before they are
        # rounded.
        self.kernel = self.add_weight(
            shape=(4, 4, input_shape[-1], self.filters),
            initializer=self.kernel_initializer,
            name="kernel",
            autocast=False,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(self.filters,), initializer="zeros", name="bias"
            )

    def call(self, images):
        kernel = ops.cast(self._phase_kernel(), self.compute_dtype)
        phases = ops.conv(images, kernel, padding="same", data_format="channels_last")
        result = ops.depth_to_space(phases, 2, data_format="channels_last")
        return result if self.bias is None else result + self.bias

    def _phase_kernel(self):
        channels = self.kernel.shape[2]
        taps = ops.convert_to_tensor(self._TAPS, dtype=self.kernel.dtype)
        # One small matrix for rows and columns at once: (p, q, a, b) x (u, v).
        both = ops.reshape(ops.einsum("pau,qbv->pqabuv", taps, taps), (36, 16))
        summed = ops.matmul(both, ops.reshape(self.kernel, (16, -1)))
        summed = ops.reshape(summed, (4, 9, channels, self.filters))
        # The four phases next to each other, as `depth_to_space` reads them.
        summed = ops.transpose(summed, (1, 2, 0, 3))
        return ops.reshape(summed, (3, 3, channels, 4 * self.filters))

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        doubled = (side and 2 * side for side in (height, width))
        return (batch, *doubled, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@keras.saving.register_keras_serializable(package="gan_style")
class ImagePool(layers.Layer):
    """Hands the discriminator earlier fakes now and then.

    Follows Shrivastava et al. (2017) as CycleGAN does: the pool first fills up, every
    fake being handed on as it is. Once it is full, each fake has an even chance to be
    handed on, or to take the place of a random picture of the pool, which is handed on
    instead. Within one batch these places are different ones.

    The pictures, how many they are and the random state are Keras variables: saving
    the model saves them, and a resumed training draws as if it had never stopped.

    Under TensorFlow's distribution every replica has a pool of its own, with draws of
    its own.

    Args:
        size: pictures to keep; 0 hands every fake on.
        seed: whole number for the random draws, or None.

    Call arguments:
        fakes: float `(batch, height, width, channels)`, with a known picture shape.

    Returns:
        Pictures for the discriminator, of the same shape and dtype.

    >>> import numpy as np
    >>> fakes = np.ones((1, 4, 4, 3), "float32")
    >>> bool(np.all(ImagePool(size=2, seed=0)(fakes) == fakes))
    True
    """

    def __init__(self, size=50, seed=None, **kwargs):
        # Fakes are kept and handed on as precisely as they come.
        super().__init__(autocast=False, **kwargs)
        self.input_spec = layers.InputSpec(ndim=4)
        self.size = check_whole_number("ImagePool", "size", size, least=0)
        self.seed = seed
        if seed is not None:
            self.seed = check_whole_number("ImagePool", "seed", seed, least=0)

    def build(self, input_shape):
        if self.size == 0:
            return
        shape = tuple(input_shape[1:])
        if None in shape:
            raise ValueError(
                f"ImagePool: the pictures' shape is {shape}, but a pool needs a fixed "
                "height, width and number of channels, such as (128, 128, 3)."
            )
        key = random.randrange(2**31) if self.seed is None else self.seed % 2**31
        self.pictures = self.add_weight(
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
        # A batch larger than the pool hands the pictures beyond its size straight on.
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
        old = ops.take(self.pictures, slots, axis=0)
        handed_on = ops.where(_per_picture(swaps), old, new)
        self._store(slots, ops.where(_per_picture(keeps), new, old))
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

    def _store(self, slots, pictures):
        if keras.backend.backend() == "tensorflow":
            # In place: the pool is hundreds of times larger than what changes in it.
            import tensorflow as tf

            self.pictures.value.scatter_update(tf.IndexedSlices(pictures, slots))
        else:
            self.pictures.assign(
                ops.scatter_update(self.pictures, slots[:, None], pictures)
            )

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


def _per_picture(flags):
    return ops.reshape(flags, (-1, 1, 1, 1))

"""The layers that Keras lacks: instance norm, reflection padding, fake-image pool.

All of them work on channels-last images, `(batch, height, width, channels)`. A `call`
defines its layer; `accelerate` lets a faster path compute the same where there is one.
"""

import numbers
import random
from functools import partial

import keras
from keras import layers, ops

from gan_style.hardware.conv2d import accelerate, fast_conv2d, fast_norm, fast_upsample
from gan_style.hardware.devices import PerReplicaState, replica_id
from gan_style.hardware.memory import write_rows
from gan_style.utils.checks import check_int, check_number, refused
from gan_style.utils.counter_random import mix_bits, uniform

register = keras.saving.register_keras_serializable(package="gan_style")


@register
class InstanceNormalization(layers.Layer):
    """Normalize every channel of every image to mean 0 and variance 1.

    Follows Ulyanov et al., "Instance Normalization: The Missing Ingredient for Fast
    Stylization" (2016), without learned scale and shift, as CycleGAN uses it. Mean and
    variance are computed in float32 under every precision policy.

    Args:
        epsilon: float added to the variance, 1e-5 by default.

    Call arguments:
        images: `(batch, height, width, channels)`, any height and width.

    Returns:
        A tensor of the same shape, in the layer's compute dtype.

    Raises:
        ValueError: unless epsilon is positive.

    >>> y = InstanceNormalization()(keras.random.uniform((2, 8, 8, 3)))
    >>> bool(ops.max(ops.abs(ops.mean(y, axis=(1, 2)))) < 1e-5)
    True
    """

    def __init__(self, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.input_spec = layers.InputSpec(ndim=4)
        self.epsilon = check_number("InstanceNormalization", "epsilon", epsilon, 1e-12)

    @accelerate(fast_norm)
    def call(self, images, training=None):
        if keras.backend.standardize_dtype(images.dtype) != "float64":
            images = ops.cast(images, "float32")
        centred = images - ops.mean(images, axis=(1, 2), keepdims=True)
        # Not E[x^2] - E[x]^2, which cancels where the mean is large.
        variance = ops.mean(ops.square(centred), axis=(1, 2), keepdims=True)
        normalized = centred * ops.rsqrt(variance + self.epsilon)
        return ops.cast(normalized, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


@register
class ReflectionPadding2D(layers.Layer):
    """Pad height and width by mirroring the image at its border.

    Like NumPy's `reflect` and PyTorch's `ReflectionPad2d`, it does not repeat the
    border pixel. It avoids the dark frame that zero padding can cause.

    Args:
        padding: pixels at each side, 1 by default, or `((top, bottom), (left, right))`.

    Call arguments:
        images: `(batch, height, width, channels)`, higher and wider than the padding.

    Returns:
        A tensor of the same dtype with the padded height and width.

    Raises:
        ValueError: for another padding or smaller images.

    >>> row = ops.reshape(ops.arange(3.0), (1, 1, 3, 1))
    >>> [float(x) for x in ops.ravel(ReflectionPadding2D(((0, 0), (2, 1)))(row))]
    [2.0, 1.0, 0.0, 1.0, 2.0, 1.0]
    """

    def __init__(self, padding=1, **kwargs):
        super().__init__(**kwargs)
        self.input_spec = layers.InputSpec(ndim=4)
        same = isinstance(padding, numbers.Number)
        try:
            (top, bottom), (left, right) = ((padding,) * 2,) * 2 if same else padding
            sides = [check_int("", "", n, 0) for n in (top, bottom, left, right)]
        except (TypeError, ValueError):
            expected = "an integer of pixels from 0, or ((top, bottom), (left, right))"
            raise refused("ReflectionPadding2D", "padding", padding, expected) from None
        self.padding = (tuple(sides[:2]), tuple(sides[2:]))

    def call(self, images):
        sides = zip(("height", "width"), images.shape[1:3], self.padding, strict=True)
        for name, side, pair in sides:
            if side is not None and side <= max(pair):
                expected = f"at least {max(pair) + 1}. Pad less, or resize the image"
                raise refused("ReflectionPadding2D", f"the {name}", side, expected)
        return ops.pad(images, ((0, 0), *self.padding, (0, 0)), mode="reflect")

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        down, across = map(sum, self.padding)
        return (batch, height and height + down, width and width + across, channels)

    def get_config(self):
        return {**super().get_config(), "padding": self.padding}


@register
class Conv2D(layers.Conv2D):
    """Convolve images: `keras.layers.Conv2D`, channels last by default.

    Arguments, weights and results, to rounding, are those of Keras' layer.

    >>> tuple(Conv2D(16, 4, strides=2, padding="same")(ops.zeros((1, 10, 18, 4))).shape)
    (1, 5, 9, 16)
    """

    def __init__(self, *args, data_format="channels_last", **kwargs):
        super().__init__(*args, data_format=data_format, **kwargs)

    @accelerate(fast_conv2d)
    def call(self, images, training=None):
        return super().call(images)


@register
class UpsampleConv2D(layers.Layer):
    """Double height and width by nearest neighbour, then convolve with a 4x4 kernel.

    The same function, and the same weights, as `UpSampling2D(2)` followed by
    `Conv2D(filters, 4, padding="same")`.

    Args:
        filters: channels of the result, from 1.
        use_bias, kernel_initializer: as in `Conv2D`.

    Call arguments:
        images: `(batch, height, width, channels)`.

    Returns:
        `(batch, 2 * height, 2 * width, filters)`.

    Raises:
        ValueError: unless filters is a positive integer.

    >>> tuple(UpsampleConv2D(5)(ops.zeros((1, 4, 6, 2))).shape)
    (1, 8, 12, 5)
    """

    def __init__(
        self, filters, use_bias=True, kernel_initializer="glorot_uniform", **kwargs
    ):
        super().__init__(**kwargs)
        self.input_spec = layers.InputSpec(ndim=4)
        self.filters = check_int("UpsampleConv2D", "filters", filters)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        shape = (4, 4, input_shape[-1], self.filters)
        # Faster paths sum weights before they round them.
        options = {"name": "kernel", "autocast": False}
        self.kernel = self.add_weight(shape, self.kernel_initializer, **options)
        weight = partial(self.add_weight, (self.filters,), "zeros", name="bias")
        self.bias = weight() if self.use_bias else None

    @accelerate(fast_upsample)
    def call(self, images, training=None):
        images = ops.repeat(ops.repeat(images, 2, axis=1), 2, axis=2)
        kernel = ops.cast(self.kernel, self.compute_dtype)
        result = ops.conv(images, kernel, padding="same", data_format="channels_last")
        return result if self.bias is None else result + self.bias

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (batch, height and 2 * height, width and 2 * width, self.filters)

    def get_config(self):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        own = {"filters": self.filters, "use_bias": self.use_bias}
        return {**super().get_config(), **own, "kernel_initializer": initializer}


@register
class ImagePool(PerReplicaState, layers.Layer):
    """Hand the discriminator earlier fakes now and then.

    Follows Shrivastava et al. (2017) as CycleGAN does: the pool first fills up with
    the fakes, which are all handed on unchanged. Once it is full, each fake is handed
    on with probability 1/2; otherwise it replaces a random image of the pool, which is
    handed on instead. Within one batch, these images are different ones.

    Its state is in variables, each replica's own, so a model resumes bit for bit.

    Args:
        size: images to keep, 50 by default; with 0 every fake is handed on.
        seed: integer from 0 for the random numbers, or None.

    Call arguments:
        fakes: float `(batch, height, width, channels)`, all but the batch known.

    Returns:
        Images for the discriminator, of the same shape and dtype.

    Raises:
        ValueError: for another size or seed, or images of unknown shape.

    >>> pool = ImagePool(size=1, seed=0)
    >>> [int(ops.max(pool(ops.full((1, 4, 4, 3), float(n))))) for n in range(6)]
    [0, 1, 0, 2, 4, 5]
    """

    def __init__(self, size=50, seed=None, **kwargs):
        # Fakes are kept and handed on in the precision that they come in.
        super().__init__(autocast=False, **kwargs)
        self.input_spec = layers.InputSpec(ndim=4)
        self.size = check_int("ImagePool", "size", size, minimum=0)
        self.seed = None if seed is None else check_int("ImagePool", "seed", seed, 0)

    def build(self, input_shape):
        if self.size == 0:
            return
        shape = tuple(input_shape[1:])
        if None in shape:
            raise ValueError(
                f"ImagePool: images are {shape}, but must have a fixed height, width "
                "and number of channels. Build the networks for one size, or keep no "
                "pool: CycleGAN(..., pool_size=0)."
            )
        key = random.randrange(2**31) if self.seed is None else self.seed % 2**31
        weight = partial(self.add_weight, trainable=False, autocast=False)
        self.images = weight((self.size, *shape), "zeros", name="pictures")
        # "int" stays on a GPU: with TensorFlow it is int64.
        self.count = weight((), "zeros", dtype="int", name="count")
        start = keras.initializers.Constant([key, 0])
        self.random_state = weight((2,), start, dtype="int", name="random_state")

    def call(self, fakes):
        if self.size == 0:
            return fakes
        # Of a batch larger than the pool, the images beyond its size are handed on.
        fakes, beyond = fakes[: self.size], fakes[self.size :]
        batch = ops.shape(fakes)[0]
        count = ops.cast(self.count, "int32")
        position = count + ops.arange(batch, dtype="int32")
        full = ops.equal(count, self.size)
        seed, calls = ops.unstack(ops.cast(self.random_state, "uint32"))
        self.random_state.assign_add([0, 1])
        drawn = uniform(2 * self.size, seed + mix_bits(replica_id()), calls)
        # Each fake has its own slot, so that no two are written to one.
        shuffled = ops.cast(ops.argsort(drawn[: self.size])[:batch], "int32")
        slots = ops.where(full, shuffled, position % self.size)
        swaps = ops.logical_and(full, drawn[self.size :][:batch] < 0.5)
        keeps = ops.logical_or(swaps, position < self.size)

        new = ops.cast(fakes, self.variable_dtype)
        old = ops.take(self.images, slots, axis=0)
        handed_on = ops.where(ops.reshape(swaps, (-1, 1, 1, 1)), old, new)
        kept = ops.where(ops.reshape(keeps, (-1, 1, 1, 1)), new, old)
        write_rows(self.images, slots, kept)
        count = ops.minimum(count + batch, self.size)
        self.count.assign(ops.cast(count, self.count.dtype))
        return ops.concatenate([ops.cast(handed_on, fakes.dtype), beyond], axis=0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "size": self.size, "seed": self.seed}


# Models saved by version 0.1 have these layers, and their weights, under other names.
for _name in ("EncoderConv2D", "BlockConv2D", "ToPictureConv2D"):
    register(type(_name, (Conv2D,), {}))
register(type("UpsamplingConv2D", (UpsampleConv2D,), {}))

"""The layers that Keras lacks: instance norm, reflection padding, fake-image pool.

All of them work on channels-last images, `(batch, height, width, channels)`.
"""

import numbers
from functools import partial

import keras
from keras import layers, ops

from gan_style.hardware import im2col as cpu_conv
from gan_style.hardware import winograd
from gan_style.image_pool import ImagePool
from gan_style.utils.checks import check_int, check_number

__all__ = [
    "ImagePool",
    "InstanceNormalization",
    "ReflectionPadding2D",
    "UpsampleConv2D",
]


@keras.saving.register_keras_serializable(package="gan_style")
class InstanceNormalization(layers.Layer):
    """Normalises every channel of every image to mean 0 and variance 1.

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
                "InstanceNormalization: epsilon is 0, but must be a positive "
                "number such as 1e-5, or a constant image divides by 0."
            )

    def call(self, images, training=None):
        given = keras.backend.standardize_dtype(images.dtype)
        if training and keras.backend.backend() == "tensorflow" and given != "float64":
            return _normalise_at_once(
                ops.cast(images, self.compute_dtype), self.epsilon
            )
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


def _normalise_at_once(images, epsilon):
    """The same in one of TensorFlow's operations, batch norm, and its gradient in one.

    A batch norm takes its mean over images as well. So a few images go in one by
    one, and more of them as one image whose channels are those of all. Export formats
    do not know it in this mode, and so it serves in training alone.
    """
    import tensorflow as tf

    if images.shape[0] in (1, 2, 3, 4):
        singles = tf.split(images, images.shape[0])
        return tf.concat([_batch_norm(single, epsilon) for single in singles], 0)
    batch, height, width, _ = tf.unstack(tf.shape(images))
    channels = images.shape[-1]
    side_by_side = tf.reshape(
        tf.transpose(images, (1, 2, 0, 3)), (1, height, width, batch * channels)
    )
    normalised = _batch_norm(side_by_side, epsilon)
    apart = tf.reshape(normalised, (height, width, batch, channels))
    return tf.ensure_shape(tf.transpose(apart, (2, 0, 1, 3)), images.shape)


def _batch_norm(images, epsilon):
    import tensorflow as tf

    channels = tf.shape(images)[-1:]
    return tf.raw_ops.FusedBatchNormV3(
        x=images,
        scale=tf.ones(channels),
        offset=tf.zeros(channels),
        mean=tf.zeros(0),
        variance=tf.zeros(0),
        epsilon=epsilon,
        is_training=True,
    ).y


@keras.saving.register_keras_serializable(package="gan_style")
class ReflectionPadding2D(layers.Layer):
    """Pads height and width by mirroring the image at its border.

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
            sides = [check_int("", "", n, minimum=0) for n in sides]
        except (TypeError, ValueError):
            raise ValueError(
                f"ReflectionPadding2D: padding is {padding!r}, but must be a "
                "integer of pixels from 0, or ((top, bottom), (left, right))."
            ) from None
        return (tuple(sides[:2]), tuple(sides[2:]))

    def call(self, images):
        for axis, name in ((1, "height"), (2, "width")):
            side, most = images.shape[axis], max(self.padding[axis - 1])
            if side is not None and side <= most:
                raise ValueError(
                    f"ReflectionPadding2D: the {name} is {side}, but a mirror of "
                    f"{most} pixels needs at least {most + 1}. Pad less, or resize "
                    "the image."
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
    # TensorFlow's own mirror padding has a slow gradient on the CPU.
    if before == after == 0:
        return images
    side = images.shape[axis]
    if side is None:
        parts, line = [images], partial(_line, images, axis)
    else:
        # Cut into parts once: the gradient of that is one concatenation, while each
        # single slice would have a whole image of zeros, all to be added up.
        cuts = {*range(1, before + 2), *range(side - 1 - after, side)} - {0, side}
        parts = ops.split(images, sorted(cuts), axis=axis)
        beginnings = [0, *sorted(cuts)]
        line = {
            at - i * side: part
            for at, part in zip(beginnings, parts, strict=True)
            for i in (0, 1)
        }.__getitem__
    first = [line(i) for i in range(before, 0, -1)]
    last = [line(-2 - i) for i in range(after)]
    return ops.concatenate([*first, *parts, *last], axis=axis)


def _line(images, axis, at):
    index = [slice(None)] * 4
    index[axis] = slice(at, at + 1 or None)
    return images[tuple(index)]


@keras.saving.register_keras_serializable(package="gan_style")
class UpsampleConv2D(layers.Layer):
    """Doubles an image by nearest neighbour, then convolves it with a 4x4 kernel.

    The same function, and the same weights, as `UpSampling2D(2)` followed by
    `Conv2D(filters, 4, padding="same")`, with 9/16 of the multiplications: four
    neighbouring output pixels see the same 3x3 input pixels, so one 3x3 convolution to
    four times the filters on the small image, with sums of the kernel's taps, gives
    all four. In training on a CPU, many filters take `winograd.upsample`, and a quarter
    of those multiplications.

    Args:
        filters: channels of the result.
        use_bias: whether a bias is added.
        kernel_initializer: as in `Conv2D`.

    Call arguments:
        images: `(batch, height, width, channels)`.

    Returns:
        `(batch, 2 * height, 2 * width, filters)`.

    >>> import numpy as np
    >>> UpsampleConv2D(5)(np.zeros((1, 4, 6, 2), "float32")).shape
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
        self.filters = check_int("UpsampleConv2D", "filters", filters)
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

    def call(self, images, training=None):
        result = self._shortest(images) if training else None
        if result is None:
            result = self._by_phases(images)
        return result if self.bias is None else result + self.bias

    def _shortest(self, images):
        if not cpu_conv.on_cpu() or not winograd.upsample_is_faster(
            images.shape, self.kernel.shape, self.compute_dtype
        ):
            return None
        images, kernel = (
            ops.cast(x, self.compute_dtype) for x in (images, self.kernel)
        )
        return winograd.upsample(images, kernel)

    def _by_phases(self, images):
        kernel = ops.cast(self._phase_kernel(), self.compute_dtype)
        phases = ops.conv(images, kernel, padding="same", data_format="channels_last")
        return self._interleaved(phases)

    @staticmethod
    def _interleaved(phases):
        if hasattr(ops, "depth_to_space"):
            return ops.depth_to_space(phases, 2, data_format="channels_last")
        # Keras 3.12, the last for Python 3.10, lacks it.
        _, height, width, channels = ops.shape(phases)
        phases = ops.reshape(phases, (-1, height, width, 2, 2, channels // 4))
        phases = ops.transpose(phases, (0, 1, 3, 2, 4, 5))
        return ops.reshape(phases, (-1, 2 * height, 2 * width, channels // 4))

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

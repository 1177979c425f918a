"""Convolutions of the networks, written so that a CPU does them fast."""

from functools import partial

import keras
import numpy as np
from keras import layers, ops

from gan_style.hardware import im2col as cpu_conv
from gan_style.hardware import winograd
from gan_style.utils.checks import check_int


class _PlainConv2D(layers.Conv2D):
    """`Conv2D` in steps of one pixel, without padding, channels last."""

    def __init__(self, filters, kernel_size, **kwargs):
        name = type(self).__name__
        check_int(name, "filters", filters)
        kwargs.setdefault("data_format", "channels_last")
        super().__init__(filters, kernel_size, **kwargs)
        fixed = {
            "strides": (1, 1),
            "dilation_rate": (1, 1),
            "groups": 1,
            "padding": "valid",
            "data_format": "channels_last",
        }
        for option, only in fixed.items():
            if getattr(self, option) != only:
                raise ValueError(
                    f"{name}: {option} is {getattr(self, option)!r}, but must be "
                    f"{only!r}. For others there is keras.layers.Conv2D."
                )


@keras.saving.register_keras_serializable(package="gan_style")
class ToPictureConv2D(_PlainConv2D):
    """A large kernel to a few channels: `Conv2D`, the same weights, the same result.

    TensorFlow's gradient of a convolution to 3 channels leaves most of a CPU idle: the
    7x7 kernel that ends a ResNet generator takes longer to differentiate than all of
    the layers in front of it. So every row of the kernel becomes channels of its own,
    here 7 x 3, of a convolution with a kernel one row high; its outputs, each shifted
    by its row, are added up, by a convolution with ones and zeros. Hardly more
    multiplications, in a shape that processors like.

    Args:
        filters: channels of the result, such as the 3 of an image.
        kernel_size: as for `Conv2D`.
        **kwargs: what else `Conv2D` takes, but for strides, dilation, groups and
            padding, which stay 1, 1, 1 and "valid".

    Call arguments:
        images: `(batch, height, width, channels)`, padded as far as that is wanted.

    Returns:
        `(batch, height - kernel height + 1, width - kernel width + 1, filters)`.

    Raises:
        ValueError: for another stride, dilation, padding or order of the axes.

    >>> import numpy as np
    >>> layer = ToPictureConv2D(3, 7)
    >>> tuple(layer(np.zeros((1, 14, 22, 4), "float32")).shape)
    (1, 8, 16, 3)
    """

    def call(self, images):
        height, width, channels, filters = self.kernel.shape
        kernel = ops.transpose(ops.cast(self.kernel, self.compute_dtype), (1, 2, 0, 3))
        kernel = ops.reshape(kernel, (1, width, channels, height * filters))
        images = ops.cast(images, self.compute_dtype)
        # One channel for every row of the kernel and every filter.
        parts = ops.conv(images, kernel, padding="valid", data_format="channels_last")
        # Added up in float32 under every policy, as within one convolution.
        total = ops.conv(
            ops.cast(parts, "float32"),
            self._row_by_row(height, filters),
            padding="valid",
            data_format="channels_last",
        )
        if self.use_bias:
            total = total + ops.cast(self.bias, "float32")
        return self.activation(ops.cast(total, self.compute_dtype))

    @staticmethod
    def _row_by_row(height, filters):
        """A kernel of ones and zeros: from each row, the channels that belong to it."""
        kernel = np.zeros((height, 1, height, filters, filters), "float32")
        for row in range(height):
            kernel[row, 0, row] = np.eye(filters)
        return ops.convert_to_tensor(kernel.reshape(height, 1, -1, filters))


class _FastTrainingPath:
    """What a convolution does in training on a CPU, where it has a shorter way."""

    def call(self, images, training=None):
        way = None
        if training and cpu_conv.on_cpu():
            way = self._shorter_way(images.shape)
        if way is None:
            return super().call(images)
        kernel, images = (
            ops.cast(x, self.compute_dtype) for x in (self.kernel, images)
        )
        result = way(images, kernel)
        if self.use_bias:
            result = result + ops.cast(self.bias, self.compute_dtype)
        return self.activation(result)


@keras.saving.register_keras_serializable(package="gan_style")
class BlockConv2D(_FastTrainingPath, _PlainConv2D):
    """The convolution of a residual block: `Conv2D`, the same weights, the same result.

    In training on a CPU it takes a shorter way, where that pays: `winograd.convolve`
    for many channels, and for fewer ones under bfloat16 the gradient of
    `cpu_conv.convolve`.

    Arguments, call and result are those of `ToPictureConv2D`.

    >>> import numpy as np
    >>> layer = BlockConv2D(16, 3)
    >>> tuple(layer(np.zeros((1, 10, 18, 4), "float32")).shape)
    (1, 8, 16, 16)
    """

    def _shorter_way(self, shape):
        square = winograd.winograd_tile_size(
            shape, self.kernel.shape, self.compute_dtype
        )
        if square:
            return partial(winograd.convolve, square=square)
        if cpu_conv.is_faster(self.kernel.shape, self.compute_dtype):
            return cpu_conv.convolve
        return None


@keras.saving.register_keras_serializable(package="gan_style")
class EncoderConv2D(_FastTrainingPath, layers.Conv2D):
    """A convolution of an encoder or a discriminator: `Conv2D`, for any stride.

    In training on a CPU under bfloat16 it has the gradient of `cpu_conv.convolve`,
    where that pays. Arguments, call and result are those of `Conv2D`.

    >>> import numpy as np
    >>> layer = EncoderConv2D(16, 4, strides=2, padding="same")
    >>> tuple(layer(np.zeros((1, 10, 18, 4), "float32")).shape)
    (1, 5, 9, 16)
    """

    def _shorter_way(self, _):
        plain = (
            self.strides[0] == self.strides[1]
            and self.dilation_rate == (1, 1)
            and self.groups == 1
            and self.data_format == "channels_last"
        )
        if plain and cpu_conv.is_faster(self.kernel.shape, self.compute_dtype):
            return partial(
                cpu_conv.convolve, step=self.strides[0], padding=self.padding.upper()
            )
        return None

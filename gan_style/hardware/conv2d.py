"""Which path computes a layer on this machine: Keras' operations or a faster one.

Each `fast_...` function computes a layer of `gan_style.layers`, or returns None where
Keras' own operations are at least as fast (`benchmarks/speed/layers.py`, two cores).
"""

import functools
import os

import keras
import numpy as np
from keras import ops

from gan_style.hardware import winograd
from gan_style.hardware.devices import instruction_sets, trains_on_cpu
from gan_style.hardware.memory import run_after, tf


def accelerate(fast):
    """Decorate a layer's `call`: where `fast` has a result, that is the layer's."""

    def decorate(call):
        @functools.wraps(call)
        def fast_or_plain(layer, images, training=None):
            enabled = os.environ.get("GAN_STYLE_FAST_CPU", "1") != "0"
            result = fast(layer, images, training) if enabled else None
            return call(layer, images, training) if result is None else result

        return fast_or_plain

    return decorate


def fast_conv2d(layer, images, training):
    """Compute a `Conv2D` layer of few filters, or in training on a CPU."""
    dtype, stride = layer.compute_dtype, layer.strides[0]
    options = layer.strides, layer.dilation_rate, layer.groups, layer.data_format
    if options != ((stride, stride), (1, 1), 1, "channels_last"):
        return None
    images, kernel = (ops.cast(x, dtype) for x in (images, layer.kernel))
    rows, _, channels, filters = kernel.shape
    valid = layer.padding == "valid" and stride == 1
    wide = min(channels, filters) >= 64 and dtype == "bfloat16"
    zeros = 1 if (layer.padding, stride, rows) == ("same", 1, 3) else 0  # around it
    shape = [side and side + 2 * zeros for side in images.shape[1:3]]
    tile_size = winograd_tile_size(shape, kernel.shape, dtype)
    if valid and rows >= 4 and filters <= 4 < channels:
        result = _conv2d_by_rows(images, kernel)
    elif not (training and trains_on_cpu()):
        return None
    elif (valid or zeros) and tile_size:
        height, width = (side - 2 for side in shape)  # of the result
        pads = [[zeros, zeros + -side % tile_size] for side in (height, width)]
        images = ops.pad(images, [[0, 0], *pads, [0, 0]])
        result = winograd.convolve(images, kernel, tile_size, not layer.trainable)
        result = result[:, :height, :width]
    elif wide and "avx512_bf16" in instruction_sets():
        result = conv2d_by_im2col(images, kernel, stride, layer.padding.upper())
    else:
        return None
    if layer.use_bias:
        result = result + ops.cast(layer.bias, result.dtype)
    return layer.activation(ops.cast(result, dtype))


def fast_upsample(layer, images, training):
    """Compute an `UpsampleConv2D` layer, by Winograd in training on a CPU."""
    dtype, kernel = layer.compute_dtype, layer.kernel
    images = ops.cast(images, dtype)
    fastest = upsample_is_faster(images.shape, kernel.shape, dtype)
    if fastest and training and trains_on_cpu():
        result = winograd.upsample(images, ops.cast(kernel, dtype))
    else:
        result = _upsample_by_phases(images, kernel, dtype)
    return result if layer.bias is None else result + layer.bias


def fast_norm(layer, images, training):
    """Compute an `InstanceNormalization` in training by TensorFlow's batch norm.

    That averages over images as well, so a few are normalized one by one, and more as
    one image with the channels of all. Export formats lack the operation.
    """
    tensorflow = keras.backend.backend() == "tensorflow"
    lacking = ("float64", "float16") if trains_on_cpu() else ("float64",)
    if not (training and tensorflow) or layer.compute_dtype in lacking:
        return None

    def batch_norm(images, channels):  # few operations: tracing takes long enough
        scale = {"scale": tf.ones([channels]), "offset": tf.zeros([channels])}
        scale["mean"] = scale["variance"] = tf.zeros([0])  # unused
        options = {"epsilon": layer.epsilon, "is_training": True}
        return [tf.raw_ops.FusedBatchNormV3(x=x, **scale, **options).y for x in images]

    images = ops.cast(images, layer.compute_dtype)
    batch, height, width, channels = ops.shape(images)
    if images.shape[0] in (1, 2, 3, 4):
        singles = [images] if batch == 1 else tf.split(images, batch)
        return tf.concat(batch_norm(singles, channels), 0)
    merged = tf.transpose(images, (1, 2, 0, 3))
    merged = tf.reshape(merged, (1, height, width, batch * channels))
    (merged,) = batch_norm([merged], batch * channels)
    merged = tf.reshape(merged, (height, width, batch, channels))
    return tf.ensure_shape(tf.transpose(merged, (2, 0, 1, 3)), images.shape)


def winograd_tile_size(sides, kernel_shape, dtype):
    """Return m where F(m x m, 3x3) is faster than TensorFlow's convolution, or None."""
    tile_size, channels = (4, 128) if dtype == "float32" else (2, 256)
    wide = tuple(kernel_shape[:2]) == (3, 3) and min(kernel_shape[2:]) >= channels
    fits = (n and ((n - 2) % tile_size == 0 or n > 8 * tile_size) for n in sides)
    return tile_size if wide and all(fits) and _winograd_suits(dtype) else None


def upsample_is_faster(images_shape, kernel_shape, dtype):
    """Return whether `winograd.upsample` is faster than `_upsample_by_phases`."""
    *_, height, width, _ = images_shape
    if None in (height, width) or height % 2 or width % 2:
        return False
    small = dtype == "bfloat16" and height * width <= 32 * 32
    return kernel_shape[-1] >= (32 if small else 64) and _winograd_suits(dtype)


def _winograd_suits(dtype):
    # Without AVX-512, TensorFlow sums products of bfloat16 matrices in bfloat16; with
    # AMX, the number of multiplications hardly counts.
    sets = instruction_sets() & {"avx512_bf16", "amx_bf16"}
    return dtype == "float32" or (dtype == "bfloat16" and sets == {"avx512_bf16"})


def _conv2d_by_rows(images, kernel):
    """Convolve a tall kernel to few filters, such as the 7x7 to RGB of a ResNet.

    TensorFlow's gradient of a convolution to 3 channels leaves most of a CPU idle. Here
    a convolution with a kernel one row high gives each row channels of its own, 7 x 3;
    a second one, of ones and zeros, sums the shifted rows in float32.
    """
    height, width, channels, filters = kernel.shape
    kernel = ops.transpose(kernel, (1, 2, 0, 3))
    kernel = ops.reshape(kernel, (1, width, channels, height * filters))
    shifts = np.eye(height * filters, dtype="float32")
    shifts = shifts.reshape(-1, height, 1, filters).transpose(1, 2, 0, 3)
    rows = ops.conv(images, kernel, padding="valid", data_format="channels_last")
    rows = ops.cast(rows, "float32")
    return ops.conv(rows, shifts, padding="valid", data_format="channels_last")


def conv2d_by_im2col(images, kernel, stride=1, padding="VALID"):
    """Convolve as `tf.nn.conv2d` does; the kernel's gradient is one matrix product.

    That gains more from bfloat16. The pixels under the kernel, at each of its places,
    are the rows of one matrix, and the upstream gradients there those of the other.
    """
    *sides, channels, filters = kernel.shape

    @tf.custom_gradient
    def forward(images, kernel):
        def gradient(upstream):
            shape = tf.shape(images)
            to_images = tf.nn.conv2d_transpose(upstream, kernel, shape, stride, padding)
            # Otherwise TensorFlow would pad and gather in the forward pass.
            (padded,) = run_after([upstream], images)
            if padding == "SAME":
                padded = _pad(padded, sides, stride)
            places = tf.reshape(winograd.windows(padded, sides, stride), (-1,))
            pixels = tf.gather(tf.reshape(padded, (-1, channels)), places)
            pixels = tf.reshape(pixels, (-1, sides[0] * sides[1] * channels))
            upstream = tf.reshape(upstream, (-1, filters))
            to_kernel = tf.matmul(pixels, upstream, transpose_a=True)
            return to_images, tf.reshape(to_kernel, kernel.shape)

        return tf.nn.conv2d(images, kernel, stride, padding), gradient

    return forward(images, kernel)


def _pad(images, sides, stride):
    """Add the zeros of TensorFlow's "SAME" padding."""
    lengths, sides = tf.shape(images)[1:3], tf.constant(sides)
    total = tf.maximum((-(-lengths // stride) - 1) * stride + sides - lengths, 0)
    pads = tf.stack([total // 2, total - total // 2], axis=1)
    return tf.pad(images, tf.pad(pads, [[1, 1], [0, 0]]))


def _upsample_by_phases(images, kernel, dtype):
    """Convolve the small images to four times the filters, one set for each phase.

    Four neighbouring outputs see the same 3x3 inputs: 9/16 of the multiplications.
    """
    channels, filters = kernel.shape[2:]
    taps = winograd.UPSAMPLING_TAPS
    # Both axes at once: phases (p, q) and inputs (a, b), of kernel taps (u, v).
    taps = np.einsum("pau,qbv->pqabuv", taps, taps).reshape(36, 16)
    kernel = ops.reshape(kernel, (16, -1))
    kernel = ops.matmul(ops.convert_to_tensor(taps, kernel.dtype), kernel)
    kernel = ops.transpose(ops.reshape(kernel, (4, 9, channels, -1)), (1, 2, 0, 3))
    kernel = ops.cast(ops.reshape(kernel, (3, 3, channels, -1)), dtype)
    phases = ops.conv(images, kernel, padding="same", data_format="channels_last")
    _, height, width, _ = ops.shape(images)
    phases = ops.reshape(phases, (-1, height, width, 2, 2, filters))
    phases = ops.transpose(phases, (0, 1, 3, 2, 4, 5))
    return ops.reshape(phases, (-1, 2 * height, 2 * width, filters))

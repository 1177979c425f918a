"""A convolution for CPUs: the gradient to its kernel is a product of two matrices."""

import keras

from gan_style.hardware.ordering import run_after


def on_cpu():
    """Whether `convolve` serves here: on TensorFlow, without a GPU."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_logical_devices("GPU")


def is_faster(kernel_shape, dtype):
    """Whether `convolve` is faster than TensorFlow's own.

    As measured on two cores of a CPU with AVX-512: in bfloat16, from 64 channels to 64.

    >>> is_faster((4, 4, 128, 256), "bfloat16"), is_faster((4, 4, 128, 256), "float32")
    (True, False)
    """
    return dtype == "bfloat16" and min(kernel_shape[2:]) >= 64


def convolve(images, kernel, step=1, padding="VALID"):
    """TensorFlow's convolution, with another way to the kernel's gradient.

    TensorFlow's own way gains little from bfloat16 on a CPU; products of matrices gain
    more. So the pixels under the kernel, at each of its places, become the row of one
    matrix ("im2col"), and what came back to that place the row of the other.

    Args:
        images: `(batch, height, width, channels)`.
        kernel: `(rows, columns, channels, filters)`, of the same dtype.
        step: pixels from one place to the next, down and across.
        padding: "VALID" or "SAME", as for `tf.nn.conv2d`.

    Returns:
        `(batch, new height, new width, filters)`.
    """
    import tensorflow as tf

    sides, channels, filters = kernel.shape[:2], *kernel.shape[2:]

    @tf.custom_gradient
    def forward(images, kernel):
        def gradient(slope):
            to_images = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(images),
                filter=kernel,
                out_backprop=slope,
                strides=[1, step, step, 1],
                padding=padding,
            )
            # Not before its turn: TensorFlow would pad and gather on the way forward.
            (padded,) = run_after([slope], images)
            if padding == "SAME":
                padded = _pad(padded, sides, step)
            pixels = tf.gather(
                tf.reshape(padded, (-1, channels)),
                tf.reshape(windows(padded, sides, step), (-1,)),
            )
            pixels = tf.reshape(pixels, (-1, sides[0] * sides[1] * channels))
            slope = tf.reshape(slope, (-1, filters))
            to_kernel = tf.matmul(pixels, slope, transpose_a=True)
            return to_images, tf.reshape(to_kernel, kernel.shape)

        return tf.nn.conv2d(images, kernel, step, padding), gradient

    return forward(images, kernel)


def windows(images, sides, step):
    """Where in a list of all pixels each window's are.

    Args:
        images: `(batch, height, width, channels)`.
        sides: (rows, columns) of a window.
        step: pixels from one window to the next, down and across.

    Returns:
        int32 `(batch, windows down, windows across, rows, columns)`.

    >>> import numpy as np
    >>> windows(np.zeros((1, 2, 3, 1)), (2, 2), 1).numpy().tolist()
    [[[[[0, 1], [3, 4]], [[1, 2], [4, 5]]]]]
    """
    import tensorflow as tf

    batch, height, width = _lengths(images)
    rows, columns = (
        tf.range(0, length - side + 1, step)[:, None] + tf.range(side)
        for length, side in zip((height, width), sides, strict=True)
    )
    within = rows[:, None, :, None] * width + columns[None, :, None, :]
    return tf.reshape(tf.range(batch), (-1, 1, 1, 1, 1)) * (height * width) + within


def _lengths(images):
    """Batch, height and width, as numbers where they are known."""
    import tensorflow as tf

    known, now = images.shape, tf.shape(images)
    return [now[i] if known[i] is None else known[i] for i in range(3)]


def _pad(images, sides, step):
    """With the zeros that TensorFlow's "SAME" pads."""
    import tensorflow as tf

    pads = []
    for length, side in zip(_lengths(images)[1:], sides, strict=True):
        total = tf.maximum((-(-length // step) - 1) * step + side - length, 0)
        pads.append([total // 2, total - total // 2])
    return tf.pad(images, [[0, 0], *pads, [0, 0]])

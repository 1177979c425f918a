"""A convolution for CPUs: the gradient to its kernel is a few products of matrices."""

import keras


def on_cpu():
    """Whether `convolve` serves here: on TensorFlow, without a GPU."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_logical_devices("GPU")


def convolve(images, kernel):
    """Convolves without padding, in steps of one pixel.

    The gradient to one tap of a kernel is the product of two matrices: the pictures,
    shifted by the tap, and what came back. TensorFlow's own gradient gains little from
    bfloat16 on a CPU; products of matrices gain more. Here the shifted pictures are
    slices of one long list of pixels, which need no copy where pixels are aligned in
    memory (32 channels of bfloat16 or a multiple); what came back is padded with zeros,
    so that pixels that do not belong together count nothing.

    Args:
        images: `(batch, height, width, channels)`.
        kernel: `(rows, columns, channels, filters)`, of the same dtype.

    Returns:
        `(batch, height - rows + 1, width - columns + 1, filters)`.
    """
    import tensorflow as tf

    rows, columns, channels, filters = kernel.shape

    @tf.custom_gradient
    def forward(images, kernel):
        def gradient(slope):
            to_images = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(images),
                filter=kernel,
                out_backprop=slope,
                strides=[1, 1, 1, 1],
                padding="VALID",
            )
            slope = tf.pad(slope, [[0, 0], [0, rows - 1], [0, columns - 1], [0, 0]])
            pixels = tf.reshape(images, (-1, channels))
            width = images.shape[2] or tf.shape(images)[2]
            shifts = [row * width + c for row in range(rows) for c in range(columns)]
            count = (pixels.shape[0] or tf.shape(pixels)[0]) - shifts[-1]
            slope = tf.reshape(slope, (-1, filters))[:count]
            taps = [
                tf.matmul(pixels[shift : shift + count], slope, transpose_a=True)
                for shift in shifts
            ]
            return to_images, tf.reshape(tf.stack(taps), kernel.shape)

        return tf.nn.conv2d(images, kernel, 1, "VALID"), gradient

    return forward(images, kernel)

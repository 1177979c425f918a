"""A convolution for CPUs whose kernel gradient is one product of two matrices.

That gains more from bfloat16 than TensorFlow's own. The pixels under the kernel, at
each of its places, are the rows of one matrix ("im2col"), and the upstream gradients of
these places the rows of the other.
"""

from gan_style.hardware.memory import run_after, tf


def convolve(images, kernel, stride=1, padding="VALID"):
    """Convolve as `tf.nn.conv2d` does, with im2col for the kernel's gradient."""
    *sides, channels, filters = kernel.shape

    @tf.custom_gradient
    def forward(images, kernel):
        def gradient(upstream):
            strides = [1, stride, stride, 1]
            backprop = tf.compat.v1.nn.conv2d_backprop_input
            to_images = backprop(tf.shape(images), kernel, upstream, strides, padding)
            # Otherwise TensorFlow would pad and gather in the forward pass.
            (padded,) = run_after([upstream], images)
            if padding == "SAME":
                padded = _pad(padded, sides, stride)
            places = tf.reshape(windows(padded, sides, stride), (-1,))
            pixels = tf.gather(tf.reshape(padded, (-1, channels)), places)
            pixels = tf.reshape(pixels, (-1, sides[0] * sides[1] * channels))
            upstream = tf.reshape(upstream, (-1, filters))
            to_kernel = tf.matmul(pixels, upstream, transpose_a=True)
            return to_images, tf.reshape(to_kernel, kernel.shape)

        return tf.nn.conv2d(images, kernel, stride, padding), gradient

    return forward(images, kernel)


def windows(images, sides, stride):
    """Index each window's pixels in a list of all: `(batch, down, across, *sides)`."""
    batch, *lengths, _ = tf.unstack(tf.shape(images))
    rows, columns = (
        tf.range(0, length - side + 1, stride)[:, None] + tf.range(side)
        for length, side in zip(lengths, sides, strict=True)
    )
    within = rows[:, None, :, None] * lengths[1] + columns[None, :, None, :]
    first = tf.range(batch) * (lengths[0] * lengths[1])
    return tf.reshape(first, (-1, 1, 1, 1, 1)) + within


def _pad(images, sides, stride):
    """Add the zeros of TensorFlow's "SAME" padding."""
    lengths, sides = tf.shape(images)[1:3], tf.constant(sides)
    total = tf.maximum((-(-lengths // stride) - 1) * stride + sides - lengths, 0)
    pads = tf.stack([total // 2, total - total // 2], axis=1)
    return tf.pad(images, tf.pad(pads, [[1, 1], [0, 0]]))

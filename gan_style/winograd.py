"""A convolution with 3x3 kernels that multiplies less, for CPUs.

Follows Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015):
a square of 4 x 4 output pixels takes 36 multiplications for each pair of channels in
place of 144, a square of 2 x 2 takes 16 in place of 36. What is added to it, the
transforms to and fro, does not depend on the pairs of channels, so it pays for wide
layers. Libraries for GPUs do the same by themselves.
"""

import functools

import numpy as np

from gan_style.devices import cpu_flags
from gan_style.ordering import once_there

# Where the polynomials are evaluated, next to infinity. For squares of 4 the usual
# points are 0, 1, -1, 2 and -2; these halve the error of rounding (Barabasz et al.,
# "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural
# Networks", 2020, on why the choice matters).
_POINTS = {2: (0, 1, -1), 4: (0, 0.75, -0.75, 1.5, -1.5)}

# Bytes of transformed pictures up to which they are kept for the gradient: two pictures
# of 128 x 128 in a ResNet, but none of 256 x 256, where memory is what runs out.
_SMALL = 6e6


def convolve(images, kernel, square):
    """Convolves without padding, in steps of one pixel.

    The gradient takes the same short way. It transforms kernels and large pictures a
    second time rather than keeping what is up to four times as large.

    Args:
        images: `(batch, height, width, channels)`, a TensorFlow tensor; height and
            width are known, and larger by 2 than a multiple of `square`.
        kernel: `(3, 3, channels, filters)`, of the same dtype.
        square: side of the squares of output pixels, 2 or 4. Rounding errs more than in
            a plain convolution: in float32 up to 4 times; in bfloat16, where that
            rounds little but its result, 3 times with 2 and 8 times with 4.

    Returns:
        `(batch, height - 2, width - 2, filters)`.

    >>> import tensorflow as tf
    >>> convolve(tf.zeros((1, 10, 18, 5)), tf.zeros((3, 3, 5, 7)), 4).shape
    TensorShape([1, 8, 16, 7])
    """
    import tensorflow as tf

    height, width, channels = images.shape[1:]
    filters = kernel.shape[-1]
    down, across = (height - 2) // square, (width - 2) // square
    batch = images.shape[0] or tf.shape(images)[0]
    points = square + 2
    places = _places(batch, height, width, square)
    # Rows and columns at once.
    to_taps, to_pixels, to_results = (
        tf.constant(np.kron(matrix, matrix), images.dtype)
        for matrix in transforms(square)
    )

    # Without the waits, TensorFlow would transform all kernels of a network at the
    # beginning, and keep for the gradient what it has once computed.
    def transformed_pixels(awaited):
        (later,) = once_there([awaited], places)
        pixels = tf.gather(tf.reshape(images, (-1, channels)), later)
        pixels = tf.matmul(to_pixels, tf.reshape(pixels, (points**2, -1)))
        return tf.reshape(pixels, (points**2, -1, channels))

    def transformed_kernel(awaited):
        (matrix,) = once_there([awaited], to_taps)
        taps = tf.matmul(matrix, tf.reshape(kernel, (9, -1)))
        return tf.reshape(taps, (points**2, channels, filters))

    @tf.custom_gradient
    def forward(images, kernel):
        kept = transformed_pixels(images)
        size = kept.shape.num_elements()
        small = size is not None and size * kept.dtype.size <= _SMALL

        def gradient(slope):
            pixels = kept if small else transformed_pixels(slope)
            slope = tf.reshape(slope, (batch, down, square, across, square, filters))
            slope = tf.transpose(slope, (2, 4, 0, 1, 3, 5))
            slope = tf.reshape(slope, (square**2, -1))
            slope = tf.matmul(to_results, slope, transpose_a=True)
            slope = tf.reshape(slope, (points**2, -1, filters))

            to_kernel = tf.matmul(pixels, slope, transpose_a=True)
            to_kernel = tf.reshape(to_kernel, (points**2, -1))
            to_kernel = tf.matmul(to_taps, to_kernel, transpose_a=True)

            # The transformed pixels may go before their gradient comes.
            taps = transformed_kernel(to_kernel)
            to_images = tf.matmul(slope, taps, transpose_b=True)
            # Pixels that several squares share add up: in a product with a matrix of
            # mostly zeros, which is faster than to add them one by one.
            to_rows, to_columns = (
                tf.constant(_along(side, square), slope.dtype)
                for side in (height, width)
            )
            shape = (points, points, batch, down, across, channels)
            to_images = tf.transpose(tf.reshape(to_images, shape), (2, 0, 3, 1, 4, 5))
            to_images = tf.reshape(to_images, (-1, points * across, channels))
            to_images = tf.matmul(to_columns, to_images, transpose_a=True)
            to_images = tf.reshape(to_images, (batch, points * down, -1))
            to_images = tf.matmul(to_rows, to_images, transpose_a=True)
            return (
                tf.reshape(to_images, tf.shape(images)),
                tf.reshape(to_kernel, kernel.shape),
            )

        products = tf.matmul(kept, transformed_kernel(images))
        results = tf.matmul(to_results, tf.reshape(products, (points**2, -1)))
        results = tf.reshape(results, (square, square, batch, down, across, filters))
        results = tf.transpose(results, (2, 3, 0, 4, 1, 5))
        return tf.reshape(results, (batch, height - 2, width - 2, filters)), gradient

    return forward(images, kernel)


def worthwhile_square(images_shape, kernel_shape, dtype):
    """The `square` with which `convolve` is faster than TensorFlow, or None.

    As measured on two cores of a CPU with AVX-512: from 128 channels in float32, 256 in
    bfloat16. Where there are instructions for products of bfloat16 matrices (AMX), the
    multiplications are not what takes the time.

    >>> worthwhile_square((1, 34, 34, 256), (3, 3, 256, 256), "float32")
    4
    >>> worthwhile_square((1, 34, 34, 64), (3, 3, 64, 64), "float32") is None
    True
    """
    known = {"float32": (128, 4), "bfloat16": (256, 2)}
    least, square = known.get(dtype, (None, None))
    *_, height, width, _ = images_shape
    if (
        least is None
        or tuple(kernel_shape[:2]) != (3, 3)
        or min(kernel_shape[2:]) < least
        or None in (height, width)
        or (height - 2) % square
        or (width - 2) % square
        or (dtype == "bfloat16" and "amx_bf16" in cpu_flags())
    ):
        return None
    return square


@functools.cache
def transforms(square):
    """The matrices of the convolution along one axis.

    With `square` + 2 pixels under a kernel of 3 taps, the results are coefficients of a
    product of polynomials, transposed: evaluate at as many points as there are pixels,
    multiply, and interpolate (Toom and Cook).

    Returns:
        Three float64 arrays: `(points, 3)` for the taps, `(points, points)` for the
        pixels, and `(square, points)` from the products to the results.

    >>> of_taps, of_pixels, of_results = transforms(2)
    >>> products = (of_taps @ [1, 2, 3]) * (of_pixels @ [1, 1, 2, 5])
    >>> (of_results @ products).round(9).tolist()  # 1 + 2 + 6 and 1 + 4 + 15
    [9.0, 20.0]
    """
    pixels = np.linalg.inv(_powers(square, square + 2)).T
    return _powers(square, 3), pixels, _powers(square, square).T


def _powers(square, count):
    finite = np.vander(_POINTS[square], count, increasing=True)
    return np.vstack([finite, np.eye(count)[-1]])


def _along(side, square):
    """The transform of all pixels of a line, whose squares share some of them."""
    _, pixels, _ = transforms(square)
    points, starts = square + 2, range(0, side - 2, square)
    matrix = np.zeros((points, len(starts), side))
    for i, start in enumerate(starts):
        matrix[:, i, start : start + points] = pixels
    return matrix.reshape(-1, side)


def _places(batch, height, width, square):
    """Which pixel of all pictures each square's pixels are, with theirs up front."""
    import tensorflow as tf

    rows, columns = (
        np.arange(square + 2)[:, None] + np.arange(0, side - 2, square)
        for side in (height, width)
    )
    within = rows[:, None, :, None] * width + columns[None, :, None, :]
    within = within.reshape((square + 2) ** 2, 1, -1)
    places = within + tf.range(batch)[:, None] * (height * width)
    return tf.reshape(places, (-1,))

"""Convolutions that multiply less, for CPUs: 3x3, and 4x4 on a doubled image.

Follows Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015):
a square of 4 x 4 output pixels takes 36 multiplications for each pair of channels in
place of 144, a square of 2 x 2 takes 16 in place of 36. What is added to it, the
transforms to and fro, does not depend on the pairs of channels, so it pays for wide
layers. Libraries for GPUs do the same by themselves, for 3x3.
"""

import functools

import numpy as np

from gan_style.hardware.devices import cpu_flags
from gan_style.hardware.im2col import windows
from gan_style.hardware.ordering import run_after

# Where the polynomials are evaluated, next to infinity. For squares of 4 the usual
# points are 0, 1, -1, 2 and -2; these halve the error of rounding (Barabasz et al.,
# "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural
# Networks", 2020, on why the choice matters).
_POINTS = {2: (0, 1, -1), 4: (0, 0.75, -0.75, 1.5, -1.5)}

# Bytes of transformed images up to which they are kept for the gradient: two images
# of 128 x 128 in a ResNet, but none of 256 x 256, where memory is what runs out.
_SMALL = 6e6


def convolve(images, kernel, square):
    """Convolves without padding, in steps of one pixel.

    The gradient takes the same short way. It transforms kernels and large images a
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
    return _convolve(images, kernel, transforms(square), keep_kernel=False)


def upsample(images, kernel):
    """Doubles by nearest neighbour, then convolves with a 4x4 kernel.

    What `UpSampling2D(2)` and `Conv2D(filters, 4, padding="same")` do. A square of
    4 x 4 output pixels takes 36 multiplications for each pair of channels; theirs takes
    256, or 144 with those taps added up that fall on the same pixel.

    It keeps the transformed kernels for the gradient: these networks are small.

    Args:
        images: `(batch, height, width, channels)`, a TensorFlow tensor; height and
            width are known, and even.
        kernel: `(4, 4, channels, filters)`, of the same dtype. Rounding errs as in a
            plain convolution in float32, and up to twice as much in bfloat16.

    Returns:
        `(batch, 2 * height, 2 * width, filters)`.

    >>> import tensorflow as tf
    >>> upsample(tf.zeros((1, 4, 8, 5)), tf.zeros((4, 4, 5, 7))).shape
    TensorShape([1, 8, 16, 7])
    """
    import tensorflow as tf

    padded = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]])
    return _convolve(padded, kernel, doubling_transforms(), keep_kernel=True)


def _convolve(images, kernel, matrices, keep_kernel):
    """By the matrices of one axis; squares of pixels share two rows with the next."""
    import tensorflow as tf

    height, width, channels = images.shape[1:]
    filters = kernel.shape[-1]
    of_taps, of_pixels, of_results = matrices
    points, side = of_pixels.shape
    square = len(of_results)
    down, across = (height - 2) // (side - 2), (width - 2) // (side - 2)
    batch = images.shape[0] or tf.shape(images)[0]
    # Each square's pixels; their place in the square comes first.
    places = tf.transpose(windows(images, (side, side), side - 2), (3, 4, 0, 1, 2))
    places = tf.reshape(places, (-1,))
    # Rows and columns at once.
    to_taps, to_pixels, to_results = (
        tf.constant(np.kron(matrix, matrix), images.dtype)
        for matrix in (of_taps, of_pixels, of_results)
    )

    # Without the waits, TensorFlow would transform all kernels of a network at the
    # beginning, and keep for the gradient what it has once computed.
    def transformed_pixels(awaited):
        (later,) = run_after([awaited], places)
        pixels = tf.gather(tf.reshape(images, (-1, channels)), later)
        pixels = tf.matmul(to_pixels, tf.reshape(pixels, (side**2, -1)))
        return tf.reshape(pixels, (points**2, -1, channels))

    def transformed_kernel(awaited):
        (matrix,) = run_after([awaited], to_taps)
        taps = tf.matmul(matrix, tf.reshape(kernel, (of_taps.shape[1] ** 2, -1)))
        return tf.reshape(taps, (points**2, channels, filters))

    @tf.custom_gradient
    def forward(images, kernel):
        kept = transformed_pixels(images)
        kept_kernel = transformed_kernel(images)
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
            taps = kept_kernel if keep_kernel else transformed_kernel(to_kernel)
            to_images = tf.matmul(slope, taps, transpose_b=True)
            # Pixels that several squares share add up: in a product with a matrix of
            # mostly zeros, which is faster than to add them one by one.
            to_rows, to_columns = (
                tf.constant(_along(length, of_pixels), slope.dtype)
                for length in (height, width)
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

        products = tf.matmul(kept, kept_kernel)
        results = tf.matmul(to_results, tf.reshape(products, (points**2, -1)))
        results = tf.reshape(results, (square, square, batch, down, across, filters))
        results = tf.transpose(results, (2, 3, 0, 4, 1, 5))
        return tf.reshape(
            results, (batch, square * down, square * across, filters)
        ), gradient

    return forward(images, kernel)


def winograd_tile_size(images_shape, kernel_shape, dtype):
    """The `square` with which `convolve` is faster than TensorFlow, or None.

    As measured on two cores of a CPU with AVX-512: from 128 channels in float32, 256 in
    bfloat16. Where there are instructions for products of bfloat16 matrices (AMX), the
    multiplications are not what takes the time.

    >>> winograd_tile_size((1, 34, 34, 256), (3, 3, 256, 256), "float32")
    4
    >>> winograd_tile_size((1, 34, 34, 64), (3, 3, 64, 64), "float32") is None
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


def upsample_is_faster(images_shape, kernel_shape, dtype):
    """Whether `upsample` is faster than a convolution to four times the filters.

    As measured on two cores of a CPU with AVX-512: from 64 filters, and for small
    images in bfloat16 from 32; without AMX.

    >>> upsample_is_faster((1, 16, 16, 256), (4, 4, 256, 64), "float32")
    True
    >>> upsample_is_faster((1, 64, 64, 64), (4, 4, 64, 3), "float32")
    False
    """
    *_, height, width, _ = images_shape
    if None in (height, width) or height % 2 or width % 2:
        return False
    filters = kernel_shape[-1]
    if dtype == "float32":
        return filters >= 64
    small = height * width <= 32 * 32
    return (
        dtype == "bfloat16"
        and filters >= (32 if small else 64)
        and "amx_bf16" not in cpu_flags()
    )


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


@functools.cache
def doubling_transforms():
    """The matrices of `upsample` along one axis, for squares of 2 pixels.

    A pixel's even result has one set of taps, on it and both neighbours, the odd one
    another, on it and the next. As polynomials, each set would take a product of its
    own at every point. But both have the same sum, their value at 1, where one product
    serves both results, and the odd set is 0 at 0. So 6 products give 4 results.

    Returns:
        Three float64 arrays: `(6, 4)` for the taps, `(6, 4)` for the pixels, and
        `(4, 6)` from the products to the results.

    >>> of_taps, of_pixels, of_results = doubling_transforms()
    >>> products = (of_taps @ [1, 2, 3, 4]) * (of_pixels @ [0, 1, 2, 0])
    >>> (of_results @ products).round(9).tolist()  # 0 1 1 2 2 0 by 1 2 3 4
    [13.0, 17.0, 11.0, 6.0]
    """
    _, of_pixels, of_results = transforms(2)
    even = _powers(2, 3) @ [[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]
    odd = _powers(2, 3) @ [[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]
    # Each has a point (0, 1, -1, infinity), and says which results use it: even, odd.
    products = [
        (0, even, (1, 0)),
        (1, even, (1, 1)),
        (2, even, (1, 0)),
        (2, odd, (0, 1)),
        (3, even, (1, 0)),
        (3, odd, (0, 1)),
    ]
    return (
        np.stack([taps[point] for point, taps, _ in products]),
        np.stack([of_pixels[point] for point, *_ in products]),
        np.stack([np.kron(of_results[:, i], uses) for i, _, uses in products], axis=1),
    )


def _along(length, of_pixels):
    """The transform of all pixels of a line, whose squares share some of them."""
    points, side = of_pixels.shape
    starts = range(0, length - 2, side - 2)
    matrix = np.zeros((points, len(starts), length))
    for i, start in enumerate(starts):
        matrix[:, i, start : start + side] = of_pixels
    return matrix.reshape(-1, length)

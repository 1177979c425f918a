"""Winograd's convolutions for CPUs, F(m x m, 3x3), and an upsampling made like them.

Follows Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015): a
tile of m x m outputs is A^T [(G g G^T) * (B^T d B)] A, of a kernel g and inputs d of
m + 2 by m + 2. F(4x4, 3x3) multiplies 36 times for each pair of channels in place of
144, F(2x2, 3x3) 16 times in place of 36. Wide layers gain most.
"""

import functools

import numpy as np

from gan_style.hardware.memory import run_after, tf

# Where the polynomials are evaluated, besides infinity. Those of F(4x4, 3x3) halve the
# rounding error of the usual 0, 1, -1, 2, -2 (Barabasz et al., "Error Analysis and
# Improving the Accuracy of Winograd Convolution for Deep Neural Networks", 2020).
_POINTS = {2: (0, 1, -1), 4: (0, 0.75, -0.75, 1.5, -1.5)}

# Of nearest-neighbour upsampling and a kernel of 4 taps along one axis: the taps on a
# pixel and its two neighbours whose sums give its even output, and its odd one.
_EVEN = [[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]
_ODD = [[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]
UPSAMPLING_TAPS = np.array([_EVEN, _ODD])

# Bytes of transformed images up to which they are kept for the gradient: two images
# of 128 x 128 in a ResNet. At 256 x 256 memory is scarce.
_KEPT_BYTES = 6e6


def convolve(images, kernel, tile_size, frozen=False):
    """Convolve `(3, 3, channels, filters)`, stride 1, no padding, by F(m x m, 3x3).

    Height and width of the images must be known, and exceed a multiple of m by 2. The
    gradient of a `frozen` kernel is not waited for.
    """
    return _convolve(images, kernel, transforms(tile_size), False, frozen)


def upsample(images, kernel):
    """Upsample by 2, nearest neighbour, and convolve `(4, 4, channels, filters)`.

    The padding is "same"; height and width of the images must be known and even. A tile
    of 4 x 4 outputs costs 36 multiplications for each pair of channels, in place of
    256, or of 144 with the taps summed up that fall on the same pixel.
    """
    padded = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]])
    # A U-Net is small: its transformed kernels are kept for the gradient.
    return _convolve(padded, kernel, upsampling_transforms(), True, False)


def _convolve(images, kernel, matrices, keep_kernel, frozen):
    """Convolve by (G, B^T, A^T) of one axis; input tiles overlap by two pixels."""
    (points, side), m = matrices[1].shape, len(matrices[2])
    height, width, channels = images.shape[1:]
    filters = kernel.shape[-1]
    down, across = (height - 2) // (side - 2), (width - 2) // (side - 2)
    batch = images.shape[0] or tf.shape(images)[0]
    # Both axes at once.
    G, BT, AT = (tf.constant(np.kron(x, x), images.dtype) for x in matrices)
    # The pixels of each tile; their place in the tile comes first.
    places = tf.transpose(windows(images, (side, side), side - 2), (3, 4, 0, 1, 2))

    def apply(matrix, tensor, shape, transpose=False):
        tensor = tf.reshape(tensor, (matrix.shape[0 if transpose else 1], -1))
        return tf.reshape(tf.matmul(matrix, tensor, transpose_a=transpose), shape)

    # Without `run_after`, TensorFlow would transform all kernels of a network at the
    # beginning, and keep for the gradient whatever it has computed once.
    def transform_images(awaited):
        (later,) = run_after([awaited], tf.reshape(places, (-1,)))
        tiles = tf.gather(tf.reshape(images, (-1, channels)), later)
        return apply(BT, tiles, (points**2, -1, channels))

    def transform_kernel(awaited):
        return apply(*run_after([awaited], G), kernel, (points**2, channels, filters))

    def along(length):
        """B^T of all the tiles along an axis, which share some of its pixels."""
        starts = range(0, length - 2, side - 2)
        tiles = [np.pad(matrices[1], [(0, 0), (x, length - side - x)]) for x in starts]
        return tf.constant(np.stack(tiles, 1).reshape(-1, length), images.dtype)

    @tf.custom_gradient
    def forward(images, kernel):
        kept, kept_kernel = transform_images(images), transform_kernel(images)
        size = kept.shape.num_elements()
        small = size is not None and size * kept.dtype.size <= _KEPT_BYTES

        def gradient(upstream):
            tiles = kept if small else transform_images(upstream)
            upstream = tf.reshape(upstream, (batch, down, m, across, m, filters))
            upstream = tf.transpose(upstream, (2, 4, 0, 1, 3, 5))
            upstream = apply(AT, upstream, (points**2, -1, filters), transpose=True)
            to_kernel = tf.matmul(tiles, upstream, transpose_a=True)
            to_kernel = apply(G, to_kernel, kernel.shape, transpose=True)
            # The transformed images can be freed before their gradient is computed.
            awaited = upstream if frozen else to_kernel
            taps = kept_kernel if keep_kernel else transform_kernel(awaited)
            to_images = tf.matmul(upstream, taps, transpose_b=True)
            # Pixels that several tiles share are summed by a product with a matrix of
            # mostly zeros, which is faster than to add them one by one.
            shape = (points, points, batch, down, across, channels)
            to_images = tf.transpose(tf.reshape(to_images, shape), (2, 0, 3, 1, 4, 5))
            to_images = tf.reshape(to_images, (-1, points * across, channels))
            to_images = tf.matmul(along(width), to_images, transpose_a=True)
            to_images = tf.reshape(to_images, (batch, points * down, -1))
            to_images = tf.matmul(along(height), to_images, transpose_a=True)
            return tf.reshape(to_images, tf.shape(images)), to_kernel

        products = tf.matmul(kept, kept_kernel)
        outputs = apply(AT, products, (m, m, batch, down, across, filters))
        outputs = tf.transpose(outputs, (2, 3, 0, 4, 1, 5))
        return tf.reshape(outputs, (batch, m * down, m * across, filters)), gradient

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


@functools.cache
def transforms(tile_size):
    """Return G, B^T and A^T of F(m, 3), along one axis (Toom and Cook)."""
    BT = np.linalg.inv(_powers(tile_size, tile_size + 2)).T
    return _powers(tile_size, 3), BT, _powers(tile_size, tile_size).T


def _powers(tile_size, count):
    finite = np.vander(_POINTS[tile_size], count, increasing=True)
    return np.vstack([finite, np.eye(count)[-1]])


@functools.cache
def upsampling_transforms():
    """Return G, B^T and A^T of `upsample` along one axis: 4 outputs of 4 pixels.

    As polynomials, the even and the odd taps would each need a product at the points
    0, 1, -1 and infinity. But their values at 1, the sums of all taps, are equal, so
    one product serves both, and the odd taps are 0 at 0: 6 products are left.
    """
    _, BT, AT = transforms(2)
    even, odd = _powers(2, 3) @ UPSAMPLING_TAPS
    points = [0, 1, 2, 2, 3, 3]
    G = np.stack([even[0], even[1], even[2], odd[2], even[3], odd[3]])
    used_by = [(1, 0), (1, 1), (1, 0), (0, 1), (1, 0), (0, 1)]  # (even, odd)
    columns = [np.kron(AT[:, i], uses) for i, uses in zip(points, used_by, strict=True)]
    return G, BT[points], np.stack(columns, axis=1)

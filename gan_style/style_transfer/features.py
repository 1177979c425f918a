"""What a network sees in an image, whole or in tiles: activations, Gram matrices."""

import functools

import tensorflow as tf

from gan_style.models.vgg import receptive_field, vgg_features
from gan_style.style_transfer.losses import to_float32
from gan_style.style_transfer.tiles import plan_tiles

CROP = tf.TensorSpec((4,), tf.int32)


class Features:
    """A network, its geometry, and what it sees in an image, whole or in tiles.

    Args:
        layers: names as `vgg_features` takes them.
        options: further arguments of `vgg_features`.
    """

    def __init__(self, layers, **options):
        self.model = vgg_features(layers, **options)
        backbone = self.model.name.split("_")[0]
        self.reach, self.strides = receptive_field(layers, backbone)
        self._looks = {}

    def grid(self, name, image):
        """The rows and columns of a layer's activations of an image."""
        stride = self.strides[name]
        return image.shape[1] // stride, image.shape[2] // stride

    def tiles(self, image, tile_size):
        """Lists an image's `Tile`s; the whole is one where `tile_size` is None."""
        height, width = image.shape[1:3]
        tile_size = max(height, width) if tile_size is None else tile_size
        return plan_tiles(
            height, width, tile_size, self.reach, max(self.strides.values())
        )

    def cores(self, image, tile):
        """Where a tile's core lies: in the whole's activations, and in the tile's.

        Returns:
            Two dictionaries from layer names to int32 tensors `(first row, end row,
            first column, end column)`.
        """
        whole, inside = {}, {}
        for name, stride in self.strides.items():
            core = tile.core(stride, self.grid(name, image))
            whole[name], inside[name] = (tf.constant(part) for part in core)
        return whole, inside

    def statistics(self, image, masks=None, keep=(), tile_size=None):
        """Computes the Gram matrices and activations of an image.

        Args:
            image: `(1, height, width, 3)`, RGB in [0, 255].
            masks: `mask_pyramid` of its regions, or None for one region everywhere.
            keep: names of the layers whose activations are wanted as well.
            tile_size: rows and columns of a tile's core, or None for the whole.

        Returns:
            Dictionaries from layer names to summed Gram matrices `(regions, channels,
            channels)`, and from `keep` to activations `(1, h, w, channels)`.
        """
        masks = masks or {}
        look = self._look(tuple(keep), bool(masks))
        sums, rows = {}, {name: {} for name in keep}
        for tile in self.tiles(image, tile_size):
            whole, inside = self.cores(image, tile)
            part = {name: crop(mask, whole[name]) for name, mask in masks.items()}
            grams, kept = look(cut(image, tile), inside, part)
            sums = {name: sums.get(name, 0.0) + gram for name, gram in grams.items()}
            for name, core in kept.items():
                rows[name].setdefault(tile.core_rows, []).append(core)
        return sums, {
            name: tf.concat([tf.concat(row, 2) for row in parts.values()], 1)
            for name, parts in rows.items()
        }

    def _look(self, keep, masked):
        # One trace serves tiles of every size, where none is given in the signature.
        if (keep, masked) not in self._looks:

            def look(image, inside, masks):
                activations = self.model(image)
                cores = {name: crop(activations[name], inside[name]) for name in inside}
                grams = {
                    name: gram_sums(core, masks.get(name))
                    for name, core in cores.items()
                }
                return grams, {name: cores[name] for name in keep}

            self._looks[keep, masked] = compiled(
                look,
                input_signature=[
                    self.image_spec(),
                    dict.fromkeys(self.strides, CROP),
                    dict.fromkeys(self.strides if masked else (), self.map_spec()),
                ],
            )
        return self._looks[keep, masked]

    def image_spec(self):
        """The signature of an image of any size."""
        return tf.TensorSpec((1, None, None, 3), self.model.input.dtype)

    def map_spec(self, channels=1):
        """The signature of activations or masks of any size."""
        return tf.TensorSpec((None, None, None, channels), self.model.input.dtype)


def compiled(function, **options):
    """`tf.function`, for functions that each of many objects traces once.

    TensorFlow counts tracings by the code, and would warn of too many; a partial
    is counted by itself.
    """
    return tf.function(functools.partial(function), **options)


def mask_pyramid(masks, strides):
    """Shrinks masks to the grid of every layer, by averaging over its cells.

    Args:
        masks: `(regions, height, width)` in [0, 1].
        strides: a dictionary from layer names to strides.

    Returns:
        A dictionary from layer names to `(regions, h, w, 1)`.
    """
    masks = tf.convert_to_tensor(masks)[..., None]
    return {
        name: tf.nn.avg_pool2d(masks, stride, stride, "VALID")
        for name, stride in strides.items()
    }


def gram_sums(activations, masks=None):
    """Sums the outer products of activations over their positions, once a region.

    Args:
        activations: `(1, h, w, channels)`.
        masks: `(regions, h, w, 1)` in [0, 1], or None for one region everywhere.

    Returns:
        `(regions, channels, channels)`, in float32 at least.
    """
    flat = tf.reshape(to_float32(activations), (-1, activations.shape[-1]))
    if masks is None:
        return _outer_products(flat)[None]
    weights = tf.reshape(
        tf.cast(masks, flat.dtype), (tf.shape(masks)[0], tf.shape(flat)[0], 1)
    )
    return tf.matmul(flat * weights, flat[None], transpose_a=True)


@tf.custom_gradient
def _outer_products(flat):
    """`flat` transposed, times `flat`; leads back by one product, not by two."""

    def gradient(slope):
        return tf.matmul(flat, slope + tf.transpose(slope))

    return tf.matmul(flat, flat, transpose_a=True), gradient


def gram_areas(grid, masks=None, dtype=tf.float32):
    """The positions behind each region's `gram_sums`: `(regions, 1, 1)`."""
    if masks is None:
        return tf.fill((1, 1, 1), tf.cast(grid[0] * grid[1], dtype))
    return tf.reduce_sum(tf.cast(masks, dtype), axis=(1, 2), keepdims=True)[..., 0]


def crop(tensor, where):
    """Cuts `(first row, end row, first column, end column)` out of `(n, h, w, c)`."""
    return tensor[:, where[0] : where[1], where[2] : where[3]]


def cut(image, tile):
    """Cuts a tile, with its halo, out of an image `(1, height, width, 3)`."""
    return image[:, slice(*tile.rows), slice(*tile.columns)]

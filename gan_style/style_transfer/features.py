"""What a network sees in an image, whole or in tiles: activations and Gram matrices."""

import functools

import tensorflow as tf

from gan_style.models.vgg import receptive_field, vgg_features
from gan_style.style_transfer.losses import to_float32
from gan_style.style_transfer.tiles import plan_tiles


class Features:
    """A VGG network and its geometry; `options` are those of `vgg_features`."""

    def __init__(self, content_layers, style_layers, **options):
        self.style_layers = list(style_layers)
        layers = dict.fromkeys([*content_layers, *style_layers])
        self.model = vgg_features(list(layers), **options)
        self.dtype = self.model.input.dtype
        self.halo, self.strides = receptive_field(self.model)
        self._extract = traced_for_any_size(self._extract_cores)

    def tiles(self, image, tile_size, *maps):
        """Yield the tiles of an image, or the whole if `tile_size` is None.

        Each is a `Tile`, its pixels, a dictionary from layers to where its core lies in
        its activations, and the core's part of each of `maps`: dictionaries from layers
        to maps of the size of the image's activations.
        """
        shape, deepest = image.shape[1:3], max(self.strides.values())
        for tile in plan_tiles(*shape, tile_size or max(shape), self.halo, deepest):
            cores = {name: tile.core(s, shape) for name, s in self.strides.items()}
            inside = {name: tf.constant(core) for name, (core, _) in cores.items()}
            pixels = image[:, slice(*tile.rows), slice(*tile.columns)]
            parts = (
                {n: crop(x, cores[n][1]) for n, x in each.items()} for each in maps
            )
            yield tile, pixels, inside, *parts

    def statistics(self, image, masks, tile_size=None, keep=()):
        """Compute Gram matrices, summed over the positions of each region.

        Returns dictionaries from the style layers to these sums `(regions, channels,
        channels)`, and to the numbers of positions `(regions, 1, 1)`; and from the
        layers in `keep` to their activations. `masks` are those of `mask_pyramid`.
        """
        totals, rows = {}, {}
        for tile, pixels, inside, regions in self.tiles(image, tile_size, masks):
            kept = {name: inside[name] for name in keep}
            *sums, kept = self._extract(pixels, inside, kept, regions)
            totals = tf.nest.map_structure(tf.add, totals, sums) if totals else sums
            for name, core in kept.items():
                rows.setdefault(name, {}).setdefault(tile.core_rows, []).append(core)
        return *totals, {
            name: tf.concat([tf.concat(row, 2) for row in parts.values()], 1)
            for name, parts in rows.items()
        }

    def _extract_cores(self, pixels, inside, keep, masks):
        seen, grams, areas = self.model(pixels), {}, {}
        for name in self.style_layers:
            core, mask = crop(seen[name], inside[name]), masks.get(name)
            grams[name] = gram_sums(core, mask)
            mask = tf.ones_like(core[..., :1], self.dtype) if mask is None else mask
            areas[name] = tf.reduce_sum(mask, (1, 2), keepdims=True)[..., 0]
        return (
            grams,
            areas,
            {name: crop(seen[name], core) for name, core in keep.items()},
        )


def compiled(function):
    """Return a `tf.function` of its own; of one for many objects, TensorFlow warns."""
    return tf.function(functools.partial(function))


def traced_for_any_size(function):
    """Return `compiled`, with one trace for maps of all heights and widths."""
    traced = compiled(function)

    def any_size(tensor):
        shape = tensor.shape
        shape = (shape[0], None, None, shape[3]) if shape.rank == 4 else shape
        return tf.TensorSpec(shape, tensor.dtype)

    def call(*tensors):
        signature = tf.nest.map_structure(any_size, tensors)
        return traced.get_concrete_function(*signature)(*tensors)

    return call


def mask_pyramid(masks, strides):
    """Average masks `(regions, height, width, 1)` over the cells of each layer."""
    return {n: tf.nn.avg_pool2d(masks, s, s, "VALID") for n, s in strides.items()}


def gram_sums(activations, masks=None):
    """Sum outer products over positions; return `(regions, channels, channels)`."""
    flat = tf.reshape(to_float32(activations), (-1, activations.shape[-1]))
    if masks is None:
        return _outer_products(flat)[None]
    weights = tf.reshape(masks, (tf.shape(masks)[0], -1, 1))
    return tf.matmul(flat * tf.cast(weights, flat.dtype), flat[None], transpose_a=True)


@tf.custom_gradient
def _outer_products(flat):
    """`flat` transposed, times `flat`; its gradient is one product, not two."""

    def gradient(upstream):
        return tf.matmul(flat, upstream + tf.transpose(upstream))

    return tf.matmul(flat, flat, transpose_a=True), gradient


def crop(tensor, where):
    """Cut `(first row, end row, first column, end column)` out of `(n, h, w, c)`."""
    return tensor[:, where[0] : where[1], where[2] : where[3]]

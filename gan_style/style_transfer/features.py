"""What a network sees in an image, whole or in tiles: activations and Gram matrices.

A box is `(first row, end row, first column, end column)`.
"""

import functools
import os
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from gan_style.models.vgg import receptive_field, vgg_features
from gan_style.style_transfer.losses import to_float32


class Tile(NamedTuple):
    """The boxes of a tile, in pixels."""

    core: tuple  # these cover the image without overlap
    outer: tuple  # the core and its halo, as far as its activations see

    def core_at(self, stride, shape):
        """Return the core's box in the activations of the tile, and of the image."""
        # Pooling drops an odd last row: the last core ends where the layer ends.
        ends = np.repeat(shape, 2) // stride
        whole = np.minimum(-(-np.array(self.core) // stride), ends)
        return whole - np.repeat(self.outer[::2], 2) // stride, whole


def plan_tiles(height, width, tile_size, halo, stride):
    """Cut an image into tiles whose cores are computed exactly, or into one if None.

    A tile starts where the whole image's pooling cells do, at a multiple of the deepest
    layer's `stride`. At the image's edge, the network pads it like the whole.
    """
    halo = -(-halo // stride) * stride

    def cuts(size):
        # Equal pieces rather than full ones and a sliver.
        pieces = max(1, -(-size // (tile_size or size)))
        step = -(-size // (pieces * stride)) * stride
        for start in range(0, size, step):
            stop = min(start + step, size)
            yield (start, stop), (max(0, start - halo), min(size, stop + halo))

    return [
        Tile(rows + columns, outer_rows + outer_columns)
        for rows, outer_rows in cuts(height)
        for columns, outer_columns in cuts(width)
    ]


class Features:
    """A VGG network and its geometry; `options` are those of `vgg_features`."""

    def __init__(self, content_layers, style_layers, **options):
        self.style_layers = list(style_layers)
        self.model = vgg_features([*{**content_layers, **style_layers}], **options)
        self.dtype = self.model.input.dtype
        self.halo, self.strides = receptive_field(self.model)
        self._extract = traced_once(self._extract_cores)
        self.evaluation = functools.lru_cache(maxsize=8)(self._evaluation)

    def _evaluation(self, kind, function):
        """Compile `function(self, ...)` with its gradient, once for a kind of image."""
        return with_gradient(functools.partial(function, self))

    def tiles(self, image, tile_size, *maps):
        """Yield each `Tile`, its pixels, and its core in each layer and in `maps`."""
        shape, deepest = image.shape[1:3], max(self.strides.values())
        for tile in plan_tiles(*shape, tile_size, self.halo, deepest):
            boxes = {name: tile.core_at(s, shape) for name, s in self.strides.items()}
            inside = {name: tf.constant(b[0], tf.int32) for name, b in boxes.items()}
            parts = ({n: crop(x, boxes[n][1]) for n, x in m.items()} for m in maps)
            yield tile, crop(image, tile.outer), inside, *parts

    def statistics(self, image, masks, tile_size=None, keep=()):
        """Compute Gram matrices, summed over regions: `masks`, `(regions, h, w, 1)`.

        Returns dictionaries from layers to these sums `(regions, channels, channels)`,
        to the numbers of positions `(regions, 1, 1)`, and from `keep` to activations.
        """
        totals, rows = {}, {name: {} for name in keep}
        for tile, pixels, inside, regions in self.tiles(image, tile_size, masks):
            kept = {name: inside[name] for name in keep}
            *sums, kept = self._extract(pixels, inside, kept, regions)
            totals = tf.nest.map_structure(tf.add, totals, sums) if totals else sums
            for name, core in kept.items():
                rows[name].setdefault(tile.core[0], []).append(core)
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
        return grams, areas, {name: crop(seen[name], box) for name, box in keep.items()}


_SWITCHES = "GAN_STYLE_FAST_CPU", "ONEDNN_MAX_CPU_ISA"
_last = {}  # the last network, with what it compiled, by all that it depends on


def shared_features(*layers, **options):
    """Return `Features(*layers, **options)`: the last ones, if they would be equal.

    Random weights are not shared, nor those of hed for want of a download.
    """
    if options.get("dtype") is None:
        options["dtype"] = keras.config.dtype_policy().name
    # Variables stay on their device, and compiled code as the switches were.
    here = *map(os.environ.get, _SWITCHES), tf.zeros(()).device
    key = repr([*map(list, layers), sorted(options.items()), *here])
    features = _last.get(key) or Features(*layers, **options)
    if "imagenet" in features.model.name or options.get("weights") == "hed":
        _last.clear()
        _last[key] = features
    return features


def compiled(function):
    """Return a `tf.function` of its own; of one for many objects, TensorFlow warns."""
    return tf.function(functools.partial(function))


def with_gradient(function, any_size=False):
    """Compile a function to return its results, and the gradient of the last."""

    def evaluate(x, *others):
        with tf.GradientTape() as tape:
            tape.watch(x)
            results = function(x, *others)
            total = results[-1]
        # Float16 rounds the smallest to 0, so they are scaled, which is exact; but not
        # those of a large loss, which could overflow.
        scale = tf.cast(tf.where(abs(total) < 1e4, 1024.0, 1.0), total.dtype)
        gradient = tape.gradient(total, x, scale)
        return results, tf.nest.map_structure(lambda part: part / scale, gradient)

    return traced_once(evaluate) if any_size else compiled(evaluate)


def traced_once(function):
    """Return `compiled`, with one trace for maps of all heights and widths."""
    traced = compiled(function)

    def any_size(x):
        shape = [x.shape[0], None, None, x.shape[3]] if x.shape.rank == 4 else x.shape
        return tf.TensorSpec(shape, x.dtype)

    def call(*tensors):
        specs = tf.nest.map_structure(any_size, tensors)
        return traced.get_concrete_function(*specs)(*tensors)

    return call


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


def crop(maps, box):
    """Cut a box out of `(n, h, w, c)`."""
    return maps[:, box[0] : box[1], box[2] : box[3]]

"""The weighted style-transfer loss of an image and its exact gradient, at any size."""

from typing import NamedTuple

import tensorflow as tf

from gan_style.style_transfer.features import (
    CROP,
    compiled,
    crop,
    cut,
    gram_areas,
    gram_sums,
)
from gan_style.style_transfer.losses import to_float32, total_variation_loss

TERMS = ("content", "style", "total_variation", "total")


class Weights(NamedTuple):
    """How the loss weighs its terms.

    `content` and `style` are dictionaries from layer names to factors; the others are
    the factors of the three terms in the total, and the power of
    `total_variation_loss`.
    """

    content: dict
    style: dict
    content_weight: float
    style_weight: float
    total_variation_weight: float
    total_variation_power: float = 1.0


class Targets(NamedTuple):
    """What the painted image should come to.

    `content` holds activations `(1, h, w, channels)` a content layer; `grams` mean
    Gram matrices `(regions, channels, channels)` a style layer; `masks` the regions'
    masks `(regions, h, w, 1)` in [0, 1] a style layer, and nothing where one region
    is everywhere.
    """

    content: dict
    grams: dict
    masks: dict


class StyleObjective:
    """The weighted loss of an image of one size, with its gradient.

    Gram matrices are sums over positions, so the gradient needs no whole image: a
    first pass over the tiles sums them up, a second sends the loss's derivative for
    each sum back through each tile. The result is that of the whole, to rounding.

    Args:
        features: `Features`.
        targets: `Targets` for images of this size.
        weights: `Weights`.
        shape: `(height, width)` of the images.
    """

    def __init__(self, features, targets, weights, shape):
        self.features, self.targets, self.weights = features, targets, weights
        self.dtype = features.model.input.dtype
        self.areas, self.grids = {}, {}
        for name in weights.style:
            grid = [size // features.strides[name] for size in shape]
            self.areas[name] = gram_areas(grid, targets.masks.get(name), self.dtype)
            self.grids[name] = float(grid[0] * grid[1])
        self._whole = compiled(self._whole_image)
        self._tile = compiled(self._one_tile, input_signature=self._signature())
        self._smooth = compiled(self._total_variation)
        self._style = compiled(self._style_and_slopes)

    def _signature(self):
        features, targets = self.features, self.targets
        dtype = self.dtype
        return [
            features.image_spec(),
            dict.fromkeys(features.strides, CROP),
            {
                name: tf.TensorSpec((1, None, None, target.shape[-1]), target.dtype)
                for name, target in targets.content.items()
            },
            dict.fromkeys(targets.masks, features.map_spec()),
            {
                name: tf.TensorSpec((None, *targets.grams[name].shape[1:]), dtype)
                for name in self.weights.style
            },
        ]

    def __call__(self, image, tile_size=None):
        """Evaluates the loss and its gradient.

        Args:
            image: `(1, height, width, 3)`, RGB in [0, 255].
            tile_size: rows and columns of a tile's core, or None for the whole.

        Returns:
            The four `TERMS` as one tensor, and the gradient of the last, like `image`.
        """
        if tile_size is None:
            return self._whole(image)
        return self._tiled(image, tile_size)

    def _whole_image(self, image):
        with tf.GradientTape() as tape:
            tape.watch(image)
            activations = self.features.model(image)
            content = self._content(activations, self.targets.content)
            grams = {
                name: gram_sums(activations[name], self.targets.masks.get(name))
                for name in self.weights.style
            }
            variation = self._variation(image)
            terms = self._terms(content, self._style_value(grams), variation)
            total = terms[-1]
        return terms, tape.gradient(total, image)

    def _terms(self, content, style, variation):
        weights = self.weights
        total = (
            weights.content_weight * content
            + weights.style_weight * style
            + weights.total_variation_weight * variation
        )
        return tf.stack([content, style, variation, total])

    def _content(self, activations, targets):
        # The mean over the whole layer, also where a tile holds a part of it.
        value = tf.zeros((), self.dtype)
        for name, factor in self.weights.content.items():
            size = self.targets.content[name].shape.num_elements()
            difference = to_float32(activations[name]) - to_float32(targets[name])
            value += factor / size * tf.reduce_sum(tf.square(difference))
        return value

    def layer_losses(self, grams):
        """The style loss of each layer, from summed Gram matrices, unweighted.

        A region counts by its share of the image, so that a pixel is pulled as hard
        in a small region as in a large one.
        """
        losses = {}
        for name in self.weights.style:
            area, channels = self.areas[name], grams[name].shape[-1]
            # An empty region (a mask of zeros) has no Gram matrix to hold to.
            mean = grams[name] * tf.math.divide_no_nan(tf.ones_like(area), area)
            difference = tf.square(mean - self.targets.grams[name])
            regions = tf.reduce_sum(difference, (1, 2)) / (4 * channels**2)
            losses[name] = tf.reduce_sum(regions * area[:, 0, 0]) / self.grids[name]
        return losses

    def _style_value(self, grams):
        losses = self.layer_losses(grams)
        return sum(factor * losses[n] for n, factor in self.weights.style.items())

    def _style_and_slopes(self, grams):
        with tf.GradientTape() as tape:
            tape.watch(grams)
            value = self._style_value(grams)
        return value, tape.gradient(value, grams)

    def _variation(self, image):
        return total_variation_loss(image, self.weights.total_variation_power)

    def _total_variation(self, image):
        with tf.GradientTape() as tape:
            tape.watch(image)
            value = self._variation(image)
        return value, tape.gradient(value, image)

    def _one_tile(self, image, inside, content_targets, masks, slopes):
        with tf.GradientTape() as tape:
            tape.watch(image)
            activations = self.features.model(image)
            cores = {
                name: crop(activations[name], inside[name]) for name in activations
            }
            content = self._content(cores, content_targets)
            pull = self.weights.content_weight * content
            for name, slope in slopes.items():
                gram = gram_sums(cores[name], masks.get(name))
                pull += self.weights.style_weight * tf.reduce_sum(gram * slope)
        return content, tape.gradient(pull, image)

    def _tiled(self, image, tile_size):
        features, targets = self.features, self.targets
        grams, _ = features.statistics(image, targets.masks, tile_size=tile_size)
        grams = {name: grams[name] for name in self.weights.style}
        style, slopes = self._style(grams)
        variation, gradient = self._smooth(image)
        gradient = tf.Variable(self.weights.total_variation_weight * gradient)
        content = tf.zeros((), self.dtype)
        for tile in features.tiles(image, tile_size):
            whole, inside = features.cores(image, tile)
            part, from_tile = self._tile(
                cut(image, tile),
                inside,
                {name: crop(x, whole[name]) for name, x in targets.content.items()},
                {name: crop(x, whole[name]) for name, x in targets.masks.items()},
                slopes,
            )
            content += part
            rows, columns = slice(*tile.rows), slice(*tile.columns)
            sliced = gradient[:, rows, columns]
            sliced.assign(sliced + from_tile)
        return self._terms(content, style, variation), gradient.read_value()

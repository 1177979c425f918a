"""The objective of neural style transfer: the weighted losses of an image's pixels."""

import functools
from typing import NamedTuple

import tensorflow as tf

from gan_style.style_transfer.features import gram_sums
from gan_style.style_transfer.losses import to_float32, total_variation_loss
from gan_style.style_transfer.tiled_objective import TiledObjective

TERMS = ("content", "style", "total_variation", "total")


class Weights(NamedTuple):
    """The factors of the layers' losses, of their sums, and total variation's power."""

    content: dict
    style: dict
    content_weight: float
    style_weight: float
    total_variation_weight: float
    total_variation_power: float


class Targets(NamedTuple):
    """What an image of one size is compared with: dictionaries from layer names."""

    content: dict  # activations
    grams: dict  # mean Gram matrices, one per region: (regions, channels, channels)
    areas: dict  # the regions' numbers of positions, (regions, 1, 1)
    positions: dict  # the whole layer's number of positions, a float
    masks: dict  # the regions' masks, if there are any

    def style_losses(self, grams):
        """Compute each layer's `style_loss` from the image's summed Gram matrices."""
        losses = {}
        for name, target in self.grams.items():
            area, channels = self.areas[name], target.shape[-1]
            # An empty region (a mask of zeros) has no Gram matrix to compare.
            mean = grams[name] * tf.math.divide_no_nan(tf.ones_like(area), area)
            regions = tf.reduce_sum(tf.square(mean - target), (1, 2))
            # A region counts by its share of the image.
            regions = regions / (4 * channels**2) * area[:, 0, 0]
            losses[name] = tf.reduce_sum(regions) / self.positions[name]
        return losses


class StyleObjective:
    """The loss of an image, to be minimised over its pixels.

    Gatys et al. (CVPR 2016), equation 7, plus the total variation of the image.
    """

    def __init__(self, features, targets, weights):
        self.features, self.targets = features, targets
        tensor = functools.partial(tf.convert_to_tensor, dtype=features.dtype)
        factors = tf.nest.map_structure(tensor, weights[:-1])
        self.weights = Weights(*factors, weights.total_variation_power)
        self._tiled = TiledObjective(self)

    def __call__(self, image, tile_size=None):
        """Return the `TERMS` of `(1, h, w, 3)`, and the gradient of the total."""
        if tile_size:
            return self._tiled(image, tile_size)
        # Other images, targets and weights of this kind need no new trace.
        regions = [len(grams) for grams in self.targets.grams.values()]
        kind = *image.shape, *regions, self.weights.total_variation_power
        evaluate = self.features.evaluation(kind, _whole_terms)
        return evaluate(image, self.targets, self.weights)

    def whole_terms(self, image):
        """Compute the `TERMS` of an image in one piece."""
        # In training, layers take the faster path that they have on a CPU.
        seen, masks = self.features.model(image, training=True), self.targets.masks
        content = self.content(seen, self.targets.content)
        grams = {n: gram_sums(seen[n], masks.get(n)) for n in self.weights.style}
        variation = total_variation_loss(image, self.weights.total_variation_power)
        return self.terms(content, self.style(grams), variation)

    def content(self, activations, targets):
        """Sum the `content_loss` of the layers; of a tile, its share."""
        loss = tf.zeros((), self.features.dtype)
        for name, factor in self.weights.content.items():
            size = self.targets.content[name].shape.num_elements()
            difference = to_float32(activations[name]) - to_float32(targets[name])
            loss += factor / size * tf.reduce_sum(tf.square(difference))
        return loss

    def style(self, grams):
        """Sum the `style_loss` of the layers."""
        losses = self.targets.style_losses(grams)
        return sum(factor * losses[n] for n, factor in self.weights.style.items())

    def terms(self, content, style, variation):
        """Stack the three losses, and their weighted sum."""
        total = self.weights.content_weight * content
        total += self.weights.style_weight * style
        total += self.weights.total_variation_weight * variation
        return tf.stack([content, style, variation, total])


def _whole_terms(features, image, targets, weights):
    return StyleObjective(features, targets, weights).whole_terms(image)

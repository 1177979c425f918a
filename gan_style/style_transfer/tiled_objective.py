"""The objective of an image too large for memory: evaluated in tiles, exactly."""

import functools

import tensorflow as tf

from gan_style.style_transfer.features import compiled, crop, gram_sums, traced_once
from gan_style.style_transfer.losses import total_variation_loss


class TiledObjective:
    """Evaluate a `StyleObjective` in tiles: what the whole gives, up to rounding.

    Gram matrices are sums over positions, so the gradient needs no whole image: a
    first pass over the tiles sums them up, and a second sends the upstream gradient
    of each sum back through each tile.
    """

    def __init__(self, objective):
        self.objective = objective
        self._style = compiled(_with_gradient(objective.style))
        power = objective.weights.total_variation_power
        variation = functools.partial(total_variation_loss, power=power)
        self._variation = compiled(_with_gradient(variation))
        self._tile = traced_once(self._tile_gradient)

    def __call__(self, image, tile_size):
        """Evaluate the loss and its gradient, as `StyleObjective` does."""
        features, weights = self.objective.features, self.objective.weights
        content, masks = self.objective.targets.content, self.objective.targets.masks
        grams, *_ = features.statistics(image, masks, tile_size)
        style, upstream = self._style(grams)
        variation, gradient = self._variation(image)
        gradient = tf.Variable(weights.total_variation_weight * gradient)
        loss = tf.zeros((), features.dtype)
        for tile, *parts in features.tiles(image, tile_size, content, masks):
            part, pull = self._tile(*parts, upstream)
            loss += part
            sliced = crop(gradient, tile.outer)
            sliced.assign(sliced + pull)
        return self.objective.terms(loss, style, variation), gradient.read_value()

    def _tile_gradient(self, pixels, inside, targets, masks, upstream):
        weights = self.objective.weights
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            activations = self.objective.features.model(pixels)
            cores = {name: crop(activations[name], inside[name]) for name in inside}
            content = self.objective.content(cores, targets)
            total = weights.content_weight * content
            for name, gradient in upstream.items():
                gram = gram_sums(cores[name], masks.get(name))
                total += weights.style_weight * tf.reduce_sum(gram * gradient)
        return content, tape.gradient(total, pixels)


def _with_gradient(function):
    def evaluate(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
        return value, tape.gradient(value, x)

    return evaluate

"""The objective of an image too large for memory: evaluated in tiles, exactly."""

import tensorflow as tf

from gan_style.style_transfer.features import crop, gram_sums, with_gradient
from gan_style.style_transfer.losses import total_variation_loss


class TiledObjective:
    """Evaluate a `StyleObjective` in tiles: what the whole gives, up to rounding.

    Gram matrices are sums over positions, so the gradient needs no whole image: a
    first pass over the tiles sums them up, and a second sends the upstream gradient
    of each sum back through each tile.
    """

    def __init__(self, objective):
        self.objective, power = objective, objective.weights.total_variation_power
        self._style = with_gradient(lambda grams: [objective.style(grams)])
        self._variation = with_gradient(lambda x: [total_variation_loss(x, power)])
        self._tile = with_gradient(self._tile_losses, any_size=True)

    def __call__(self, image, tile_size):
        """Evaluate the loss and its gradient, as `StyleObjective` does."""
        features, targets = self.objective.features, self.objective.targets
        grams, *_ = features.statistics(image, targets.masks, tile_size)
        (style,), upstream = self._style(grams)
        (variation,), gradient = self._variation(image)
        factor = self.objective.weights.total_variation_weight
        gradient, loss = tf.Variable(factor * gradient), tf.zeros((), features.dtype)
        maps = targets.content, targets.masks
        for tile, *parts in features.tiles(image, tile_size, *maps):
            (part, _), pull = self._tile(*parts, upstream)
            loss += part
            sliced = crop(gradient, tile.outer)
            sliced.assign(sliced + pull)
        return self.objective.terms(loss, style, variation), gradient.read_value()

    def _tile_losses(self, pixels, inside, targets, masks, upstream):
        objective, activations = self.objective, self.objective.features.model(pixels)
        cores = {name: crop(activations[name], inside[name]) for name in inside}
        content = objective.content(cores, targets)
        total = objective.weights.content_weight * content
        for name, gradient in upstream.items():
            gram = gram_sums(cores[name], masks.get(name))
            total += objective.weights.style_weight * tf.reduce_sum(gram * gradient)
        return content, total

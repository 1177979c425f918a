"""What a painted image should come to, and how much each part of it weighs."""

import numpy as np
import tensorflow as tf

from gan_style.style_transfer import inputs
from gan_style.style_transfer.features import gram_areas, mask_pyramid
from gan_style.style_transfer.losses import to_float32
from gan_style.style_transfer.objective import StyleObjective, Targets, Weights

# What strength 0.5 means, found by eye: relative style counts 40 times as much as
# relative content, and total variation of power 0.5 a hundredth a level. With less, a
# calm sky keeps a weave of single pixels; with more, it gets speckles, and the style
# falls behind. Other powers weigh an edge of 50 levels alike.
_STYLE_AT_HALF, _VARIATION_AT_HALF, _EDGE = 40.0, 1e-2, 50.0


def prepare(transfer, size, tile_size=None):
    """Computes the targets of a transfer at a size, and sets its weights.

    Args:
        transfer: a `StyleTransfer`.
        size: the longer side of the images.
        tile_size: rows and columns of a tile, or None for the whole.

    Returns:
        A `StyleObjective`.
    """
    features, shape = transfer.features, transfer.shape_at(size)
    name, stride = max(features.strides.items(), key=lambda item: item[1])
    if min(shape) < stride:
        raise ValueError(
            f"size: got {size}, which makes an image of {shape} (height, width), but "
            f"{name} sees nothing below {stride} pixels; give a larger size."
        )
    image = transfer.content_at(size)
    masks = {}
    if transfer.masks is not None:
        shaped = [
            inputs.resize(m[None], shape, transfer.dtype, 1.0) for m in transfer.masks
        ]
        masks = mask_pyramid(tf.concat(shaped, 0)[..., 0], features.strides)
    start, content = features.statistics(
        image, masks, tuple(transfer.content_layers), tile_size
    )
    grams = _style_grams(transfer, shape, tile_size)
    targets = Targets(content, grams, masks)
    unit = Weights(
        transfer.content_layers, transfer.style_layers, 1, 1, 1, transfer.power
    )
    plain = StyleObjective(features, targets, unit, shape)
    if transfer.factors:
        weights = unit._replace(
            **dict(zip(unit._fields[2:5], transfer.factors, strict=True))
        )
    else:
        weights = _balanced(transfer, plain, start, shape)
    return StyleObjective(features, targets, weights, shape)


def _style_grams(transfer, shape, tile_size):
    """Mean Gram matrices, blended where styles share their region."""
    grams = []
    for style in transfer.styles:
        # As many pixels as the content has, whatever the proportions.
        pixels = shape[0] * shape[1] * transfer.style_scale**2
        scale = np.sqrt(pixels / (style.shape[0] * style.shape[1]))
        hw = [max(16, round(side * scale)) for side in style.shape[:2]]
        image = inputs.resize(style[None], hw, transfer.dtype)
        sums, _ = transfer.features.statistics(image, tile_size=tile_size)
        areas = {
            name: gram_areas(transfer.features.grid(name, image), None, transfer.dtype)
            for name in sums
        }
        grams.append({name: sums[name] / areas[name] for name in transfer.style_layers})
    if transfer.masks is not None:
        return {n: tf.concat([g[n] for g in grams], 0) for n in transfer.style_layers}
    return {
        name: sum(b * g[name] for b, g in zip(transfer.blend, grams, strict=True))
        for name in transfer.style_layers
    }


def _balanced(transfer, plain, start, shape):
    """Weights under which `strength` does alike to every image and size."""
    style, content = {}, {}
    for name, loss in plain.layer_losses(start).items():
        gram = plain.targets.grams[name]
        # Like content and style, the loss would be next to nothing: a hundredth
        # of an empty image's at least.
        empty = tf.reduce_sum(tf.square(gram)) / (4 * gram.shape[-1] ** 2)
        style[name] = transfer.style_layers[name] / float(
            tf.maximum(loss, 0.01 * empty) + 1e-12
        )
    for name, target in plain.targets.content.items():
        target = to_float32(target)
        mean, variance = tf.nn.moments(target, (1, 2), keepdims=True)
        least = 0.01 * tf.reduce_mean(tf.square(target))
        variance = tf.maximum(tf.reduce_mean(variance), least)
        content[name] = transfer.content_layers[name] / float(variance + 1e-12)
    variation = _VARIATION_AT_HALF * _EDGE ** (1 - 2 * transfer.power)
    return Weights(
        content,
        style,
        1 - transfer.strength,
        _STYLE_AT_HALF * transfer.strength,
        variation * transfer.strength / (shape[0] * shape[1]),
        transfer.power,
    )

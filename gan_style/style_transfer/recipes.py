"""What the weights of style-transfer recipes found elsewhere mean here."""

import math

from gan_style.utils.checks import check_choice, refused

# The factors of others' style and content losses, relative to those of
# `gan_style.style_transfer.losses`: D / (4 C^2 M^2) for each style layer, and a mean.
# D is the sum of squared differences of the unnormalised Gram matrices, C a layer's
# channels, M its positions, P the image's pixels, L the number of style layers.
CONVENTIONS = {
    # The paper: half a sum for the content.
    "gatys": (lambda c, m, p, n: 1.0, lambda size: size / 2),
    # neural-style(-pt): D / (C^4 M^2).
    "neural_style": (lambda c, m, p, n: 4 / c**2, lambda size: 1.0),
    # TensorFlow's tutorial and pystiche: D / (C^2 M^2), the mean over the layers.
    "tensorflow": (lambda c, m, p, n: 4 / n, lambda size: 1.0),
    # keras.io and the book: D / (4 * 3^2 * P^2), the mean; a sum for the content.
    "keras": (lambda c, m, p, n: (c * m / (3 * p)) ** 2 / n, lambda size: size),
}


def convert_weights(
    content_weight, style_weight, source, content_shape, style_shapes, image_shape
):
    """Convert the weights of a recipe into weights that mean the same here.

    Implementations normalise their losses in different ways. Total variation needs no
    conversion; keras.io and the book use `total_variation_power=1.25`.

    Args:
        content_weight: the recipe's content weight.
        style_weight: its style weight: a number, or one for each style layer's name.
        source: the recipe's convention, a key of `CONVENTIONS`.
        content_shape: `(h, w, channels)` of the content layer's activations.
        style_shapes: a dictionary from style layers to the image's `(h, w, channels)`.
        image_shape: `(height, width)` of the generated image, in pixels.

    Returns:
        `(content_weight, style_weights)`: a number, and a dictionary from each style
        layer's name to the factor of its loss.

    Raises:
        ValueError: for an unknown convention, or weights that name other layers.

    >>> content, style = convert_weights(
    ...     5.0, 100.0, "neural_style", (32, 32, 512),
    ...     {"relu1_1": (256, 256, 64)}, (256, 256))
    >>> content, round(style["relu1_1"], 6)
    (5.0, 0.097656)
    """
    check_choice("convert_weights", "source", source, tuple(CONVENTIONS))
    if not isinstance(style_weight, dict):
        style_weight = dict.fromkeys(style_shapes, style_weight)
    if set(style_weight) != set(style_shapes):
        expected = f"a number, or one for each of {list(style_shapes)}"
        raise refused("convert_weights", "style_weight", style_weight, expected)
    style_factor, content_factor = CONVENTIONS[source]
    pixels, style = math.prod(image_shape), {}
    for name, (height, width, channels) in style_shapes.items():
        layer = channels, height * width, pixels, len(style_shapes)
        style[name] = style_weight[name] * style_factor(*layer)
    return content_weight * content_factor(math.prod(content_shape)), style

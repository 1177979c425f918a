"""The three losses of neural style transfer, and what others mean by their weights."""

import math

from keras import backend, ops

from gan_style.utils.checks import check_number, summarize


def content_loss(base, combination):
    """Mean squared difference of one layer's activations.

    Gatys et al. (CVPR 2016), equation 1, as a mean in place of half the sum, so that
    a weight means the same at every image size.

    Args:
        base: activations of the content image, `(..., h, w, channels)`.
        combination: activations of the painted image, the same shape.

    Returns:
        A scalar, in float32 at least.

    Example:
        >>> float(content_loss(ops.zeros((2, 2, 1)), ops.full((2, 2, 1), 3.0)))
        9.0
    """
    base, combination = to_float32(base, "base"), to_float32(combination, "combination")
    base, combination = _alike(base, combination)
    if tuple(base.shape) != tuple(combination.shape):
        raise ValueError(
            f"combination: got shape {tuple(combination.shape)}, expected base's "
            f"{tuple(base.shape)}; resize the images to one size first."
        )
    return ops.mean(ops.square(combination - base))


def gram_matrix(features):
    """All dot products between a layer's flattened feature maps.

    Args:
        features: activations `(h, w, channels)` or `(batch, h, w, channels)`.

    Returns:
        `(channels, channels)` or `(batch, channels, channels)`: sums over the
        positions, not divided by anything, in float32 at least.

    Example:
        >>> ops.convert_to_numpy(gram_matrix(ops.ones((4, 5, 2)))).tolist()
        [[20.0, 20.0], [20.0, 20.0]]
    """
    features = to_float32(features)
    if len(features.shape) not in (3, 4):
        raise ValueError(
            f"features: got shape {tuple(features.shape)}, expected (h, w, channels) "
            "or (batch, h, w, channels)."
        )
    flat = ops.reshape(features, (*_batch(features), -1, features.shape[-1]))
    return ops.matmul(ops.swapaxes(flat, -1, -2), flat)


def style_loss(style, combination):
    """Squared difference of one layer's Gram matrices, as the paper normalises it.

    Gatys et al. (CVPR 2016), equation 4: the sum over the matrix times
    1 / (4 C^2 M^2), for C channels and M positions. Each Gram matrix is divided by
    its own M, so that the two images may differ in size.

    Args:
        style: activations of the style image, `(h, w, channels)`, or with a batch.
        combination: activations of the painted image, the same channels.

    Returns:
        A scalar (the mean over a batch), in float32 at least.

    Example:
        >>> float(style_loss(ops.zeros((3, 3, 2)), ops.ones((4, 4, 2))))
        0.25
    """
    style, combination = (
        to_float32(style, "style"),
        to_float32(combination, "combination"),
    )
    style, combination = _alike(mean_gram(style), mean_gram(combination))
    if not _match(style.shape, combination.shape):
        raise ValueError(
            f"combination: got {combination.shape[-1]} channels in a batch of "
            f"{_batch_size(combination)}, expected style's {style.shape[-1]} in a "
            f"batch of {_batch_size(style)}."
        )
    difference = combination - style
    channels = difference.shape[-1]
    total = ops.sum(ops.square(difference), axis=(-1, -2))
    return ops.mean(total) / (4 * channels**2)


def mean_gram(features):
    """The Gram matrix divided by the number of positions: its size-free form.

    Args:
        features: activations `(h, w, channels)` or `(batch, h, w, channels)`.

    Returns:
        `(channels, channels)` or `(batch, channels, channels)`.
    """
    features = to_float32(features)
    gram = gram_matrix(features)
    shape = ops.shape(features)
    return gram / ops.cast(shape[-3] * shape[-2], gram.dtype)


def total_variation_loss(image, power=1.0):
    """Squared difference to the right and to the lower neighbour, summed.

    Args:
        image: `(height, width, channels)` or `(batch, height, width, channels)`.
        power: from 0.5. Where it is not 1, the sum of a pixel's two squared
            differences is raised to it, and pixels without both neighbours are left
            out: 1.25 is what keras.io's example and the book do. Below 1, it takes
            `(sum + 1)**power - 1` instead, whose slope is finite where an image is
            flat; 0.5 is the total variation of Rudin, Osher and Fatemi (1992), which
            smooths what is calm and spares edges.

    Returns:
        A scalar: the sum over every pair of neighbours, in float32 at least.

    Example:
        >>> float(total_variation_loss(ops.array([[[0.0], [3.0]], [[0.0], [3.0]]])))
        18.0
    """
    image = to_float32(image, "image")
    if len(image.shape) not in (3, 4):
        raise ValueError(
            f"image: got shape {tuple(image.shape)}, expected (height, width, "
            "channels) or (batch, height, width, channels)."
        )
    power = check_number("total_variation_loss", "power", power)
    if power < 0.5:
        raise ValueError(
            f"power: got {power:g}, expected at least 0.5: 0.5 spares edges, 1 is the "
            "sum of squares, 1.25 what keras.io's example takes."
        )
    down = ops.square(image[..., 1:, :, :] - image[..., :-1, :, :])
    right = ops.square(image[..., :, 1:, :] - image[..., :, :-1, :])
    if power == 1:
        return ops.sum(down) + ops.sum(right)
    both = down[..., :, :-1, :] + right[..., :-1, :, :]
    return ops.sum(both**power if power > 1 else (both + 1) ** power - 1)


def to_float32(x, name="features"):
    """Casts halves and integers to float32; sums over them need the digits.

    Args:
        x: a tensor or an array.
        name: what to call it in an error.

    Raises:
        ValueError: for what holds no real numbers.
    """
    try:
        x = ops.convert_to_tensor(x)
        dtype = backend.standardize_dtype(x.dtype)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name}: got {summarize(x)}, expected an array or a tensor of numbers."
        ) from error
    if dtype in ("float32", "float64"):
        return x
    if dtype in ("bfloat16", "float16", "bool") or "int" in dtype:
        return ops.cast(x, "float32")
    raise ValueError(f"{name}: got {dtype}, expected real numbers.")


def _alike(one, other):
    # Float64 where either is.
    dtypes = [backend.standardize_dtype(x.dtype) for x in (one, other)]
    return (ops.cast(x, max(dtypes)) for x in (one, other))


def _match(one, other):
    batches = {shape[0] for shape in (one, other) if len(shape) == 3} - {1, None}
    return one[-1] == other[-1] and len(batches) < 2


def _batch_size(gram):
    return gram.shape[0] if len(gram.shape) == 3 else 1


def _batch(features):
    return (ops.shape(features)[0],) if len(features.shape) == 4 else ()


# What others multiply their weights with, relative to the definitions above. D is the
# sum of squared differences of the unnormalised Gram matrices, C a layer's channels,
# M its positions, P the image's pixels, L the number of style layers.
#
#   convention     style, one layer      over layers   content     known from
#   gatys          D / (4 C^2 M^2)       weighted sum  half a sum  the paper
#   gan_style      D / (4 C^2 M^2)       weighted sum  mean        here
#   neural_style   D / (C^4 M^2)         sum           mean        neural-style(-pt)
#   tensorflow     D / (C^2 M^2)         mean          mean        TF tutorial; pystiche
#   keras          D / (4 * 3^2 * P^2)   mean          sum         keras.io, the book
CONVENTIONS = {
    "gatys": (lambda c, m, p, n: 1.0, lambda size: size / 2),
    "gan_style": (lambda c, m, p, n: 1.0, lambda size: 1.0),
    "neural_style": (lambda c, m, p, n: 4 / c**2, lambda size: 1.0),
    "tensorflow": (lambda c, m, p, n: 4 / n, lambda size: 1.0),
    "keras": (lambda c, m, p, n: (c * m / (3 * p)) ** 2 / n, lambda size: size),
}


def convert_weights(
    content_weight, style_weight, source, content_shape, style_shapes, image_shape,
    target="gan_style",
):  # fmt: skip
    """Turns the weights of a recipe read elsewhere into weights that mean the same.

    `CONVENTIONS` lists how the well-known implementations normalise their losses:
    the same numbers mean images apart. Total variation needs no conversion, but
    keras.io and the book raise it to a power: `total_variation_loss(..., power=1.25)`.

    Args:
        content_weight: the recipe's content weight.
        style_weight: its style weight: one number, or a dictionary from a style
            layer's name to a number.
        source: the recipe's convention, a key of `CONVENTIONS`.
        content_shape: `(h, w, channels)` of the content layer's activations.
        style_shapes: a dictionary from a style layer's name to its `(h, w,
            channels)`, for the painted image.
        image_shape: `(height, width)` of the painted image, in pixels.
        target: the convention wanted.

    Returns:
        `(content_weight, style_weights)`: a number, and a dictionary from each style
        layer's name to the factor of its loss.

    Raises:
        ValueError: for an unknown convention, or weights that name other layers.

    Example:
        >>> content, style = convert_weights(
        ...     5.0, 100.0, "neural_style", (32, 32, 512),
        ...     {"relu1_1": (256, 256, 64)}, (256, 256))
        >>> content, round(style["relu1_1"], 6)
        (5.0, 0.097656)
    """
    for name, convention in (("source", source), ("target", target)):
        if convention not in CONVENTIONS:
            raise ValueError(
                f"{name}: got {convention!r}, expected one of {sorted(CONVENTIONS)}."
            )
    if not isinstance(style_weight, dict):
        style_weight = dict.fromkeys(style_shapes, style_weight)
    if set(style_weight) != set(style_shapes):
        raise ValueError(
            f"style_weight: got the layers {sorted(style_weight)}, expected those of "
            f"style_shapes, {sorted(style_shapes)}."
        )
    (style_from, content_from), (style_to, content_to) = (
        CONVENTIONS[source],
        CONVENTIONS[target],
    )
    size = math.prod(content_shape)
    pixels, count = math.prod(image_shape), len(style_shapes)
    style = {}
    for name, (height, width, channels) in style_shapes.items():
        about = (channels, height * width, pixels, count)
        style[name] = style_weight[name] * style_from(*about) / style_to(*about)
    return content_weight * content_from(size) / content_to(size), style

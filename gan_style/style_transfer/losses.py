"""The three losses of neural style transfer."""

from keras import backend, ops

from gan_style.utils.checks import check_number, refused


def content_loss(base, combination):
    """Compute the mean squared difference of one layer's activations.

    Gatys et al. (CVPR 2016), equation 1, as a mean in place of half the sum, so that
    a weight means the same at every image size.

    Args:
        base: activations of the content image, `(..., h, w, channels)`.
        combination: activations of the generated image, the same shape.

    Returns:
        A scalar, in float32 at least.

    >>> float(content_loss(ops.zeros((2, 2, 1)), ops.full((2, 2, 1), 3.0)))
    9.0
    """
    base = to_float32(base, "content_loss", "base", range(9))
    combination = to_float32(combination, "content_loss", "combination", range(9))
    if tuple(base.shape) != tuple(combination.shape):
        raise ValueError(
            f"content_loss: combination is of shape {tuple(combination.shape)}, but "
            f"must be of base's, {tuple(base.shape)}. Resize the images to one size."
        )
    return ops.mean(ops.square(ops.subtract(combination, base)))


def gram_matrix(features):
    """Compute the dot products between all pairs of a layer's flattened feature maps.

    Args:
        features: activations `([batch,] h, w, channels)`.

    Returns:
        `([batch,] channels, channels)`: undivided sums, in float32 at least.

    >>> ops.convert_to_numpy(gram_matrix(ops.ones((4, 5, 2)))).tolist()
    [[20.0, 20.0], [20.0, 20.0]]
    """
    features = to_float32(features, "gram_matrix", "features")
    flat = ops.reshape(features, (*ops.shape(features)[:-3], -1, features.shape[-1]))
    return ops.matmul(ops.swapaxes(flat, -1, -2), flat)


def mean_gram(features):
    """Compute `gram_matrix(features)` divided by the number of positions."""
    gram = gram_matrix(features)
    height, width = ops.shape(features)[-3:-1]
    return gram / ops.cast(height * width, gram.dtype)


def style_loss(style, combination):
    """Compute the squared difference of one layer's Gram matrices.

    Gatys et al. (CVPR 2016), equation 4: the sum divided by 4 C^2 M^2, for C channels
    and M positions, here each image's own M, so that the two may differ in size.

    Args:
        style: activations of the style image, `([batch,] h, w, channels)`.
        combination: activations of the generated image, the same channels.

    Returns:
        A scalar (the mean over a batch), in float32 at least.

    >>> float(style_loss(ops.zeros((3, 3, 2)), ops.ones((4, 4, 2))))
    0.25
    """
    style = mean_gram(to_float32(style, "style_loss", "style"))
    combination = mean_gram(to_float32(combination, "style_loss", "combination"))
    channels, batches = style.shape[-1], {*style.shape[:-2], *combination.shape[:-2]}
    if combination.shape[-1] != channels or len(batches - {1, None}) > 1:
        raise ValueError(
            f"style_loss: combination has Gram matrices {tuple(combination.shape)}, "
            f"but must be of style's channels and batch, {tuple(style.shape)}."
        )
    difference = ops.square(ops.subtract(combination, style))
    return ops.mean(ops.sum(difference, axis=(-1, -2))) / (4 * channels**2)


def total_variation_loss(image, power=1.0):
    """Sum the squared differences to the right and to the lower neighbour.

    Args:
        image: `([batch,] height, width, channels)`.
        power: at least 0.5. Unless 1, the sum of a pixel's two squares is raised to it,
            without the last row and column; below 1, as `(sum + 1)**power - 1`, whose
            gradient is finite. 0.5 preserves edges (Rudin, Osher and Fatemi, 1992).

    Returns:
        A scalar: the sum over every pair of neighbours, in float32 at least.

    >>> float(total_variation_loss(ops.array([[[0.0], [3.0]], [[0.0], [3.0]]])))
    18.0
    """
    image = to_float32(image, "total_variation_loss", "image")
    power = check_number("total_variation_loss", "power", power, 0.5)
    down = ops.square(image[..., 1:, :, :] - image[..., :-1, :, :])
    right = ops.square(image[..., :, 1:, :] - image[..., :, :-1, :])
    if power == 1:
        return ops.sum(down) + ops.sum(right)
    both = down[..., :, :-1, :] + right[..., :-1, :, :]
    return ops.sum(both**power if power > 1 else (both + 1) ** power - 1)


def to_float32(x, owner="to_float32", name="x", dimensions=(3, 4)):
    """Casts to float32 what is not float64: sums in half precision lose digits."""
    try:
        x = ops.convert_to_tensor(x)
        dtype = backend.standardize_dtype(x.dtype)
    except (TypeError, ValueError, RuntimeError):
        dtype = "string"
    if "complex" in dtype or dtype == "string" or len(x.shape) not in dimensions:
        expected = "real numbers (height, width, channels), or a batch of them"
        raise refused(owner, name, x, expected)
    return x if dtype == "float64" else ops.cast(x, "float32")

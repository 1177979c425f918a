"""Checks and prepares the images and options of style transfer."""

import functools
import os

import numpy as np
import tensorflow as tf

from gan_style.utils.checks import check_int, check_list, check_number, summarize
from gan_style.utils.images import UnreadableImage, read_image

number = functools.partial(check_number, "StyleTransfer")
whole = functools.partial(check_int, "StyleTransfer")


def _error(name, got, expected):
    return ValueError(f"StyleTransfer: {name} is {got}, but must be {expected}")


def is_one(image):
    """Tell one image from a list of them."""
    is_file = isinstance(image, (str, os.PathLike)) or hasattr(image, "getexif")
    return is_file or getattr(image, "ndim", None) == 3


def _array(name, image):
    is_file = is_one(image) and not hasattr(image, "ndim")
    try:
        return read_image(image) if is_file else np.asarray(image)
    except UnreadableImage as error:
        raise UnreadableImage(f"StyleTransfer: {name}: {error}") from error
    except (TypeError, ValueError) as error:
        raise _error(
            name, summarize(image), f"an image or a path ({error})."
        ) from error


def _describe(array):
    text = f"{array.dtype} {array.shape}"
    if array.dtype.kind in "buif" and array.size:
        text += f" from {float(array.min()):g} to {float(array.max()):g}"
    return text


def rgb_array(name, image):
    """Check an image; return float32 or float64 `(height, width, 3)`.

    Args:
        name: what to call it in an error.
        image: an array, a `PIL.Image`, or the path of an image file.

    Raises:
        ValueError: if it is not an RGB image with values in [0, 255].

    Example:
        >>> rgb_array("content", np.zeros((4, 6, 3), "uint8")).dtype.name
        'float32'
    """
    image = _array(name, image)
    is_rgb = image.dtype.kind in "uif" and image.ndim == 3 and image.shape[-1] == 3
    expected = "RGB, (height, width, 3), uint8 or float in [0, 255]."
    if not is_rgb or not image.size or not 0 <= image.min() <= image.max() <= 255:
        raise _error(name, _describe(image), expected)
    if image.dtype.kind == "f" and 0 < image.max() <= 1:
        raise _error(name, _describe(image), f"{expected} Multiply by 255.")
    return image if image.dtype == np.float64 else image.astype(np.float32)


def mask(name, values):
    """Check a mask; return float32 `(height, width, 1)` in [0, 1].

    Args:
        name: what to call it in an error.
        values: `(height, width)`, bool, uint8 in [0, 255] or float in [0, 1]; or a
            grey image `(height, width, 3)`, a `PIL.Image` or a path; or None for
            everywhere.

    Raises:
        ValueError: if it is none of these.
    """
    if values is None:
        return np.ones((1, 1, 1), np.float32)
    given = values = _array(name, values)
    if values.dtype.kind in "buif" and values.size:
        if values.ndim == 3 and values.shape[-1] in (1, 3):
            values = values.mean(-1)
        values = values.astype(np.float32) / (255 if given.dtype == np.uint8 else 1)
        if values.ndim == 2 and 0 <= values.min() <= values.max() <= 1:
            return values[..., None]
    expected = "(height, width) with values in [0, 1], or uint8 in [0, 255]."
    raise _error(name, _describe(given), expected)


def shares(count, blend):
    """Scale the blend of `count` styles to shares that sum to 1.

    Raises:
        ValueError: for another number of them, or if none is positive.

    Example:
        >>> shares(2, [3, 1])
        [0.75, 0.25]
    """
    expected = f"{count} numbers of at least 0, one per style, with a positive sum."
    try:
        parts = [1.0] * count if blend is None else [float(part) for part in blend]
    except (TypeError, ValueError) as error:
        raise _error("blend", summarize(blend), expected) from error
    if len(parts) != count or min(parts) < 0 or not 0 < sum(parts) < np.inf:
        raise _error("blend", summarize(parts), expected)
    return [part / sum(parts) for part in parts]


def layer_weights(name, layers):
    """Turn layer names into a dictionary to weights, equal ones that sum to 1.

    Example:
        >>> layer_weights("style_layers", ["relu1_1", "relu2_1"])
        {'relu1_1': 0.5, 'relu2_1': 0.5}
    """
    if isinstance(layers, dict) and layers:
        return {k: number(f"{name}[{k!r}]", w, 0, 1e30) for k, w in layers.items()}
    layers = [layers] if isinstance(layers, str) else layers
    layers = check_list("StyleTransfer", name, layers, "names of layers")
    if not layers or not all(isinstance(key, str) for key in layers):
        raise _error(name, summarize(layers), "the names of one layer or more.")
    return dict.fromkeys(layers, 1 / len(layers))


def resize(image, shape, dtype=tf.float32, maximum=255.0):
    """Resize images without aliasing, and without overshoot.

    Args:
        image: `(batch, height, width, channels)` in [0, `maximum`].
        shape, dtype: of the result; the shape is rows and columns.
        maximum: the largest value an image can have.
    """
    image = tf.cast(image, dtype)
    if tuple(image.shape[1:3]) == tuple(shape):
        return image
    resized = tf.image.resize(image, shape, method="bicubic", antialias=True)
    return tf.cast(tf.clip_by_value(resized, 0.0, maximum), dtype)

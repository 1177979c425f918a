"""Checks and prepares what people hand to style transfer."""

import numbers
import os

import numpy as np
import tensorflow as tf

from gan_style.utils.checks import check_list, summarize
from gan_style.utils.images import UnreadableImage, read_image


def rgb_array(name, image):
    """Checks an image; returns float32 or float64 `(height, width, 3)`.

    Args:
        name: what to call it in an error.
        image: an array, a `PIL.Image`, or the path of an image file.

    Raises:
        ValueError: if it is no RGB image with values in [0, 255].

    Example:
        >>> rgb_array("content", np.zeros((4, 6, 3), "uint8")).dtype.name
        'float32'
    """
    image = _array(name, image)
    if image.ndim != 3 or image.shape[-1] != 3 or not image.size:
        raise ValueError(
            f"{name}: got shape {image.shape}, expected (height, width, 3), RGB."
        )
    if image.dtype.kind not in "uif":
        raise ValueError(
            f"{name}: got {image.dtype}, expected uint8 or float pixels in [0, 255]."
        )
    least, most = float(image.min()), float(image.max())
    if not (least >= 0 and most <= 255):  # true for NaN too
        raise ValueError(
            f"{name}: got values from {least:g} to {most:g}, expected [0, 255]."
        )
    if image.dtype.kind == "f" and 0 < most <= 1:
        raise ValueError(
            f"{name}: got float values of at most {most:g}, expected [0, 255]; "
            "multiply by 255."
        )
    return image if image.dtype == np.float64 else image.astype(np.float32)


def is_one(image):
    """Whether it is one image, where it could be a list of them."""
    one = isinstance(image, (str, os.PathLike)) or hasattr(image, "getexif")
    return one or getattr(image, "ndim", None) == 3


def _array(name, image):
    if isinstance(image, (str, os.PathLike)) or hasattr(image, "getexif"):
        try:
            return read_image(image)
        except UnreadableImage as error:
            raise UnreadableImage(f"{name}: {error}") from error
    try:
        return np.asarray(image)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: got {summarize(image)}, expected an array, a PIL image or a path "
            f"({error})."
        ) from error


def number(name, value, least, most):
    """Checks a number; returns it as a float.

    Raises:
        ValueError: if it is none in the range.
    """
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not least <= value <= most:
        raise ValueError(
            f"{name}: got {summarize(value)}, expected a number from {least:g} to "
            f"{most:g}."
        )
    return float(value)


def whole(name, value, least=1):
    """Checks an integer; returns it as an int.

    Raises:
        ValueError: if it is none, or less than `least`.
    """
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or value < least:
        raise ValueError(
            f"{name}: got {summarize(value)}, expected an integer, at least {least}."
        )
    return int(value)


def shares(count, blend):
    """Turns the blend of `count` styles into shares that sum to 1.

    Raises:
        ValueError: for another number of them, or if none is positive.

    Example:
        >>> shares(2, [3, 1])
        [0.75, 0.25]
    """
    try:
        blend = [1.0] * count if blend is None else [float(share) for share in blend]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"blend: got {summarize(blend)}, expected {count} numbers from 0 on, one a "
            "style."
        ) from error
    if len(blend) != count or min(blend) < 0 or not 0 < sum(blend) < np.inf:
        raise ValueError(
            f"blend: got {blend}, expected {count} numbers from 0 on, one a style, "
            "with a positive sum."
        )
    return [share / sum(blend) for share in blend]


def mask(name, values):
    """Checks a mask; returns float32 `(height, width, 1)` in [0, 1].

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
    values = _array(name, values)
    if values.dtype.kind not in "buif":
        raise ValueError(
            f"{name}: got {values.dtype}, expected numbers in [0, 1], or uint8 in "
            "[0, 255]."
        )
    most = 255.0 if values.dtype == np.uint8 else 1.0
    if values.ndim == 3 and values.shape[-1] in (1, 3):
        values = values.mean(-1)
    values = values.astype(np.float32) / most
    if (
        values.ndim != 2
        or not values.size
        or not (0 <= values.min() <= values.max() <= 1)
    ):
        raise ValueError(
            f"{name}: got shape {values.shape}, expected (height, width) with values "
            "in [0, 1], or uint8 in [0, 255]."
        )
    return values[..., None]


def layer_weights(name, layers):
    """Turns layer names into a dictionary to weights, equal ones that sum to 1.

    Example:
        >>> layer_weights("style_layers", ["relu1_1", "relu2_1"])
        {'relu1_1': 0.5, 'relu2_1': 0.5}
    """
    if isinstance(layers, dict):
        layers = {
            key: number(f"{name}[{key!r}]", w, 0, 1e30) for key, w in layers.items()
        }
    else:
        layers = [layers] if isinstance(layers, str) else layers
        layers = check_list("StyleTransfer", name, layers, "names of layers")
        if not all(isinstance(key, str) for key in layers):
            raise ValueError(
                f"{name}: got {summarize(layers)}, expected layers' names."
            )
        layers = dict.fromkeys(layers, 1 / max(1, len(layers)))
    if not layers:
        raise ValueError(f"{name}: got none, expected at least one layer's name.")
    return layers


def resize(image, shape, dtype=tf.float32, most=255.0):
    """Resizes a batch of images without aliasing, and without overshoot.

    Args:
        image: `(batch, height, width, channels)` in [0, `most`].
        shape: the rows and columns wanted.
        dtype: of the result.
        most: the largest value there is.

    Returns:
        A tensor `(batch, *shape, channels)`.
    """
    image = tf.cast(image, dtype)
    if tuple(image.shape[1:3]) == tuple(shape):
        return image
    resized = tf.image.resize(image, shape, method="bicubic", antialias=True)
    return tf.cast(tf.clip_by_value(resized, 0.0, most), dtype)

"""Checks and prepares the images and options of style transfer."""

import os

import numpy as np
import tensorflow as tf

from gan_style.utils.checks import check_list, check_number, summarize
from gan_style.utils.images import UnreadableImage, read_image

OWNER = "StyleTransfer"
_MASK = "(height, width) with values in [0, 1], or uint8 in [0, 255]."
_RGB = "grey or RGB, plain or with alpha: (h, w, 1 to 4), uint8 or float in [0, 255]."


def refused(name, got, expected):
    """Return the error for an argument: `got` is a value, or its description."""
    if isinstance(got, np.ndarray):
        numbers = got.dtype.kind in "buif" and got.size
        ends = f" from {float(got.min()):g} to {float(got.max()):g}" if numbers else ""
        got = f"{got.dtype} {got.shape}{ends}"
    got = got if isinstance(got, str) else summarize(got)
    return ValueError(f"{OWNER}: {name} is {got}, but must be {expected}")


def is_one(image):
    """Tell one image from a list of them."""
    is_file = isinstance(image, (str, os.PathLike)) or hasattr(image, "getexif")
    return is_file or getattr(image, "ndim", None) in (2, 3)


def _array(name, image, expected):
    is_file = is_one(image) and not hasattr(image, "ndim")
    try:
        array = read_image(image) if is_file else np.asarray(image)
    except UnreadableImage as error:
        raise UnreadableImage(f"{OWNER}: {name}: {error}") from error
    except (TypeError, ValueError) as error:
        raise refused(name, image, f"an image or a path ({error}).") from error
    if array.dtype.kind not in "buif" or not array.size:
        raise refused(name, array, expected)
    return array


def rgb_array(name, image):
    """Return an image as float32 or float64 RGB `(height, width, 3)` in [0, 255]."""
    given = image = _array(name, image, _RGB)
    image = image[..., None] if image.ndim == 2 else image
    fits = image.dtype.kind != "b" and image.ndim == 3 and image.shape[-1] <= 4
    if not fits or not 0 <= image.min() <= image.max() <= 255:
        raise refused(name, given, _RGB)
    image = image if image.dtype == np.float64 else image.astype(np.float32)
    colours = 3 if image.shape[-1] > 2 else 1
    image, alpha = image[..., :colours], image[..., colours:]
    unit_range = 0 < image.max() <= 1 or 0 < alpha.max(initial=0) <= 1
    if given.dtype.kind == "f" and unit_range:
        raise refused(name, given, f"{_RGB} Multiply by 255.")
    if alpha.size:  # what is transparent lies on white, as `read_image` has it
        image = 255 + (image - 255) * (alpha / 255)
    return image.repeat(3 // colours, axis=-1)


def mask(name, values):
    """Return a mask as float32 `(height, width, 1)` in [0, 1]; None is everywhere."""
    if values is None:
        return np.ones((1, 1, 1), np.float32)
    given = values = _array(name, values, _MASK)
    if values.ndim == 3 and values.shape[-1] in (1, 3):
        values = values.mean(-1)
    values = values.astype(np.float32) / (255 if given.dtype == np.uint8 else 1)
    if values.ndim != 2 or not 0 <= values.min() <= values.max() <= 1:
        raise refused(name, given, _MASK)
    return values[..., None]


def shares(count, blend):
    """Scale the blend of `count` styles to shares that sum to 1."""
    expected = f"{count} numbers of at least 0, one per style, with a positive sum."
    try:
        parts = [1.0] * count if blend is None else [float(part) for part in blend]
    except (TypeError, ValueError) as error:
        raise refused("blend", blend, expected) from error
    if len(parts) != count or min(parts) < 0 or not 0 < sum(parts) < np.inf:
        raise refused("blend", parts, expected)
    return [part / sum(parts) for part in parts]


def layer_weights(name, layers):
    """Return a dictionary from layers to weights; of names, to equal ones."""
    if isinstance(layers, dict) and layers:
        names = {key: f"{name}[{key!r}]" for key in layers}
        return {k: check_number(OWNER, names[k], layers[k], 0, 1e30) for k in layers}
    layers = [layers] if isinstance(layers, str) else layers
    layers = check_list(OWNER, name, layers, "names of layers")
    if not layers or not all(isinstance(key, str) for key in layers):
        raise refused(name, layers, "the names of one layer or more.")
    return dict.fromkeys(layers, 1 / len(layers))


def resize(image, shape, dtype=tf.float32, maximum=255.0):
    """Resize an image or a batch without aliasing and overshoot; return a batch."""
    image = tf.cast(image if len(image.shape) == 4 else image[None], dtype)
    if tuple(image.shape[1:3]) == tuple(shape):
        return image
    resized = tf.image.resize(image, shape, method="bicubic", antialias=True)
    return tf.cast(tf.clip_by_value(resized, 0.0, maximum), dtype)

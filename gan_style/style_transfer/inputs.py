"""Checks and prepares the images and options of style transfer."""

import os

import numpy as np
import tensorflow as tf

from gan_style.utils.checks import check_list, check_number, refused
from gan_style.utils.images import UnreadableImage, read_image

OWNER = "StyleTransfer"
MARGIN = 8  # pixels that a run paints beyond each border; stray colours end before
_MASK = "(height, width) with values in [0, 1], or uint8 in [0, 255]"
_RGB = "grey or RGB, plain or with alpha: (h, w, 1 to 4), uint8 or float in [0, 255]"


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
        raise refused(OWNER, name, image, f"an image or a path ({error})") from error
    if array.dtype.kind not in "buif" or not array.size:
        raise refused(OWNER, name, array, expected)
    return array


def rgb_array(name, image):
    """Return an image as float32 or float64 RGB `(height, width, 3)` in [0, 255]."""
    given = image = _array(name, image, _RGB)
    image = image[..., None] if image.ndim == 2 else image
    fits = image.dtype.kind != "b" and image.ndim == 3 and image.shape[-1] <= 4
    if not fits or not 0 <= image.min() <= image.max() <= 255:
        raise refused(OWNER, name, given, _RGB)
    image = image if image.dtype == np.float64 else image.astype(np.float32)
    colours = 3 if image.shape[-1] > 2 else 1
    image, alpha = image[..., :colours], image[..., colours:]
    unit_range = 0 < image.max() <= 1 or 0 < alpha.max(initial=0) <= 1
    if given.dtype.kind == "f" and unit_range:
        raise refused(OWNER, name, given, f"{_RGB}. Multiply by 255")
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
        raise refused(OWNER, name, given, _MASK)
    return values[..., None]


def shares(count, blend):
    """Scale the blend of `count` styles to shares that sum to 1."""
    expected = f"{count} numbers of at least 0, one per style, with a positive sum"
    try:
        parts = [1.0] * count if blend is None else [float(part) for part in blend]
    except (TypeError, ValueError) as error:
        raise refused(OWNER, "blend", blend, expected) from error
    if len(parts) != count or min(parts) < 0 or not 0 < sum(parts) < np.inf:
        raise refused(OWNER, "blend", parts, expected)
    return [part / sum(parts) for part in parts]


def layer_weights(name, layers):
    """Return a dictionary from layers to weights; of names, to equal ones."""
    if isinstance(layers, dict) and layers:
        names = {key: f"{name}[{key!r}]" for key in layers}
        return {k: check_number(OWNER, names[k], layers[k], 0, 1e30) for k in layers}
    layers = [layers] if isinstance(layers, str) else layers
    layers = check_list(OWNER, name, layers, "names of layers")
    if not layers or not all(isinstance(key, str) for key in layers):
        raise refused(OWNER, name, layers, "the names of one layer or more")
    return dict.fromkeys(layers, 1 / len(layers))


def styles_and_masks(styles, masks, blend):
    """Return lists of both, checked; of no masks, an empty one."""
    styles = [styles] if is_one(styles) else styles
    styles = check_list(OWNER, "styles", styles, "images")
    masks = check_list(OWNER, "masks", [] if masks is None else masks, "one per style")
    if not styles or (masks and (blend is not None or len(masks) != len(styles))):
        got = len(styles), len(masks), blend
        expected = "at least one style, and masks or blend, one value per style"
        raise refused(OWNER, "(number of styles, of masks, blend)", got, expected)
    styles = [rgb_array(f"styles[{i}]", s) for i, s in enumerate(styles)]
    return styles, [mask(f"masks[{i}]", one) for i, one in enumerate(masks)]


def factors(*weights):
    """Return the factors of the three losses as a list; None where none is given."""
    given = [weight for weight in weights if weight is not None]
    if len(given) not in (0, len(weights)):
        names = "(content_weight, style_weight, total_variation_weight)"
        expected = "all three or none, where strength sets them"
        raise refused(OWNER, names, weights, expected)
    return [check_number(OWNER, "a weight", w, 0, 1e30) for w in given] or None


def vgg_options(features):
    """Return the arguments for `vgg_features`."""
    known = ("backbone", "weights", "pooling", "padding", "dtype")
    features = {} if features is None else features
    if not isinstance(features, dict) or not set(features) <= set(known):
        expected = f"a dict of some of {', '.join(known)}"
        raise refused(OWNER, "features", features, expected)
    return {"pooling": "max", "padding": "reflect", **features}


def resize(image, shape, dtype=tf.float32, maximum=255.0):
    """Resize an image or a batch without aliasing and overshoot; return a batch."""
    image = tf.cast(image if len(image.shape) == 4 else image[None], dtype)
    if tuple(image.shape[1:3]) == tuple(shape):
        return image
    resized = tf.image.resize(image, shape, method="bicubic", antialias=True)
    return tf.cast(tf.clip_by_value(resized, 0.0, maximum), dtype)


def add_margin(image, margin):
    """Mirror up to `margin` pixels of a batch outwards, at each border."""
    margin = min(margin, min(image.shape[1:3]) - 1)
    return tf.pad(image, [[0, 0], *[[margin, margin]] * 2, [0, 0]], "REFLECT")


def cut_margin(image, shape):
    """Return the middle `shape` of a batch."""
    top, left = np.subtract(image.shape[1:3], shape) // 2
    return image[:, top : top + shape[0], left : left + shape[1]]

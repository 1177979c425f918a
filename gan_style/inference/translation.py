"""Runs a generator on any images, of any size."""

import os
import weakref
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from gan_style.utils import checks
from gan_style.utils.images import luma, read_image, to_float, to_uint8

# Pixels that go through the network at once, unless a single image or tile is
# larger: 4 images of 256 x 256. More is no faster on a CPU and needs more memory.
_PIXELS_AT_ONCE = 4 * 256 * 256
_FORMS = "(height, width, channels), a PIL image, a path, a file's bytes, or a list"
_ADVICE = {  # by the channels that an image has, and those that the network needs
    (4, 3): "Drop the fourth channel, which says what is transparent.",
    (1, 3): "Repeat the grey channel, with numpy.repeat(images, 3, axis=-1).",
    (3, 1): "Make the colours grey, as PIL's convert('L') does.",
}
_MULTIPLES = sorted(range(1, 65), key=lambda n: n & (n - 1) > 0)  # powers of 2 first
_known = weakref.WeakKeyDictionary()  # the requirements of generators


def translate(generator, images, tile_size=None, overlap=None):
    """Translate images of any size with one generator.

    An image is mirrored at its end to the size that the network needs, such as a
    multiple of 16 for the U-Net, and the result is cropped.

    An image too large for the memory is cut into tiles, which overlap and are blended.
    That gives *another* image: instance norm evens out contrast and brightness in each
    tile, so a dark corner becomes as bright as the rest.

    Args:
        generator: a `keras.Model` from images in [-1, 1] to such images.
        images: an image `(height, width, channels)`, a batch `(batch, height, width,
            channels)`, a `PIL.Image`, or an image file's path or bytes; or a list of
            these, also of different sizes. Numbers are uint8, or float in [-1, 1].
            `read_image` reads files and PIL images, grey for generators of one channel.
        tile_size: pixels of a square tile's side; None translates every image whole.
        overlap: pixels that tiles share; `tile_size` // 4 by default, and half at most.

    Returns:
        NumPy arrays of the same shape: uint8 for uint8, PIL images and files, float32
        in [-1, 1] for float; a list for a list.

    Raises:
        ValueError: for images of another type, range or shape.

    >>> from gan_style.models import resnet_generator
    >>> generator = resnet_generator((128, 128, 3), filters=2, blocks=1)
    >>> translate(generator, np.zeros((50, 75, 3), "uint8")).shape
    (50, 75, 3)
    """
    owner, network = "translate", compile_for_any_size(generator, "translate")
    if tile_size is not None:
        tile_size = checks.check_int(owner, "tile_size", tile_size, network.minimum)
        tile_size = network.fit(tile_size)
        overlap = tile_size // 4 if overlap is None else overlap
        overlap = checks.check_int(owner, "overlap", overlap, minimum=0)
        checks.check_number(owner, "overlap", overlap, 0, tile_size // 2)

    def run(image):
        image = _check_image(image, network.channels)
        if not image.size:
            return image.copy()
        batch = image if image.ndim == 4 else image[None]
        parts = _translate_parts(network, batch, tile_size, overlap)
        parts = map(to_uint8, parts) if image.dtype == np.uint8 else parts
        result = np.concatenate([*parts])
        return result if image.ndim == 4 else result[0]

    return [*map(run, images)] if isinstance(images, (list, tuple)) else run(images)


class SizeRequirements(NamedTuple):
    """A generator's compiled inference, and the image sizes that it accepts."""

    run: object  # from float32 (batch, height, width, channels) to float32
    multiple: int  # of which both sides must be multiples
    minimum: int
    channels: int

    def fit(self, side):
        """Return the smallest accepted side of at least `side` pixels."""
        return max(-(-side // self.multiple) * self.multiple, self.minimum)


def compile_for_any_size(generator, owner="compile_for_any_size"):
    """Compile a generator, and find its `SizeRequirements` by trying.

    Its layers are used themselves: no weight is copied, and later training shows. The
    answer is kept while the generator lives. An error names `owner`.
    """
    if isinstance(generator, keras.Model) and generator in _known:
        return _known[generator]
    shape = getattr(generator, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] is None:
        expected = "(batch, height, width, channels), the channels fixed. Pass a built "
        expected += "keras.Model, such as a CycleGAN's generator_ab"
        raise checks.refused(owner, "generator's input_shape", shape, expected)
    # A strong reference would keep the generator, the key of its own entry, for ever.
    reference, channels = weakref.ref(generator), shape[-1]

    def forward(images):
        model = reference()
        # `__call__` insists on the size that a functional model was built with.
        step = model if shape[1:3] == (None, None) else model.call
        return tf.cast(step(images, training=False), tf.float32)

    def keeps_size(*sides):
        try:
            result = forward(np.zeros((1, *sides, channels), "float32"))
        except (ValueError, tf.errors.InvalidArgumentError):
            return False
        return tuple(result.shape[1:3]) == sides

    # Only a true multiple fits 7 and 11 times, which share no factor.
    multiple = next((n for n in _MULTIPLES if keeps_size(7 * n, 11 * n)), None)
    if multiple is None:
        raise ValueError(
            f"{owner}: generator changes the size of images, or has a model inside, "
            "which accepts one size. Pass a flat one, such as unet_generator's."
        )
    # On fewer pixels, some mirroring paddings and convolutions fail.
    sides = range(multiple, 7 * multiple, multiple)
    minimum = next((side for side in sides if keeps_size(side, side)), 7 * multiple)
    signature = [tf.TensorSpec((None, None, None, channels), tf.float32)]
    run = tf.function(forward, input_signature=signature, autograph=False)
    _known[generator] = found = SizeRequirements(run, multiple, minimum, channels)
    return found


def _translate_parts(network, batch, tile_size, overlap):
    """Yield the translations of a batch, as many at once as fit, or one in tiles."""
    height, width = batch.shape[1:3]
    rows, columns = network.fit(height), network.fit(width)
    # Padding on every side would keep the image centred, but would shift the grid of
    # the strided convolutions from image to image.
    padding = ((0, 0), (0, rows - height), (0, columns - width), (0, 0))
    pixels = tile_size**2 if tile_size else rows * columns
    together = max(1, _PIXELS_AT_ONCE // pixels)
    step = 1 if tile_size else together

    def translate_tiles(places):
        for start in range(0, len(places), together):
            some = places[start : start + together]
            yield from _run(network, np.stack([part[0][place] for place in some]))

    for start in range(0, len(batch), step):
        part = np.pad(batch[start : start + step], padding, mode="reflect")
        if tile_size:
            tiles = tile_size, overlap, network.multiple
            result = blend_tiles(rows, columns, *tiles, translate_tiles)[None]
        else:
            result = _run(network, part)
        yield result[:, :height, :width]


def tile_starts(size, tile, overlap, multiple=1):
    """Return where tiles begin that spread evenly over a side and overlap at least so.

    Every start is, and `size` must be, a multiple of `multiple`, so that strided
    convolutions see the same grid in each.
    """
    if size <= tile:
        return [0]
    count = -(-(size - tile) // max(tile - overlap, multiple)) + 1
    # Rounding down costs an overlap less than `multiple`; the last start is exact.
    starts = np.linspace(0, size - tile, count) // multiple * multiple
    return starts.astype(int).tolist()


def blend_tiles(height, width, tile, overlap, multiple, translate_tiles):
    """Translate an image tile by tile, and return float32 `(height, width, channels)`.

    A pixel is the mean of the tiles that hold it, with weights that fall to 0 towards
    a tile's border as a raised cosine over the overlap. `translate_tiles` maps a list
    of `(rows, columns)` slices to an iterable of their images.
    """
    rows, columns = min(tile, height), min(tile, width)
    tops = tile_starts(height, rows, overlap, multiple)
    lefts = tile_starts(width, columns, overlap, multiple)
    places = [np.s_[y : y + rows, x : x + columns] for y in tops for x in lefts]
    window = _ramp(rows, overlap)[:, None, None] * _ramp(columns, overlap)[:, None]
    total, weights = None, np.zeros((height, width, 1), "float32")
    for place, result in zip(places, translate_tiles(places), strict=True):
        if total is None:
            total = np.zeros((height, width, result.shape[-1]), "float32")
        total[place] += window * result
        weights[place] += window
    return np.divide(total, weights, out=total)


def _ramp(size, overlap):
    # Half a pixel in from the border, so that no weight is 0.
    distance = np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5
    rise = np.clip(distance / max(min(overlap, size // 2), 1), 0, 1)
    return np.sin(0.5 * np.pi * rise).astype("float32") ** 2


def _check_image(image, channels):
    """Return an image or a batch as uint8 or float32, with the network's channels."""
    image = bytes(image) if isinstance(image, bytearray) else image
    if isinstance(image, (str, bytes, os.PathLike)) or hasattr(image, "getexif"):
        image = read_image(image)
        if channels == 1:
            image = np.rint(luma(image.astype("float32"))).astype("uint8")[..., None]
        elif channels != 3:
            expected = "1 or 3 for image files. Pass arrays"
            raise checks.refused("translate", "channels", channels, expected)
    if isinstance(image, (list, tuple)):
        expected = "an array of numbers: numpy.asarray makes one"
        raise checks.refused("translate", "an image", image, expected)
    image = checks.check_array("translate", "an image", image, shape=_FORMS)
    shape, known = image.shape, image.ndim in (3, 4)
    if not known or shape[-1] != channels or 0 in shape[-3:]:
        advice = "Convert the channels." if known else "Add the axis of the channels."
        if known and shape[-3] == channels:
            advice = "Put the channels last, with numpy.moveaxis(images, -3, -1)."
        advice = _ADVICE.get((known and shape[-1], channels), advice)
        raise ValueError(
            f"translate: the images' shape is {shape}, but must be (height, "
            f"width, {channels}) or (batch, height, width, {channels}). {advice}"
        )
    if image.dtype == np.uint8:
        return image
    if image.dtype.kind != "f" and image.dtype.name != "bfloat16":
        remedy = "Convert them, such as images.astype('uint8')"
        expected = f"uint8, 0 to 255, or float, -1 to 1. {remedy}"
        raise checks.refused("translate", "an image", image, expected)
    image = image.astype("float32")
    checks.check_range("translate", "images", image)
    return image


def _run(network, images):
    images = to_float(images) if images.dtype == np.uint8 else images
    try:
        result = network.run(images).numpy()
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(
            f"translate: a batch of shape {images.shape} needs more memory than there "
            "is. Pass tile_size=512 or less."
        ) from error
    if not np.isfinite(result).all():
        expected = "finite: its training has diverged. Load an earlier state"
        raise checks.refused("translate", "generator's output", result, expected)
    return result

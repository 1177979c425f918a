"""Runs a generator on images of one's own, of any size."""

import os

import numpy as np
import tensorflow as tf

from gan_style.inference.blended_tiles import blend_tiles
from gan_style.inference.sizes import any_size
from gan_style.utils.checks import check_int, summarize

# Pixels that go through the network at once, unless a single image or tile is
# larger: 4 images of 256 x 256. More is no faster on a CPU and takes more memory.
_PIXELS_AT_ONCE = 4 * 256 * 256


def translate(generator, images, tile_size=None, overlap=None, batch_size=None):
    """Translates images of any size with one generator.

    An image is padded by mirroring it to the size that the network needs, such as a
    multiple of 16 for the U-Net, and the result is cropped back.

    An image too large for the memory goes through in tiles, which overlap and are
    blended. That is *not* the same image: instance norm measures contrast and
    brightness over what it sees at once, so in tiles it evens them out locally, and a
    dark corner becomes as bright as the rest. `benchmarks/translate.py --tiles`
    measures by how much. Translate an image whole if the memory allows.

    Args:
        generator: a `keras.Model` from images in [-1, 1] to such images, at
            whatever fixed or open size it was built for.
        images: an image `(height, width, channels)`, a batch `(batch, height, width,
            channels)`, a `PIL.Image` or the path of an image file; or a list of such
            images, of different sizes if need be. Numbers are uint8, or float in
            [-1, 1]. The EXIF orientation of PIL images and files is applied.
        tile_size: pixels of a square tile's side; None translates every image whole.
        overlap: pixels that neighbouring tiles share at least; a quarter of `tile_size`
            by default.
        batch_size: images or tiles that go through the network together; as many as
            the memory of a small machine holds by default.

    Returns:
        NumPy arrays of the same shape and kind: uint8 for uint8, PIL images and files,
        float32 in [-1, 1] for float; a list for a list.

    Raises:
        ValueError: for images of another type, range or shape, with advice.

    >>> from gan_style.models import resnet_generator
    >>> generator = resnet_generator((128, 128, 3), filters=2, blocks=1)
    >>> translate(generator, np.zeros((50, 75, 3), "uint8")).shape
    (50, 75, 3)
    """
    network = any_size(generator)
    tile_size, overlap = _check_tiles(network, tile_size, overlap)
    if batch_size is not None:
        batch_size = check_int("translate", "batch_size", batch_size)

    def run(image):
        array = _check_images(_as_array(image), network.channels)
        batch = array if array.ndim == 4 else array[None]
        if not batch.size:
            return np.zeros(array.shape, _kind(array))
        if tile_size:
            result = np.stack(
                [
                    _in_tiles(network, one, tile_size, overlap, batch_size)
                    for one in batch
                ]
            )
        else:
            result = _whole(network, batch, batch_size)
        return result if array.ndim == 4 else result[0]

    if isinstance(images, (list, tuple)):
        return [run(image) for image in images]
    return run(images)


def _check_tiles(network, tile_size, overlap):
    if tile_size is None:
        return None, 0
    tile_size = check_int("translate", "tile_size", tile_size, network.least)
    tile_size = _rounded_up(tile_size, network.multiple)
    if overlap is None:
        overlap = tile_size // 4
    overlap = check_int("translate", "overlap", overlap, minimum=0)
    if overlap > tile_size // 2:
        raise ValueError(
            f"translate: overlap is {overlap}, but tiles of {tile_size} pixels can "
            f"share at most half, {tile_size // 2}. Take less, or larger tiles."
        )
    return tile_size, overlap


def _as_array(image):
    if isinstance(image, (str, os.PathLike)) or hasattr(image, "getexif"):
        from gan_style.utils.images import read_image

        return read_image(image)
    if isinstance(image, (list, tuple)):
        raise ValueError(
            "translate: a list holds a list, but its items have to be images: "
            "arrays, PIL images or paths. Make numbers an array with numpy.asarray."
        )
    try:
        return np.asarray(image)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"translate: an image is {summarize(image)}, but must be an array, a "
            f"PIL image or a path ({error})."
        ) from error


def _check_images(array, channels):
    shape = array.shape
    if array.ndim not in (3, 4) or shape[-1] != channels or 0 in shape[-3:]:
        advice = "Add the axis of the channels."
        if array.ndim in (3, 4) and shape[-1] == 4 and channels == 3:
            advice = "Drop the fourth channel, which says what is transparent."
        elif array.ndim in (3, 4) and shape[-3] == channels:
            advice = "Put the channels last, with numpy.moveaxis(images, -3, -1)."
        raise ValueError(
            f"translate: the images' shape is {shape}, but must be (height, "
            f"width, {channels}) or (batch, height, width, {channels}). {advice}"
        )
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating) and array.dtype.name != "bfloat16":
        raise ValueError(
            f"translate: the images' dtype is {array.dtype}, but must be uint8, "
            "0 to 255, or float, -1 to 1. Convert them, for example with "
            "images.astype('uint8')."
        )
    array = array.astype("float32")
    # One pass each; a NaN shows in both.
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if not np.isfinite([low, high]).all():
        raise ValueError(
            "translate: the images hold numbers that are not finite (NaN or "
            "infinity), which the network would spread over the whole image. Look "
            "for where they come from."
        )
    if low < -1.001 or high > 1.001:
        raise ValueError(
            f"translate: the images hold floats from {low:.4g} to {high:.4g}, but "
            "they have to be in [-1, 1]. For 0 to 255 pass images.astype('uint8') or "
            "images / 127.5 - 1; clip what resizing pushed slightly outside."
        )
    return array


def _whole(network, batch, batch_size):
    height, width = batch.shape[1:3]
    sides = [
        max(_rounded_up(side, network.multiple), network.least)
        for side in (height, width)
    ]
    together = batch_size or max(1, _PIXELS_AT_ONCE // (sides[0] * sides[1]))
    parts = [
        _as_kind(
            _run(network, _padded(_floats(part), sides))[:, :height, :width], batch
        )
        for part in _parts(batch, together)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _in_tiles(network, image, tile_size, overlap, batch_size):
    height, width = image.shape[:2]
    sides = [
        max(_rounded_up(side, network.multiple), network.least)
        for side in (height, width)
    ]
    padded = _padded(image[None], sides)[0]
    together = batch_size or max(1, _PIXELS_AT_ONCE // tile_size**2)

    def translate_tiles(places):
        for part in _parts(places, together):
            yield from _run(network, _floats(np.stack([padded[at] for at in part])))

    blended = blend_tiles(*sides, tile_size, overlap, network.multiple, translate_tiles)
    return _as_kind(blended[:height, :width], image)


def _run(network, floats):
    try:
        result = network.run(floats).numpy()
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(
            f"translate: the memory does not hold the network's work on a batch of "
            f"shape {floats.shape}. Pass a smaller batch_size, or tile_size=512."
        ) from error
    if not np.isfinite(result).all():
        raise ValueError(
            "translate: the generator gave numbers that are not finite, so its weights "
            "hold some: training has diverged. Load an earlier state."
        )
    return result


def _parts(sequence, size):
    return (sequence[i : i + size] for i in range(0, len(sequence), size))


def _rounded_up(side, multiple):
    return -(-side // multiple) * multiple


def _padded(batch, sides):
    # Half of it on every side would keep the image centred, but would shift the grid
    # of the strided convolutions from image to image.
    rows, columns = (
        side - now for side, now in zip(sides, batch.shape[1:3], strict=True)
    )
    if rows == columns == 0:
        return batch
    # NumPy mirrors again and again where the image is smaller than what it needs.
    return np.pad(batch, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="reflect")


def _floats(batch):
    if batch.dtype == np.uint8:
        return batch / np.float32(127.5) - np.float32(1)
    return batch


def _kind(array):
    return np.uint8 if array.dtype == np.uint8 else np.float32


def _as_kind(result, like):
    if like.dtype != np.uint8:
        return result
    return np.clip(np.rint((result + 1) * 127.5), 0, 255).astype("uint8")

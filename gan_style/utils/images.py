"""Image files: any common kind in, uint8 RGB as a person would see it out."""

import collections.abc
import contextlib
import io
import os
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from gan_style.utils.checks import (
    check_array,
    check_int,
    check_number,
    check_path,
)
from gan_style.utils.files import atomic_write

SUFFIXES = frozenset(".jpg .jpeg .jpe .jfif .png .gif .bmp .webp .tif .tiff".split(" "))
PIXEL_LIMIT = 89_478_485  # Pillow's own: a quarter of a gigabyte as RGB

# What Pillow's decoders raise at broken files.
_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    RuntimeError,
    struct.error,
)


class UnreadableImage(ValueError):
    """An image that cannot be read: says which one, what is wrong, what to do."""


class NoImages(ValueError):
    """A folder that is missing, or that holds no images."""


def read_image(source, at_least=None, pixel_limit=PIXEL_LIMIT):
    """Reads an image as a person would see it.

    JPEG, PNG, GIF and WebP (of an animation the first frame), BMP and TIFF; grey,
    palette, CMYK and 16-bit images become RGB of 8 bits, scaled and not clipped;
    transparent parts lie on white; colours of an embedded profile become sRGB; the
    orientation that a camera noted (EXIF) is applied.

    Args:
        source: a path, the bytes of a file, or a `PIL.Image.Image`.
        at_least: the side that is needed, or None for the whole image. A large
            JPEG is then decoded at a half, a quarter or an eighth of its size, as long
            as both sides stay this long, which is many times faster.
        pixel_limit: images of more pixels are refused before they are decoded.

    Returns:
        uint8 `(height, width, 3)`, RGB.

    Raises:
        UnreadableImage: for what is missing, truncated, no image, or too large.

    >>> from PIL import Image
    >>> read_image(Image.new("L", (3, 2), 255)).shape
    (2, 3, 3)
    """
    name = _name(source)
    if at_least is not None:
        at_least = check_int("read_image", "at_least", at_least)
    pixel_limit = check_number("read_image", "pixel_limit", pixel_limit)
    try:
        with _open(source) as image:
            _check_size(name, image, pixel_limit)
            if at_least is not None and not isinstance(source, Image.Image):
                image.draft(None, (at_least, at_least))  # does nothing but for JPEG
            image.load()
            return np.asarray(_as_seen(image, name))
    except UnreadableImage:
        raise
    except (*_BROKEN, MemoryError, Image.DecompressionBombError) as error:
        raise UnreadableImage(_explain(name, source, error)) from error


def check_image(path, pixel_limit=PIXEL_LIMIT):
    """Looks at a file's header alone: quick, but blind to what comes after it.

    Raises:
        UnreadableImage: for what is missing, no image, or too large.
    """
    try:
        with _open(path) as image:
            _check_size(path, image, pixel_limit)
    except UnreadableImage:
        raise
    except (*_BROKEN, Image.DecompressionBombError) as error:
        raise UnreadableImage(_explain(_name(path), path, error)) from error


def _check_size(name, image, pixel_limit):
    width, height = image.size
    if width * height > pixel_limit:
        raise UnreadableImage(
            f"{name}: has {width} x {height} pixels, but at most {pixel_limit:.0f} "
            "fit. Make it smaller, or leave it out."
        )


def _name(source):
    if isinstance(source, Image.Image):
        return getattr(source, "filename", "") or "a PIL image"
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"an image of {len(source)} bytes"
    return str(source)


def _open(source):
    if isinstance(source, Image.Image):
        return contextlib.nullcontext(source)  # the caller's: not ours to close
    if isinstance(source, (bytes, bytearray, memoryview)):
        return Image.open(io.BytesIO(source))
    if not isinstance(source, (str, os.PathLike)):
        raise UnreadableImage(
            f"read_image: source is {type(source).__name__}, but must be a "
            "path, the bytes of a file, or a PIL image."
        )
    # Opening a pipe would wait for ever.
    if os.path.exists(source) and not os.path.isfile(source):
        raise OSError("is no file")
    return Image.open(source)


def _explain(name, source, error):
    if isinstance(source, (str, os.PathLike)) and not os.path.isfile(source):
        kind = "is no file" if os.path.exists(source) else "does not exist"
        kind = "is a folder" if os.path.isdir(source) else kind
        return f"{name}: {kind}, but an image file was expected. Check the path."
    if isinstance(error, Image.DecompressionBombError):
        return f"{name}: is too large ({error}). Make it smaller, or leave it out."
    if isinstance(error, Image.UnidentifiedImageError):
        return (
            f"{name}: is no image that can be read ({_begins(source)}). Save it as "
            "JPEG or PNG, or take it out of the folder."
        )
    return (
        f"{name}: cannot be decoded, it may be truncated ({error}). Fetch it again, "
        "or take it out of the folder."
    )


def _begins(source):
    if isinstance(source, (bytes, bytearray, memoryview)):
        begin = bytes(source[:8])
    else:
        with open(source, "rb") as file:
            begin = file.read(8)
    return f"it begins with {begin!r}" if begin else "it is empty"


def _as_seen(image, name):
    image = _upright(image)
    if image.mode.startswith("I"):
        image = _eight_bits(image, name)
    elif image.mode == "F":
        raise UnreadableImage(
            f"{name}: holds floating-point numbers, whose range no rule tells. "
            "Save it with 8 or 16 bits."
        )
    profile = image.info.get("icc_profile")
    if image.mode in ("RGB", "CMYK") and profile and b"sRGB" not in profile:
        image = _to_srgb(image, profile)
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _upright(image):
    try:
        return ImageOps.exif_transpose(image)
    except _BROKEN:  # a broken note of the camera is no reason to lose the image
        return image


def _eight_bits(image, name):
    wide = np.asarray(image)
    if wide.min() < 0 or wide.max() > 65535:
        raise UnreadableImage(
            f"{name}: holds numbers from {wide.min()} to {wide.max()}, but at "
            "most 16 bits were expected. Save it with 8 or 16 bits."
        )
    return Image.fromarray(np.rint(wide / 257.0).astype(np.uint8))


def _to_srgb(image, profile):
    try:
        return ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, *_BROKEN):  # an odd profile: take the plain colours
        return image


class ImageList(collections.abc.Sequence):
    """The images of one folder, as paths, in the order of their names.

    It holds names and makes a path when it is asked for one: some ten megabytes for
    200,000 images.
    """

    def __init__(self, folder, names):
        self.folder = Path(folder)
        self.names = names

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return ImageList(self.folder, self.names[index])
        return self.folder / self.names[index]

    def __eq__(self, other):
        if not isinstance(other, collections.abc.Sequence):
            return NotImplemented
        return list(self) == list(other)

    __hash__ = None

    def __repr__(self):
        return f"<{len(self)} images of {self.folder}>"


def list_images(folder):
    """Lists the images of a folder, by suffix; not those of its subfolders.

    Hidden files and other kinds are left out. The order is that of the names'
    characters, the same on every machine.

    Args:
        folder: a path.

    Returns:
        A `ImageList`, a sequence of `pathlib.Path`.

    Raises:
        NoImages: if there is no such folder or no image in it; says what was found.
    """
    folder = check_path("list_images", "folder", folder)
    names, others = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                suffix = os.path.splitext(entry.name)[1].lower()
                if suffix in SUFFIXES and entry.is_file():
                    names.append(entry.name)
                elif len(others) < 1000:
                    others.append(entry.name + "/" * entry.is_dir())
    # ValueError: a name with a zero byte.
    except (OSError, ValueError) as error:
        state = "does not exist"
        if os.path.exists(folder):
            state = f"is no folder that can be read ({error})"
        raise NoImages(
            f"{folder}: {state}, but a folder of images was expected. {_beside(folder)}"
        ) from error
    if not names:
        raise NoImages(
            f"{folder}: holds no image ({', '.join(sorted(SUFFIXES))}), "
            f"but: {found(others)}. Check the path."
        )
    names.sort()
    return ImageList(folder, names)


def found(names):
    """Names what was found instead, summarize.

    >>> found(["b.txt", "a/"])
    'a/, b.txt'
    """
    names = sorted(names)
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more if names else "nothing at all"


def _beside(folder):
    parent = Path(folder).absolute().parent
    if not parent.is_dir():
        return "The folder above does not exist either. Check the path."
    return f"Beside it: {found(os.listdir(parent))}."


def save_image(path, image, **options):
    """Writes an image file, whole or not at all.

    Args:
        path: where it goes; the suffix says which kind. Its folder is made.
        image: uint8 `(height, width, 3)`, RGB.
        **options: for `PIL.Image.Image.save`; a JPEG has quality 95 by default.

    Returns:
        The path, a `pathlib.Path`.

    Raises:
        ValueError: for another kind of array, or a suffix that says no image kind.
        OSError: where it cannot be written, such as on a full disk.
    """
    path = check_path("save_image", "path", path)
    image = check_array("save_image", "image", image)
    if path.is_dir():
        raise ValueError(
            f"save_image: path is {str(path)!r}, which is a folder. Give a file's."
        )
    if (
        not image.size
        or image.dtype != np.uint8
        or image.ndim != 3
        or image.shape[-1] != 3
    ):
        raise ValueError(
            f"save_image: image is {image.dtype} {image.shape}, but it has to "
            "be uint8 (height, width, 3)."
        )
    kind = Image.registered_extensions().get(path.suffix.lower())
    if path.suffix.lower() not in SUFFIXES or kind is None:
        raise ValueError(
            f"save_image: path is {str(path)!r}, but its suffix has to be one of "
            f"{', '.join(sorted(SUFFIXES))}."
        )
    if kind == "JPEG":
        options = {"quality": 95, **options}
    with atomic_write(path) as partial:
        Image.fromarray(image).save(partial, kind, **options)
    return path

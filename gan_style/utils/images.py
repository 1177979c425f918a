"""Image files: common kinds in, uint8 RGB as a person would see it out."""

import contextlib
import functools
import io
import os
import re

import numpy as np
from PIL import Image, ImageCms, ImageOps

from gan_style.utils.checks import check_array, check_int, check_number, check_path
from gan_style.utils.files import atomic_write

# Pillow has dozens of decoders, one of which runs Ghostscript: only these are used,
# whatever a file is named. "HEIF" comes with pillow-heif, the extra `heic`.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "HEIF")
_SUFFIXES = "jpg jpeg jpe jfif mpo png gif webp bmp tif tiff avif heic heif"
SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())
PIXEL_LIMIT = 89_478_485  # Pillow's own: a quarter of a gigabyte as RGB
SCAN_LIMIT = 50  # of a JPEG, which has ten; each costs a pass over all pixels
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
_MARKER = re.compile(rb"\xff+([\x02-\xcf\xd9-\xfe])(..)", re.DOTALL)  # and length
_HEIC = "HEIC, as iPhones write it, needs pip install 'gan_style[heic]'"


class UnreadableImage(ValueError):
    """An image that cannot be read: says which one, what is wrong, what to do."""


class NoImages(ValueError):
    """A folder that is missing, or that holds no images."""


def to_float(images):
    """Map [0, 255] to [-1, 1]: a NumPy array to float32, a float tensor to its own.

    >>> to_float(np.array([0, 255], "uint8"))
    array([-1.,  1.], dtype=float32)
    """
    if isinstance(images, np.ndarray):
        images = images.astype(np.float32)
    return images / 127.5 - 1.0


def to_levels(images):
    """Map floats in [-1, 1] to [0, 255], unrounded: the inverse of `to_float`."""
    return (images + 1.0) * 127.5


def to_uint8(images):
    """Round an array or a tensor in [-1, 1] to a uint8 array.

    >>> to_uint8(np.array([-1.0, 0.0, 1.0]))
    array([  0, 128, 255], dtype=uint8)
    """
    return np.clip(np.rint(to_levels(np.asarray(images))), 0, 255).astype(np.uint8)


def luma(images):
    """Return the brightness of float RGB images, `(..., 3)`, as `(...)`."""
    return images @ np.asarray(LUMA, images.dtype)


def read_image(source, at_least=None, pixel_limit=PIXEL_LIMIT):
    """Read an image as a person would see it.

    JPEG, PNG, GIF and WebP (of an animation the first frame), BMP, TIFF, AVIF, and
    HEIC with the extra `heic`; grey, palette, CMYK and 16-bit images become RGB of 8
    bits, scaled and not clipped; transparent parts lie on white; colours of an
    embedded profile become sRGB; the orientation noted by a camera is applied.

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
        ValueError: for a source of another kind.

    >>> from PIL import Image
    >>> read_image(Image.new("L", (3, 2), 255)).shape
    (2, 3, 3)
    """
    if at_least is not None:
        at_least = check_int("read_image", "at_least", at_least)
    pixel_limit = check_number("read_image", "pixel_limit", pixel_limit)
    with _opened(source, pixel_limit) as image:
        own = not isinstance(source, Image.Image)
        if own and image.format in ("JPEG", "MPO"):
            _check_scans(image.fp)
            if at_least is not None:
                image.draft(None, (at_least, at_least))
        image.load()
        with contextlib.suppress(Exception):  # a broken note of the camera
            # In place, to save memory, unless the image is the caller's.
            image = ImageOps.exif_transpose(image, in_place=own) or image
        return np.asarray(_as_seen(image))


def check_image(path, pixel_limit=PIXEL_LIMIT):
    """Look at a file's header alone: quick, but blind to what comes after it.

    Raises:
        UnreadableImage: for what is missing, no image, or too large.
    """
    with _opened(path, pixel_limit):
        pass


@contextlib.contextmanager
def _opened(source, pixel_limit):
    """Open an image for a `with` statement, whose every error becomes one kind."""
    file = path = None
    if isinstance(source, Image.Image):
        name = getattr(source, "filename", "") or "a PIL image"
    elif isinstance(source, (bytes, bytearray, memoryview)):
        name, file = f"an image of {len(source)} bytes", io.BytesIO(source)
    else:
        name = path = check_path("read_image", "source", source)
    try:
        if path and not path.is_file():  # opening a pipe would block
            state = "is not a file" if path.exists() else "does not exist"
            state = "is a folder" if path.is_dir() else state
            raise UnreadableImage(f"{state}, but must be an image. Check the path.")
        file = open(path, "rb") if path else file
        image = Image.open(file, formats=_formats()) if file else source
        width, height = image.size
        if width * height > pixel_limit:
            raise UnreadableImage(
                f"has {width} x {height} pixels, but must have at most "
                f"{pixel_limit:.0f}. Make it smaller, or leave it out."
            )
        yield image
    except Exception as error:  # Pillow's decoders raise nearly all there are
        raise UnreadableImage(f"{name}: {_reason(error, file)}") from error
    finally:
        if file:
            file.close()


def _reason(error, file):
    if isinstance(error, UnreadableImage):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):
        return f"is too large ({error}). Make it smaller, or leave it out."
    if not isinstance(error, Image.UnidentifiedImageError):
        remedy = "Fetch it again, or take it out of the folder."
        return f"cannot be decoded, it may be truncated ({error}). {remedy}"
    file.seek(0)
    begin = file.read(12)
    if begin[4:10] in (b"ftyphe", b"ftypmi", b"ftypms") and "HEIF" not in _formats():
        return f"is HEIC, but must be another kind of image. {_HEIC}."
    begin = f"it begins with {begin[:8]!r}" if begin else "it is empty"
    return (
        f"is not an image that can be read ({begin}), but must be one of "
        f"{', '.join(_formats())}. Save it so, or take it out of the folder."
    )


@functools.cache
def _formats():
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    return [kind for kind in FORMATS if kind in Image.OPEN]


def _check_scans(file):
    """Refuse a JPEG of many scans: one megabyte could keep a core busy for minutes."""
    file.seek(0)
    content, place, scans = file.read(), 2, 0
    if content.count(b"\xff\xda") <= SCAN_LIMIT:  # quick, but counts more than scans
        return
    while (marker := _MARKER.search(content, place)) and marker[1] != b"\xd9":
        place = marker.start(2) + int.from_bytes(marker[2], "big")
        scans += marker[1] == b"\xda"
    if scans > SCAN_LIMIT:
        raise UnreadableImage(
            f"has {scans} scans, but must have at most {SCAN_LIMIT}. Save it anew, or "
            "leave it out."
        )


def _as_seen(image):
    if image.mode == "F":
        raise UnreadableImage(
            "holds floating-point numbers, but must hold integers of 8 or 16 bits, "
            "whose range is known. Save it so."
        )
    if image.mode.startswith("I"):
        wide = np.asarray(image)
        if wide.min() < 0 or wide.max() > 65535:
            raise UnreadableImage(
                f"holds numbers from {wide.min()} to {wide.max()}, but must hold 8 or "
                "16 bits. Save it so."
            )
        image = Image.fromarray(((wide.astype("int32") + 128) // 257).astype("uint8"))
    profile = image.info.get("icc_profile")
    if image.mode in ("RGB", "CMYK") and profile and b"sRGB" not in profile:
        with contextlib.suppress(Exception):  # an odd profile: the plain colours
            profile = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            image = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image)
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")


def list_images(folder):
    """List the images of a folder, by suffix; not those of its subfolders.

    Hidden files and other kinds are left out. The order is that of the names'
    characters, the same on every machine.

    Args:
        folder: a path.

    Returns:
        A list of `pathlib.Path`.

    Raises:
        NoImages: if the folder is missing or holds no image; says what was found.
    """
    names, others = sort_names(folder)
    folder = check_path("list_images", "folder", folder)
    if not names:
        raise NoImages(
            f"{folder}: holds no image ({', '.join(sorted(SUFFIXES))}), but: "
            f"{found(others)}. Check the path."
        )
    return [folder / name for name in names]


def sort_names(folder):
    """Return the names of a folder's images, and of all else but hidden files."""
    folder = check_path("list_images", "folder", folder)
    names, others = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                suffix = os.path.splitext(entry.name)[1].lower()
                if suffix in SUFFIXES and entry.is_file():
                    names.append(entry.name)
                else:
                    others.append(entry.name + "/" * entry.is_dir())
    except OSError as error:
        state = f"cannot be read ({error})"
        beside = folder.absolute().parent
        raise NoImages(
            f"{folder}: {state if folder.exists() else 'does not exist'}, but must be "
            "a folder of images. Check the path. Beside it: "
            f"{found(os.listdir(beside)) if beside.is_dir() else 'nothing at all'}."
        ) from error
    return [sorted(n for n in part if n[0] != ".") for part in (names, others)]


def found(names):
    """Name what was found instead, in a few words.

    >>> found(["b.txt", "a/"])
    'a/, b.txt'
    """
    names = sorted(names)
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more if names else "nothing at all"


def save_image(path, image, **options):
    """Write an image file, completely or not at all.

    Args:
        path: where it goes; the suffix says which kind. Its folder is made.
        image: uint8 `(height, width, 3)`, RGB.
        **options: for `PIL.Image.Image.save`; the quality of JPEG, AVIF and HEIC is 95
            by default.

    Returns:
        The path, a `pathlib.Path`.

    Raises:
        ValueError: for another kind of array, or a suffix of no image format.
        OSError: where it cannot be written, such as on a full disk.
    """
    path = check_path("save_image", "path", path)
    image = check_array("save_image", "image", image, 3, "(height, width, 3)")
    if image.dtype != np.uint8 or image.shape[-1] != 3 or not image.size:
        raise ValueError(
            f"save_image: image is {image.dtype} {image.shape}, but must be uint8 "
            "(height, width, 3)."
        )
    kinds = _formats() and Image.registered_extensions()
    kind = kinds.get(path.suffix.lower())
    if path.suffix.lower() not in SUFFIXES or kind not in Image.SAVE or path.is_dir():
        raise ValueError(
            f"save_image: path is {str(path)!r}, but must be that of a file with one "
            f"of the suffixes {', '.join(sorted(SUFFIXES))}. {_HEIC}."
        )
    if kind in ("JPEG", "MPO", "AVIF", "HEIF"):
        options = {"quality": 95, **options}
    with atomic_write(path) as partial:
        Image.fromarray(image).save(partial, kind, **options)
    return path

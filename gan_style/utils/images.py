"""Image files: common kinds in, uint8 RGB as a person would see it out."""

import contextlib
import functools
import io
import os
import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from gan_style.utils.checks import check_array, check_int, check_path, refused
from gan_style.utils.files import atomic_write

# Pillow has dozens of decoders, one of which runs Ghostscript: only these are used,
# whatever a file is named. "HEIF" comes with pillow-heif, the extra `heic`.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "HEIF")
_SUFFIXES = ".jpg .jpeg .jpe .jfif .mpo .png .gif .webp .bmp .tif .tiff .avif"
SUFFIXES = frozenset(f"{_SUFFIXES} .heic .heif".split())
_OTHERS = ".arw .cr2 .cr3 .dng .eps .exr .hdr .ico .j2k .jp2 .jpf .jxl .nef .orf .pbm"
OTHER_SUFFIXES = frozenset(f"{_OTHERS} .pgm .ppm .psd .raf .rw2 .svg .tga".split())
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
    """Map [0, 255] to [-1, 1]: a NumPy array to float32, a float tensor to its own."""
    if isinstance(images, np.ndarray):
        images = images.astype(np.float32)
    return images / 127.5 - 1.0


def to_levels(images):
    """Map floats in [-1, 1] to [0, 255], unrounded: the inverse of `to_float`."""
    return (images + 1.0) * 127.5


def round_levels(levels):
    """Round an array of levels of 0 to 255 to uint8."""
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def to_uint8(images):
    """Round an array or a tensor in [-1, 1] to a uint8 array."""
    return round_levels(to_levels(np.asarray(images)))


def luma(images):
    """Return the brightness of float RGB images, `(..., 3)`, as `(...)`."""
    return images @ np.asarray(LUMA, images.dtype)


def read_image(source, at_least=None):
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

    Returns:
        uint8 `(height, width, 3)`, RGB.

    Raises:
        UnreadableImage: for what is missing, truncated, no image, or larger than
            `PIXEL_LIMIT`, before it is decoded.
        ValueError: for a source of another kind.

    >>> from PIL import Image
    >>> read_image(Image.new("L", (3, 2), 255)).shape
    (2, 3, 3)
    """
    if at_least is not None:
        at_least = check_int("read_image", "at_least", at_least)
    with open_image(source) as image:
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


@contextlib.contextmanager
def open_image(source):
    """Yield a `PIL.Image.Image`, its header read; every error is `UnreadableImage`."""
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
            raise UnreadableImage(f"{state}, but must be an image. Check the path.")
        file = open(path, "rb") if path else file
        image = Image.open(file, formats=_formats()) if file else source
        if image.width * image.height > PIXEL_LIMIT:
            raise UnreadableImage(
                f"has {image.width} x {image.height} pixels, but must have at most "
                f"{PIXEL_LIMIT}. Make it smaller, or leave it out."
            )
        yield image
    except Exception as error:  # Pillow's decoders raise nearly all there are
        reason = f"cannot be decoded ({error}). Fetch it again, or leave it out."
        if isinstance(error, UnreadableImage):
            reason = error
        elif isinstance(error, Image.UnidentifiedImageError):
            file.seek(0)
            begin, known = file.read(12), f"one of {', '.join(_formats())}"
            heic = begin[4:10] in (b"ftyphe", b"ftypmi", b"ftypms")
            reason = f"is not an image that can be read, it begins with {begin[:8]!r}"
            remedy = _HEIC if heic else "Save it so, or leave it out"
            reason = f"{'is HEIC' if heic else reason}, but must be {known}. {remedy}."
        raise UnreadableImage(f"{name}: {reason}") from error
    finally:
        if file:
            file.close()


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
            f"has {scans} scans, but must have at most {SCAN_LIMIT}. Save it anew."
        )


def _as_seen(image):
    if image.mode[0] in "FI":
        wide = np.asarray(image)
        if image.mode == "F" or wide.min() < 0 or wide.max() > 65535:
            raise UnreadableImage(
                f"holds {wide.dtype} numbers from {wide.min():g} to {wide.max():g}, "
                "but must hold integers of 8 or 16 bits. Save it so."
            )
        image = Image.fromarray(((wide.astype("int32") + 128) // 257).astype("uint8"))
    profile = image.info.get("icc_profile")
    if image.mode[0] in "RCP" and profile and b"sRGB" not in profile:
        if image.mode[0] == "P" or image.has_transparency_data:
            image = image.convert("RGBA")
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        with contextlib.suppress(Exception):  # an odd profile: the plain colours
            profiles = io.BytesIO(profile), ImageCms.createProfile("sRGB")
            image = ImageCms.profileToProfile(image, *profiles, outputMode=mode)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def find_images(folder, subfolders=False):
    """List the paths of a folder's images, and of what looks like one but is not used.

    Those are other kinds of images, and, unless `subfolders` at any depth are searched
    too, images right in a subfolder. Hidden files are in neither list. Both are sorted
    by the names' characters, the same on every machine.
    """
    folder, used, unused = check_path("find_images", "folder", folder), [], []
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise NoImages(
            f"{folder}: cannot be read ({error.strerror}), but must be a folder. "
            f"Check the path. Beside it: {found(folder.absolute().parent)}."
        ) from error
    for root, folders, files in os.walk(folder):
        inside = subfolders or root == str(folder)
        folders[:] = [name for name in folders if inside and name[0] != "."]
        for path in (Path(root, name) for name in files if name[0] != "."):
            if inside and path.suffix.lower() in SUFFIXES:
                used.append(path)
            elif path.suffix.lower() in SUFFIXES | OTHER_SUFFIXES:
                unused.append(path)
    return [sorted(paths, key=Path.as_posix) for paths in (used, unused)]


def found(folder):
    """Name what a folder holds, in a few words, for an error."""
    paths = []
    with contextlib.suppress(OSError):
        paths = sorted(path for path in Path(folder).iterdir() if path.name[0] != ".")
    names = [path.name + "/" * path.is_dir() for path in paths[:6]]
    names += [f"and {len(paths) - 6} more"] * (len(paths) > 6)
    return ", ".join(names) or "nothing at all"


def save_image(path, image, **options):
    """Write an image file, completely or not at all.

    Args:
        path: where it goes; the suffix says which kind. Its folder is made.
        image: uint8, grey `(height, width)` or `(height, width, 1)`, RGB `(height,
            width, 3)`, or with opacity `(height, width, 4)`, which JPEG and BMP lack.
        **options: for `PIL.Image.Image.save`; `quality` is 95 by default, but for TIFF.

    Returns:
        The path, a `pathlib.Path`.

    Raises:
        ValueError: for another kind of array, or a suffix of no image format.
        OSError: where it cannot be written, such as on a full disk.
    """
    path = check_path("save_image", "path", path)
    kinds, suffix = _formats() and Image.registered_extensions(), path.suffix.lower()
    kind = kinds.get(suffix)
    if suffix not in SUFFIXES or kind not in Image.SAVE or path.is_dir():
        expected = f"a file with one of the suffixes {', '.join(sorted(SUFFIXES))}"
        raise refused("save_image", "path", str(path), f"{expected}. {_HEIC}")
    image = check_array("save_image", "image", image)
    channels = (*image.shape, 1)[2] if image.ndim in (2, 3) else 0
    known = (1, 3) if kind in ("JPEG", "MPO", "BMP") else (1, 3, 4)
    if image.dtype != np.uint8 or channels not in known or not image.size:
        expected = f"uint8 (height, width, channels), {known} of them in {kind}"
        raise refused("save_image", "image", image, f"{expected}. Or save a PNG")
    image = image[..., 0] if image.shape[2:] == (1,) else image
    options = options if kind == "TIFF" else {"quality": 95, **options}
    with atomic_write(path) as partial:
        Image.fromarray(image).save(partial, kind, **options)
    return path

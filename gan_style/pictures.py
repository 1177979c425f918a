"""Picture files: any common kind in, uint8 RGB as a person would see it out."""

import collections.abc
import contextlib
import io
import os
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from gan_style.checks import check_array, check_number, check_path, check_whole_number
from gan_style.files import replaced

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


class UnreadablePicture(ValueError):
    """A picture that cannot be read: says which one, what is wrong, what to do."""


class NoPictures(ValueError):
    """A folder that is missing, or that holds no pictures."""


def read_picture(source, at_least=None, pixel_limit=PIXEL_LIMIT):
    """Reads a picture as a person would see it.

    JPEG, PNG, GIF and WebP (of an animation the first frame), BMP and TIFF; grey,
    palette, CMYK and 16-bit pictures become RGB of 8 bits, scaled and not clipped;
    transparent parts lie on white; colours of an embedded profile become sRGB; the
    orientation that a camera noted (EXIF) is applied.

    Args:
        source: a path, the bytes of a file, or a `PIL.Image.Image`.
        at_least: the side that is needed, or None for the whole picture. A large
            JPEG is then decoded at a half, a quarter or an eighth of its size, as long
            as both sides stay this long, which is many times faster.
        pixel_limit: pictures of more pixels are refused before they are decoded.

    Returns:
        uint8 `(height, width, 3)`, RGB.

    Raises:
        UnreadablePicture: for what is missing, truncated, no picture, or too large.

    >>> from PIL import Image
    >>> read_picture(Image.new("L", (3, 2), 255)).shape
    (2, 3, 3)
    """
    name = _name(source)
    if at_least is not None:
        at_least = check_whole_number("read_picture", "at_least", at_least)
    pixel_limit = check_number("read_picture", "pixel_limit", pixel_limit)
    try:
        with _open(source) as image:
            _check_size(name, image, pixel_limit)
            if at_least is not None and not isinstance(source, Image.Image):
                image.draft(None, (at_least, at_least))  # does nothing but for JPEG
            image.load()
            return np.asarray(_as_seen(image, name))
    except UnreadablePicture:
        raise
    except (*_BROKEN, MemoryError, Image.DecompressionBombError) as error:
        raise UnreadablePicture(_explain(name, source, error)) from error


def check_picture(path, pixel_limit=PIXEL_LIMIT):
    """Looks at a file's header alone: quick, but blind to what comes after it.

    Raises:
        UnreadablePicture: for what is missing, no picture, or too large.
    """
    try:
        with _open(path) as image:
            _check_size(path, image, pixel_limit)
    except UnreadablePicture:
        raise
    except (*_BROKEN, Image.DecompressionBombError) as error:
        raise UnreadablePicture(_explain(_name(path), path, error)) from error


def _check_size(name, image, pixel_limit):
    width, height = image.size
    if width * height > pixel_limit:
        raise UnreadablePicture(
            f"{name}: has {width} x {height} pixels, but at most {pixel_limit:.0f} "
            "fit. Make it smaller, or leave it out."
        )


def _name(source):
    if isinstance(source, Image.Image):
        return getattr(source, "filename", "") or "a PIL image"
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"a picture of {len(source)} bytes"
    return str(source)


def _open(source):
    if isinstance(source, Image.Image):
        return contextlib.nullcontext(source)  # the caller's: not ours to close
    if isinstance(source, (bytes, bytearray, memoryview)):
        return Image.open(io.BytesIO(source))
    if not isinstance(source, (str, os.PathLike)):
        raise UnreadablePicture(
            f"read_picture: source is {type(source).__name__}, but it has to be a "
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
        return f"{name}: {kind}, but a picture file was expected. Check the path."
    if isinstance(error, Image.DecompressionBombError):
        return f"{name}: is too large ({error}). Make it smaller, or leave it out."
    if isinstance(error, Image.UnidentifiedImageError):
        return (
            f"{name}: is no picture that can be read ({_begins(source)}). Save it as "
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
        raise UnreadablePicture(
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
    except _BROKEN:  # a broken note of the camera is no reason to lose the picture
        return image


def _eight_bits(image, name):
    wide = np.asarray(image)
    if wide.min() < 0 or wide.max() > 65535:
        raise UnreadablePicture(
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


class PictureList(collections.abc.Sequence):
    """The pictures of one folder, as paths, in the order of their names.

    It holds names and makes a path when it is asked for one: some ten megabytes for
    200,000 pictures.
    """

    def __init__(self, folder, names):
        self.folder = Path(folder)
        self.names = names

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return PictureList(self.folder, self.names[index])
        return self.folder / self.names[index]

    def __eq__(self, other):
        if not isinstance(other, collections.abc.Sequence):
            return NotImplemented
        return list(self) == list(other)

    __hash__ = None

    def __repr__(self):
        return f"<{len(self)} pictures of {self.folder}>"


def list_pictures(folder):
    """Lists the pictures of a folder, by suffix; not those of its subfolders.

    Hidden files and other kinds are left out. The order is that of the names'
    characters, the same on every machine.

    Args:
        folder: a path.

    Returns:
        A `PictureList`, a sequence of `pathlib.Path`.

    Raises:
        NoPictures: if there is no such folder or no picture in it; says what was found.
    """
    folder = check_path("list_pictures", "folder", folder)
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
        raise NoPictures(
            f"{folder}: {state}, but a folder of pictures was expected. "
            f"{_beside(folder)}"
        ) from error
    if not names:
        raise NoPictures(
            f"{folder}: holds no picture ({', '.join(sorted(SUFFIXES))}), "
            f"but: {found(others)}. Check the path."
        )
    names.sort()
    return PictureList(folder, names)


def found(names):
    """Names what was found instead, shortly.

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


def save_picture(path, picture, **options):
    """Writes a picture file, whole or not at all.

    Args:
        path: where it goes; the suffix says which kind. Its folder is made.
        picture: uint8 `(height, width, 3)`, RGB.
        **options: for `PIL.Image.Image.save`; a JPEG has quality 95 by default.

    Returns:
        The path, a `pathlib.Path`.

    Raises:
        ValueError: for another kind of array, or a suffix that says no picture kind.
        OSError: where it cannot be written, such as on a full disk.
    """
    path = check_path("save_picture", "path", path)
    picture = check_array("save_picture", "picture", picture)
    if path.is_dir():
        raise ValueError(
            f"save_picture: path is {str(path)!r}, which is a folder. Give a file's."
        )
    if (
        not picture.size
        or picture.dtype != np.uint8
        or picture.ndim != 3
        or picture.shape[-1] != 3
    ):
        raise ValueError(
            f"save_picture: picture is {picture.dtype} {picture.shape}, but it has to "
            "be uint8 (height, width, 3)."
        )
    kind = Image.registered_extensions().get(path.suffix.lower())
    if path.suffix.lower() not in SUFFIXES or kind is None:
        raise ValueError(
            f"save_picture: path is {str(path)!r}, but its suffix has to be one of "
            f"{', '.join(sorted(SUFFIXES))}."
        )
    if kind == "JPEG":
        options = {"quality": 95, **options}
    with replaced(path) as partial:
        Image.fromarray(picture).save(partial, kind, **options)
    return path

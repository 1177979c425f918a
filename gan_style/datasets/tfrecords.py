"""Random access to images in TFRecord shards, with only their index in memory."""

import struct

from gan_style.datasets.sources import Source
from gan_style.utils.checks import check_path
from gan_style.utils.images import NoImages, UnreadableImage, found, read_image

SUFFIXES = (".tfrec", ".tfrecord", ".tfrecords")
_HEADER, _FOOTER = 12, 4  # 8 bytes of length and their checksum; the data's checksum


class RecordImages(Source):
    """The images of a folder of TFRecord shards, laid out as Kaggle's are.

    Each record is a `tf.train.Example` whose feature `image` holds the bytes of an
    image file; others, such as `image_name` and `target`, are not needed. Opening
    walks over the records' headers alone; an image is read when it is asked for.

    Args:
        folder: a path; its `.tfrec` (`.tfrecord`, `.tfrecords`) files are the shards,
            in the order of their names.

    Raises:
        NoImages: if there is no record.
        UnreadableImage: if a shard is truncated, compressed or not a TFRecord file.
    """

    def __init__(self, folder):
        folder = check_path("RecordImages", "folder", folder)
        super().__init__(
            [place for path in find_shards(folder) for place in _index(path)]
        )
        if not self.items:
            raise NoImages(
                f"{folder}: holds {found(folder)}, but must hold TFRecord shards "
                f"({', '.join(SUFFIXES)}) of records. Check the path."
            )

    def name(self, index):
        path, number, _, _ = self.items[index]
        return f"{path}, record {number}"

    def read(self, index, side=None):
        path, _, offset, length = self.items[index]
        try:
            with open(path, "rb") as file:
                file.seek(offset)
                content = _image_bytes(file.read(length))
            return read_image(content, at_least=side and 2 * side)
        except (ValueError, OSError) as error:
            raise UnreadableImage(f"{self.name(index)}: {error}") from error


def find_shards(folder):
    """Return the paths of a folder's TFRecord shards, sorted."""
    paths = (path for path in folder.glob("[!.]*") if path.suffix in SUFFIXES)
    return sorted(path for path in paths if path.is_file())


def _index(path):
    """Yield the path, the number, the data's offset and its length for each record."""
    size, offset, number, fault = path.stat().st_size, 0, 0, ""
    with open(path, "rb") as file:
        while offset < size and not fault:
            file.seek(offset)
            header = file.read(_HEADER)
            length, checksum = struct.unpack("<QI", header.ljust(_HEADER, b"\0"))
            if len(header) == _HEADER and checksum != masked_crc32c(header[:8]):
                kind = "compressed" if header[:2] == b"\x1f\x8b" else "not a TFRecord"
                fault = f"is {kind} or damaged"
            elif offset + _HEADER + length + _FOOTER > size:
                fault = "is truncated"
            else:
                yield path, number, offset + _HEADER, length
                offset, number = offset + _HEADER + length + _FOOTER, number + 1
    if fault:
        raise UnreadableImage(
            f"{path}: {fault}, at record {number}, but must be a whole, uncompressed "
            "TFRecord file. Fetch it again, or leave it out."
        )


def _image_bytes(record):
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        features = tf.train.Example.FromString(record).features.feature
        return features["image"].bytes_list.value[0]
    except (DecodeError, IndexError) as error:
        raise UnreadableImage(
            f"cannot be used ({error}), but must be a tf.train.Example that has "
            "'image' with the bytes of an image file."
        ) from error


def masked_crc32c(data):
    """Return the checksum that guards a TFRecord's parts (CRC-32C, rotated)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

"""Random access to images in TFRecord shards, with only their index in memory."""

import os
import struct

import numpy as np

from gan_style.utils.checks import check_path
from gan_style.utils.images import NoImages, UnreadableImage, found, read_image

SUFFIXES = (".tfrec", ".tfrecord", ".tfrecords")
_HEADER, _FOOTER = 12, 4  # 8 bytes of length and their checksum; the data's checksum


class RecordImages:
    """The images of a folder of TFRecord shards, laid out as Kaggle's are.

    Each record is a `tf.train.Example` whose feature `image` holds the bytes of an
    image file; others, such as `image_name` and `target`, are not needed. Opening
    walks over the records' headers alone; an image is read when it is asked for.

    Args:
        folder: a path; its `.tfrec` (`.tfrecord`, `.tfrecords`) files are the shards,
            in the order of their names.

    Raises:
        NoImages: if there is no shard.
        UnreadableImage: if a shard is truncated, compressed or not a TFRecord file.
    """

    def __init__(self, folder):
        self.folder = check_path("RecordImages", "folder", folder)
        self.shards = shards_of(self.folder)
        records = [
            (shard, number, *place)
            for shard, name in enumerate(self.shards)
            for number, place in enumerate(_index(self.folder / name))
        ]
        self._records = np.array(records, "int64").reshape(-1, 4)
        if not records:
            raise NoImages(
                f"{folder}: holds {found(os.listdir(self.folder))}, but must hold "
                f"TFRecord shards ({', '.join(SUFFIXES)}) of records. Check the path."
            )

    def __len__(self):
        return len(self._records)

    def name(self, index):
        shard, number, _, _ = self._records[index]
        return f"{self.folder / self.shards[shard]}, record {number}"

    def check(self, index):
        """Headers were looked at when the shard was opened."""

    def read(self, index, side=None):
        shard, _, offset, length = self._records[index]
        try:
            with open(self.folder / self.shards[shard], "rb") as file:
                file.seek(offset)
                content = _image_bytes(file.read(length))
            return read_image(content, at_least=side and 2 * side)
        except (ValueError, OSError) as error:
            raise UnreadableImage(f"{self.name(index)}: {error}") from error


def shards_of(folder):
    """Return the names of a folder's TFRecord shards, sorted.

    Raises:
        NoImages: if the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            files = [entry.name for entry in entries if entry.is_file()]
    except OSError as error:
        raise NoImages(
            f"{folder}: cannot be read ({error}), but must be a folder. Check the path."
        ) from error
    return sorted(f for f in files if f.endswith(SUFFIXES) and not f.startswith("."))


def _index(path):
    """Yield the offset and the length of each record's data."""
    size, offset, number, fault = os.path.getsize(path), 0, 0, ""
    with open(path, "rb") as file:
        while offset < size and not fault:
            file.seek(offset)
            header = file.read(_HEADER)
            length, checksum = struct.unpack("<QI", header.ljust(_HEADER, b"\0"))
            if len(header) < _HEADER:
                fault = "ends within a header"
            elif checksum != masked_crc32c(header[:8]):
                kind = "compressed" if header[:2] == b"\x1f\x8b" else "not a TFRecord"
                fault = f"is {kind} or damaged"
            elif offset + _HEADER + length + _FOOTER > size:
                fault = "is truncated"
            else:
                yield offset + _HEADER, length
                offset += _HEADER + length + _FOOTER
                number += 1
    if fault:
        raise UnreadableImage(
            f"{path}: {fault}, at record {number}, but must be a whole, uncompressed "
            "TFRecord file. Fetch it again, or take it out of the folder."
        )


def _image_bytes(record):
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        features = tf.train.Example.FromString(record).features.feature
    except DecodeError as error:
        raise UnreadableImage(
            f"cannot be parsed ({error}), but must be a tf.train.Example."
        ) from error
    if "image" not in features or not features["image"].bytes_list.value:
        raise UnreadableImage(
            f"has the features {sorted(features)}, but must have 'image' with the "
            "bytes of an image file."
        )
    return features["image"].bytes_list.value[0]


def masked_crc32c(data):
    """Return the checksum that guards a TFRecord's parts (CRC-32C, turned round)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

"""Random access to images in TFRecord shards, with only their index in memory."""

import os
import struct
from pathlib import Path

import numpy as np

from gan_style.utils.images import NoImages, UnreadableImage, found, read_image

SUFFIXES = (".tfrec", ".tfrecord", ".tfrecords")
_HEADER, _FOOTER = 12, 4  # 8 bytes of length and their checksum; the data's checksum


class RecordImages:
    """The images of a folder of TFRecord shards, laid out as Kaggle's are.

    Each record is a `tf.train.Example` whose feature `image` holds the bytes of a
    image file; others, such as `image_name` and `target`, are not needed. Opening
    walks over the records' headers alone; an image is read when it is asked for.

    Args:
        folder: a path; its `.tfrec` (`.tfrecord`, `.tfrecords`) files are the shards,
            taken in the order of their names.

    Raises:
        NoImages: if there is no shard.
        UnreadableImage: if a shard is truncated, compressed or no TFRecord file.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.shards = shards_of(folder)
        if not self.shards:
            raise NoImages(
                f"{folder}: holds no TFRecord shard ({', '.join(SUFFIXES)}), but: "
                f"{found(os.listdir(folder))}. Check the path."
            )
        indices = [_index(self.folder / shard) for shard in self.shards]
        self._first = np.cumsum([0, *map(len, indices)])
        self._records = np.concatenate(indices)
        if not len(self._records):
            raise NoImages(f"{folder}: its {len(self.shards)} shards hold no record.")

    def __len__(self):
        return len(self._records)

    def name(self, index):
        shard, number = self._place(index)
        return f"{self.folder / self.shards[shard]}, record {number}"

    def check(self, index):
        """Headers were looked at when the shard was opened."""

    def read(self, index, side=None):
        """Reads one image, for `side` pixels of it where that is given."""
        offset, length = self._records[index]
        shard, _ = self._place(index)
        try:
            with open(self.folder / self.shards[shard], "rb") as file:
                file.seek(offset)
                record = file.read(length)
            return read_image(_image_bytes(record), at_least=side and 2 * side)
        except (ValueError, OSError) as error:
            raise UnreadableImage(f"{self.name(index)}: {error}") from error

    def _place(self, index):
        shard = int(np.searchsorted(self._first, index, side="right")) - 1
        return shard, int(index - self._first[shard])


def shards_of(folder):
    """The names of a folder's TFRecord shards, sorted.

    Raises:
        NoImages: if there is no such folder.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name
                for entry in entries
                if entry.name.endswith(SUFFIXES)
                and not entry.name.startswith(".")
                and entry.is_file()
            )
    except (OSError, ValueError) as error:
        raise NoImages(
            f"{folder}: is no folder that can be read ({error}). Check the path."
        ) from error


def _index(path):
    size, offset, records = os.path.getsize(path), 0, []
    with open(path, "rb") as file:
        while offset < size:
            file.seek(offset)
            header = file.read(_HEADER)
            if len(header) < _HEADER:
                raise _broken(path, len(records), "ends within a header")
            length, checksum = struct.unpack("<QI", header)
            if checksum != _masked_crc32c(header[:8]):
                kind = (
                    "is compressed" if header[:2] == b"\x1f\x8b" else "is no TFRecord"
                )
                raise _broken(path, len(records), f"{kind} or damaged")
            if offset + _HEADER + length + _FOOTER > size:
                raise _broken(path, len(records), "is truncated")
            records.append((offset + _HEADER, length))
            offset += _HEADER + length + _FOOTER
    return np.array(records, "int64").reshape(-1, 2)


def _broken(path, number, what):
    return UnreadableImage(
        f"{path}: {what}, at record {number}. Shards have to be whole, uncompressed "
        "TFRecord files; fetch this one again, or take it out of the folder."
    )


def _image_bytes(record):
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        features = tf.train.Example.FromString(record).features.feature
    except DecodeError as error:
        raise UnreadableImage(f"is no tf.train.Example ({error}).") from error
    if "image" not in features or not features["image"].bytes_list.value:
        raise UnreadableImage(
            f"has the features {sorted(features)}, but 'image' with the bytes of a "
            "image file was expected."
        )
    return features["image"].bytes_list.value[0]


def _crc32c_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _crc32c_table()


def _masked_crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

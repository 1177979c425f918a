"""Where images come from: files, drawings, or records in TFRecord shards."""

import copy

from gan_style.utils.checks import check_path
from gan_style.utils.images import NoImages, UnreadableImage, open_image, read_image

SHARD_SUFFIXES = (".tfrec", ".tfrecord", ".tfrecords")


class Source:
    """Images by index. `read(index, side)` gives uint8 `(height, width, 3)`.

    It is large enough for an image whose shorter side has `side` pixels.
    """

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def some(self, indices):
        chosen = copy.copy(self)
        chosen.items = [self.items[index] for index in indices]
        return chosen

    def name(self, index):
        return str(self.items[index])

    def check(self, index):
        """Raise `UnreadableImage` for what a quick look shows."""


class FileImages(Source):
    """Image files, by their paths."""

    def check(self, index):
        with open_image(self.items[index]):
            pass

    def read(self, index, side=None):
        return read_image(self.items[index], at_least=side and 2 * side)


class SampleImages(Source):
    """Drawn images, by their seeds."""

    def __init__(self, draw, kind, first_seed, count):
        super().__init__(range(first_seed, first_seed + count))
        self.draw, self.kind = draw, kind

    def name(self, index):
        return f"{self.kind} {self.items[index]}"

    def read(self, index, side=128):
        return self.draw(self.kind, self.items[index], size=side)


class RecordImages(Source):
    """The images of a folder of TFRecord shards, laid out as Kaggle's are.

    Each record is a `tf.train.Example` whose feature `image` holds the bytes of an
    image file. Opening walks over the records' lengths alone.
    """

    def __init__(self, folder):
        folder = check_path("RecordImages", "folder", folder)
        super().__init__([at for shard in find_shards(folder) for at in _index(shard)])
        if not self.items:
            raise NoImages(f"{folder}: holds no TFRecord records. Check the path.")

    def name(self, index):
        shard, number, _, _ = self.items[index]
        return f"{shard}, record {number}"

    def read(self, index, side=None):
        import tensorflow as tf
        from google.protobuf.message import DecodeError

        shard, _, offset, length = self.items[index]
        reason = "must be a tf.train.Example that has 'image' with the bytes of a file"
        try:
            with open(shard, "rb") as file:
                file.seek(offset)
                example = tf.train.Example.FromString(file.read(length))
            content = example.features.feature["image"].bytes_list.value[0]
            return read_image(content, at_least=side and 2 * side)
        except (DecodeError, IndexError) as error:
            raise UnreadableImage(f"{self.name(index)}: {reason} ({error}).") from error
        except (ValueError, OSError) as error:
            raise UnreadableImage(f"{self.name(index)}: {error}") from error


def find_shards(folder):
    """Return the paths of a folder's TFRecord shards, sorted."""
    paths = (path for path in folder.glob("[!.]*") if path.suffix in SHARD_SUFFIXES)
    return sorted(path for path in paths if path.is_file())


def _index(shard):
    """Yield each record: the shard, its number, and its data's offset and length."""
    size, offset, number = shard.stat().st_size, 0, 0
    with open(shard, "rb") as file:
        while offset < size:
            file.seek(offset)
            begin = file.read(12)  # of length and checksum
            length = int.from_bytes(begin[:8], "little")
            end = offset + 12 + length + 4  # and the data's checksum
            if not any(begin) or end > size:
                packed = begin.startswith(b"\x1f\x8b")
                raise UnreadableImage(
                    f"{shard}: is {'compressed' if packed else 'truncated or damaged'} "
                    f"at record {number}, but must be a whole, uncompressed TFRecord "
                    "file. Fetch it again, or leave it out."
                )
            yield shard, number, offset + 12, length
            offset, number = end, number + 1

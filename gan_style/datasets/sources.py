"""Where an image comes from: a file, a drawing, or a record in a TFRecord shard.

Each kind has a name, its `str`, and gives uint8 `(height, width, 3)` by `read(side)`,
large enough for an image whose shorter side has `side` pixels.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gan_style.utils.images import UnreadableImage, open_image, read_image


class ImageFile(NamedTuple):
    path: Path

    def __str__(self):
        return str(self.path)

    def check(self):
        """Raise `UnreadableImage` for what a look at the header shows."""
        with open_image(self.path):
            pass

    def read(self, side=None):
        return read_image(self.path, at_least=side and 2 * side)


class Drawing(NamedTuple):
    """A sample, which is drawn when it is read."""

    draw: Callable
    kind: str
    seed: int

    def __str__(self):
        return f"{self.kind} {self.seed}"

    def read(self, side=128):
        return self.draw(self.kind, self.seed, size=side)


class Record(NamedTuple):
    """A `tf.train.Example` whose feature `image` holds the bytes of an image file."""

    shard: Path
    number: int
    offset: int  # of its data, in bytes
    length: int

    def __str__(self):
        return f"{self.shard}, record {self.number}"

    def read(self, side=None):
        import tensorflow as tf
        from google.protobuf.message import DecodeError

        reason = "must be a tf.train.Example that has 'image' with the bytes of a file"
        try:
            with open(self.shard, "rb") as file:
                file.seek(self.offset)
                example = tf.train.Example.FromString(file.read(self.length))
            content = example.features.feature["image"].bytes_list.value[0]
            return read_image(content, at_least=side and 2 * side)
        except (DecodeError, IndexError) as error:
            raise UnreadableImage(f"{self}: {reason} ({error}).") from error
        except (ValueError, OSError) as error:
            raise UnreadableImage(f"{self}: {error}") from error


def find_records(folder):
    """List the records of a folder's TFRecord shards, of which it reads the lengths."""
    ends = ".tfrec", ".tfrecord", ".tfrecords"
    shards = sorted(x for x in folder.glob("[!.]*") if x.suffix in ends and x.is_file())
    return [record for shard in shards for record in _walk(shard)]


def _walk(shard):
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
            yield Record(shard, number, offset + 12, length)
            offset, number = end, number + 1

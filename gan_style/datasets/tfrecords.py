"""Random access to images in TFRecord shards, with only their index in memory."""

from gan_style.datasets.sources import Source
from gan_style.utils.checks import check_path
from gan_style.utils.images import NoImages, UnreadableImage, found, read_image

SUFFIXES = (".tfrec", ".tfrecord", ".tfrecords")


class RecordImages(Source):
    """The images of a folder of TFRecord shards, laid out as Kaggle's are.

    Each record is a `tf.train.Example` whose feature `image` holds the bytes of an
    image file. Opening walks over the records' lengths alone; raises `NoImages` where
    there are none, `UnreadableImage` for a shard that is not whole.
    """

    def __init__(self, folder):
        folder = check_path("RecordImages", "folder", folder)
        super().__init__([at for shard in find_shards(folder) for at in _index(shard)])
        if not self.items:
            raise NoImages(
                f"{folder}: holds {found(folder)}, but must hold TFRecord shards "
                f"({', '.join(SUFFIXES)}) of records. Check the path."
            )

    def name(self, index):
        shard, number, _, _ = self.items[index]
        return f"{shard}, record {number}"

    def read(self, index, side=None):
        shard, _, offset, length = self.items[index]
        try:
            with open(shard, "rb") as file:
                file.seek(offset)
                content = _image_bytes(file.read(length))
            return read_image(content, at_least=side and 2 * side)
        except (ValueError, OSError) as error:
            raise UnreadableImage(f"{self.name(index)}: {error}") from error


def find_shards(folder):
    """Return the paths of a folder's TFRecord shards, sorted."""
    paths = (path for path in folder.glob("[!.]*") if path.suffix in SUFFIXES)
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

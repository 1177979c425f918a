"""Where images come from: files, drawings, or some of another source.

A source has a length, `name(index)`, `check(index)`, a quick look, and `read(index,
side)`, which gives uint8 `(height, width, 3)`, large enough for an image whose shorter
side has `side` pixels. `gan_style.datasets.tfrecords.RecordImages` is another one.
"""

from gan_style.utils.images import check_image, read_image


class FileImages:
    """Image files, one each."""

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def name(self, index):
        return str(self.paths[index])

    def check(self, index):
        check_image(self.paths[index])

    def read(self, index, side=None):
        return read_image(self.paths[index], at_least=side and 2 * side)


class SampleImages:
    """Drawn images, one for each seed from `first_seed` on."""

    def __init__(self, draw, kind, first_seed, count):
        self.draw, self.kind = draw, kind
        self.seeds = range(first_seed, first_seed + count)

    def __len__(self):
        return len(self.seeds)

    def name(self, index):
        return f"{self.kind} {self.seeds[index]}"

    def check(self, index):
        """A drawn image is always readable."""

    def read(self, index, side=128):
        return self.draw(self.kind, self.seeds[index], size=side)


class Subset:
    """Some images of a source."""

    def __init__(self, source, indices):
        self.source, self.indices = source, indices

    def __len__(self):
        return len(self.indices)

    def name(self, index):
        return self.source.name(self.indices[index])

    def check(self, index):
        self.source.check(self.indices[index])

    def read(self, index, side=None):
        return self.source.read(self.indices[index], side)

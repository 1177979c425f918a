"""Where images come from: files and drawings; `tfrecords` is another source."""

import copy

from gan_style.utils.images import open_image, read_image


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

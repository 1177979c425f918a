"""From images to training batches, in tf.data, with random access.

Which images a step sees and how they are cropped and flipped is a pure function of
the seed and of the step's number. So a training goes on at any step as if it had never
stopped, and no shuffling buffer holds images or takes time to fill.
"""

import collections.abc
import os
import warnings

import numpy as np
import tensorflow as tf
from PIL import Image

from gan_style.utils.images import UnreadableImage

_LONGEST = 4  # times the shorter side; what is longer is cut
_READERS = min(8, os.cpu_count() or 1)
_BATCHES_AHEAD = 4


class Images(collections.abc.Sequence):
    """A sequence of images of one size, each read when it is asked for.

    Indexing gives uint8 `(size, size, 3)`, slicing such images stacked. An image
    that is no square is cut to its middle.

    Args:
        source: has a length, `read(index, side)` and `name(index)`.
        size: the side of the images.
        keep: whether to keep in memory what was once read.
        square: False keeps the longer side as well.
    """

    def __init__(self, source, size, keep=False, square=True):
        self.source = source
        self.size = size
        self.square = square
        self._kept = {} if keep else None

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        if isinstance(index, slice):
            chosen = [self[i] for i in range(*index.indices(len(self)))]
            return np.stack(chosen) if chosen else self._none()
        count, place = len(self), index.__index__()
        if not -count <= place < count:
            raise IndexError(f"image {index} of {count}")
        place %= count
        if self._kept is None:
            return self._read(place)
        if place not in self._kept:
            self._kept[place] = self._read(place)
        return self._kept[place]

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self[:], dtype)

    def __repr__(self):
        return f"<{len(self)} images of {self.size} x {self.size}>"

    def name(self, index):
        """Says where an image comes from."""
        return self.source.name(index)

    def _none(self):
        return np.empty((0, self.size, self.size, 3), np.uint8)

    def _read(self, index):
        return scaled(self.source.read(index, self.size), self.size, self.square)


def scaled(image, side, square=False):
    """Scales an image until its shorter side has `side` pixels.

    Args:
        image: uint8 `(height, width, 3)`.
        side: integer.
        square: whether to cut the middle square; else the longer side stays, up to
            four times the shorter one.

    >>> scaled(np.zeros((20, 40, 3), "uint8"), 10).shape
    (10, 20, 3)
    """
    height, width = image.shape[:2]
    longest = min(height, width) * (1 if square else _LONGEST)
    cut_height, cut_width = min(height, longest), min(width, longest)
    scale = side / min(height, width)
    size = (max(side, round(cut_width * scale)), max(side, round(cut_height * scale)))
    left, top = (width - cut_width) / 2, (height - cut_height) / 2
    if size == (width, height):
        return image
    return np.asarray(
        Image.fromarray(image).resize(
            size,
            Image.Resampling.BICUBIC,
            box=(left, top, left + cut_width, top + cut_height),
        )
    )


class CounterRNG:
    """Random numbers by name, not by turn: the same key and place, the same numbers.

    The counter-based generator Philox (Salmon et al., 2011) as NumPy has it.
    """

    def __init__(self, seed, stream):
        self.key = np.array([seed % 2**64, stream], "uint64")

    def order(self, number, count):
        """The order of `count` images in their pass `number`."""
        return np.argsort(self._raw(0, number, count), kind="stable")

    def choices(self, item):
        """Three numbers in [0, 2^64) for one item: crop, crop, flip."""
        return [int(value) for value in self._raw(1, item, 3)]

    def _raw(self, purpose, place, count):
        counter = np.array([0, 0, place, purpose], "uint64")
        return np.random.Philox(key=self.key, counter=counter).random_raw(count)


class AugmentedStream:
    """One domain's endless stream of augmented images, by their number.

    Each pass takes every image once, in a new order.

    Args:
        images: `Images`, larger than `size`.
        size: the side of the crops.
        draws: `CounterRNG`.
        period: items of one pass; where the images are fewer, some come again.
        skip: whether to take the next one for an image that cannot be read.
    """

    def __init__(self, images, size, draws, period, skip=False):
        self.images = images
        self.size = size
        self.draws = draws
        self.period = period
        self.skip = skip
        self.skipped = {}
        self._orders = {}

    def index(self, item):
        """Which image comes as item number `item`."""
        number, place = divmod(item, self.period)
        return int(self._order(number)[place % len(self.images)])

    def _order(self, number):
        order = self._orders.get(number)
        if order is None:
            order = self.draws.order(number, len(self.images))
            # Only a few passes can be under way at once.
            self._orders = {
                n: o for n, o in list(self._orders.items()) if abs(n - number) < 2
            }
            self._orders[number] = order
        return order

    def item(self, item):
        """The image of item number `item`, cropped and flipped: uint8."""
        image = self._readable(item)
        down, right, flip = self.draws.choices(item)
        top = down % (image.shape[0] - self.size + 1)
        left = right % (image.shape[1] - self.size + 1)
        crop = image[top : top + self.size, left : left + self.size]
        return np.ascontiguousarray(crop[:, ::-1] if flip >> 63 else crop)

    def _readable(self, item):
        number, place = divmod(item, self.period)
        order, count = self._order(number), len(self.images)
        for further in range(count):
            index = int(order[(place + further) % count])
            if index in self.skipped:
                continue
            try:
                return self.images[index]
            except UnreadableImage as error:
                if not self.skip:
                    raise
                # Several threads may meet it at once; the first of them names it.
                message = str(error)
                if self.skipped.setdefault(index, message) is message:
                    warnings.warn(f"Skipped: {message}", stacklevel=2)
        raise UnreadableImage(
            f"None of the {count} images can be read; the first: "
            f"{next(iter(self.skipped.values()))}"
        )


class TrainingCursor:
    """Where the next iteration over a training set begins.

    Attributes:
        step: the step at which the next iteration starts. It starts there whatever was
            iterated before; and the one after it goes on where that one ends.
        steps_per_epoch: batches of one iteration.
        failure: the `UnreadableImage` that ended an iteration, or None.
    """

    def __init__(self, streams, batch_size, steps_per_epoch):
        self.step = 0
        self.steps_per_epoch = steps_per_epoch
        self.failure = None
        self._streams = streams
        self._batch_size = batch_size

    def dataset(self, steps=None, worker=0, workers=1, parts=1):
        """A dataset whose every iteration takes `steps` batches, starting at `step`.

        Args:
            steps: integer; `steps_per_epoch` by default.
            worker, workers: of each batch this one of so many equal shares, for a
                training on several machines.
            parts: integer; the share comes as so many batches, for replicas.
        """
        steps = steps or self.steps_per_epoch

        def begin():
            first = self.step
            self.step = first + steps
            yield first

        size, batch = self._streams[0].size, self._batch_size
        share = batch // workers

        def item(number):
            return number // share * batch + worker * share + number % share

        starts = tf.data.Dataset.from_generator(
            begin, output_signature=tf.TensorSpec((), tf.int64)
        )
        dataset = (
            starts.flat_map(
                lambda first: tf.data.Dataset.range(
                    first * share, (first + steps) * share
                )
            )
            .map(
                lambda number: _pair(self._items, item(number), size),
                num_parallel_calls=_READERS,
                deterministic=True,
            )
            .batch(share // parts, drop_remainder=True)
            .apply(tf.data.experimental.assert_cardinality(steps * parts))
            .apply(_ahead)
        )
        dataset.cursor = self
        return dataset

    def _items(self, item):
        try:
            return tuple(stream.item(int(item)) for stream in self._streams)
        except UnreadableImage as error:
            self.failure = error
            raise


def _ahead(dataset):
    """Reads a few batches ahead of what is asked for.

    How many is fixed here, and not tuned by tf.data: its tuning thread sleeps twice as
    long each time, and at the end of many an epoch TensorFlow 2.21 waits for it to wake
    up, so that an epoch of 11 s took 20.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(_BATCHES_AHEAD).with_options(options)


def _pair(read, item, size):
    images = tf.numpy_function(read, [item], (tf.uint8, tf.uint8))
    return tuple(normalised(image, size) for image in images)


def normalised(image, size):
    """A uint8 tensor `(size, size, 3)` as float32 in [-1, 1]."""
    image = tf.ensure_shape(image, (size, size, 3))
    return tf.cast(image, tf.float32) / 127.5 - 1.0


def training_set(images_a, images_b, size, batch_size, seed, skip=False):
    """Unpaired batches for training: see `gan_style.datasets`.

    Returns:
        `(dataset, streams)`: a dataset with the attribute `cursor`, and the two
        `AugmentedStream` behind it.
    """
    counts = [len(images_a), len(images_b)]
    steps = -(-max(counts) // batch_size)
    streams = [
        AugmentedStream(
            images,
            size,
            CounterRNG(seed, stream),
            # The longer domain's passes are the epochs; the shorter one's run on.
            steps * batch_size if count == max(counts) else count,
            skip,
        )
        for stream, (images, count) in enumerate(
            zip((images_a, images_b), counts, strict=True)
        )
    ]
    return TrainingCursor(streams, batch_size, steps).dataset(), streams


def evaluation_set(images_a, images_b, batch_size):
    """Pairs for evaluation, as they are; the shorter domain repeats."""
    size = images_a.size
    count = max(len(images_a), len(images_b))
    if not min(len(images_a), len(images_b)):
        count = 0

    def read(index):
        return tuple(p[int(index) % len(p)] for p in (images_a, images_b))

    return (
        tf.data.Dataset.range(count)
        .map(
            lambda index: _pair(read, index, size),
            num_parallel_calls=_READERS,
            deterministic=True,
        )
        .batch(batch_size)
        .apply(_ahead)
    )

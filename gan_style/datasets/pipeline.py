"""From images to training batches, in tf.data, with random access.

Which images a step sees and how they are cropped and flipped is a pure function of
the seed and of the step's number. So a training resumes at any step bit for bit, and no
shuffling buffer holds images or needs time to fill.
"""

import collections.abc
import functools
import os
import warnings

import numpy as np
import tensorflow as tf
from PIL import Image

from gan_style.utils.checks import summarize
from gan_style.utils.images import UnreadableImage, to_float

_LONGEST = 4  # times the shorter side; what is longer is cut
_READERS = min(8, os.cpu_count() or 1)
_BATCHES_AHEAD = 4


class Images(collections.abc.Sequence):
    """A sequence of images of one size, each read when it is asked for.

    An index gives uint8 `(size, size, 3)`; a slice, a list of indices or a mask gives
    such images stacked. An image that is not square is cut to its middle.

    Args:
        source: a `gan_style.datasets.sources.Source`.
        size: the side of the images.
        keep: whether to keep in memory what was once read.
        square: False keeps the longer side as well, up to 4 times the shorter one.
    """

    def __init__(self, source, size, keep=False, square=True):
        self.source, self.size = source, size
        self.keep, self.square = keep, square
        self._kept = {}

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        try:
            chosen = np.arange(len(self))[index]
        except IndexError:
            chosen = np.empty((0, 0))
        if chosen.ndim > 1:
            raise IndexError(
                f"Images: the index is {summarize(index)}, but must be an integer, a "
                f"slice, a list of integers or a mask of {len(self)} images."
            )
        if chosen.ndim == 1:
            empty = np.empty((0, self.size, self.size, 3), np.uint8)
            return np.stack([self[i] for i in chosen]) if chosen.size else empty
        image = self._kept.get(int(chosen))
        if image is None:
            image = self.source.read(int(chosen), self.size)
            image = _scale(image, self.size, 1 if self.square else _LONGEST)
            if self.keep:
                self._kept[int(chosen)] = image
        return image

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self[:], dtype)

    def __repr__(self):
        return f"<{len(self)} images of {self.size} x {self.size}>"

    def name(self, index):
        """Say where an image comes from."""
        return self.source.name(index)


def _scale(image, side, longest):
    """Scale a uint8 image until its shorter side has `side` pixels.

    The middle of the longer side is kept, at most `longest` times the shorter one.
    """
    height, width = image.shape[:2]
    scale, longest = side / min(height, width), longest * min(height, width)
    cut_height, cut_width = min(height, longest), min(width, longest)
    size = (max(side, round(cut_width * scale)), max(side, round(cut_height * scale)))
    left, top = (width - cut_width) / 2, (height - cut_height) / 2
    if size == (width, height):
        return image
    box = (left, top, left + cut_width, top + cut_height)
    image = Image.fromarray(image)
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, box=box))


class CounterRNG:
    """Random numbers addressed by key and place, in any order.

    The counter-based generator Philox (Salmon et al., 2011) as NumPy has it.
    """

    def __init__(self, seed, stream):
        self.key = np.array([seed % 2**64, stream], "uint64")

    def order(self, number, count):
        """Return the order of `count` images in their pass `number`."""
        return np.argsort(self._raw(0, number, count), kind="stable")

    def choices(self, item):
        """Return three integers in [0, 2^64) for one item: crop, crop, flip."""
        return [int(value) for value in self._raw(1, item, 3)]

    def _raw(self, purpose, place, count):
        counter = np.array([0, 0, place, purpose], "uint64")
        return np.random.Philox(key=self.key, counter=counter).random_raw(count)


class AugmentedStream:
    """One domain's endless stream of augmented images, by their number.

    Each pass uses every image once, in a new order.

    Args:
        images: `Images`, larger than `size`.
        size: the side of the crops.
        rng: a `CounterRNG`.
        period: items of one pass; where the images are fewer, some come again.
        skipped: a dict that collects the errors of images by name, each replaced by the
            next image; None raises them.
    """

    def __init__(self, images, size, rng, period, skipped=None):
        self.images, self.size = images, size
        self.rng, self.period, self.skipped = rng, period, skipped
        # Only a few passes can be under way at once.
        self._order = functools.lru_cache(4)(lambda n: rng.order(n, len(images)))

    def item(self, item):
        """Return the image of item number `item`, cropped and flipped: uint8."""
        image = self._readable(item)
        down, right, flip = self.rng.choices(item)
        top = down % (image.shape[0] - self.size + 1)
        left = right % (image.shape[1] - self.size + 1)
        crop = image[top : top + self.size, left : left + self.size]
        return np.ascontiguousarray(crop[:, ::-1] if flip >> 63 else crop)

    def _readable(self, item):
        number, place = divmod(item, self.period)
        order = self._order(number)
        for index in np.roll(order, -place):
            name = self.images.name(index)
            if name in (self.skipped or ()):
                continue
            try:
                return self.images[index]
            except UnreadableImage as error:
                if self.skipped is None:
                    raise
                # Several threads may meet it at once; the first of them names it.
                message = str(error)
                if self.skipped.setdefault(name, message) is message:
                    warnings.warn(f"Skipped: {message}", stacklevel=2)
        raise UnreadableImage(
            f"None of the {len(order)} images can be read; the last: "
            f"{self.skipped[name]}"
        )


class TrainingCursor:
    """Where the next iteration over a training set begins.

    Attributes:
        step: the step at which the next iteration starts, whatever was iterated before.
            It moves on by the steps of that iteration.
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
        """Return a dataset whose every iteration gives `steps` batches, from `step` on.

        Args:
            steps: integer; `steps_per_epoch` by default.
            worker, workers: of each batch this one of `workers` equal shares, for a
                training on several machines.
            parts: integer; the share comes in that many batches, for replicas.
        """
        steps = steps or self.steps_per_epoch
        batch, share = self._batch_size, self._batch_size // workers

        def begin():
            first, self.step = self.step, self.step + steps
            return np.int64(first)

        def numbers(_):
            # Called afresh by every iteration. Not a generator: the op of those changes
            # how the whole process frees memory, which makes training slower.
            first = tf.numpy_function(begin, [], tf.int64)
            return tf.data.Dataset.range(first * share, (first + steps) * share)

        def item(number):
            return number // share * batch + worker * share + number % share

        dataset = tf.data.Dataset.range(1).flat_map(numbers).map(item)
        size = self._streams[0].size
        dataset = _read_ahead(dataset, self.read, size, share // parts, full=True)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps * parts))
        dataset.cursor = self
        return dataset

    def read(self, item):
        """Return the images of A and of B of item number `item`."""
        try:
            return tuple(stream.item(int(item)) for stream in self._streams)
        except UnreadableImage as error:
            self.failure = error
            raise


def _read_ahead(numbers, read, size, batch_size, full):
    """Turn numbers into batches, read in advance; `full` ones have a static shape."""

    def pair(number):
        images = tf.numpy_function(read, [number], (tf.uint8, tf.uint8))
        images = (tf.ensure_shape(image, (size, size, 3)) for image in images)
        return tuple(to_float(tf.cast(image, tf.float32)) for image in images)

    # Not tuned by tf.data: its tuning thread sleeps twice as long each time, and at the
    # end of many an epoch TensorFlow 2.21 waits for it to wake up, so that an epoch of
    # 11 s took 20.
    options = tf.data.Options()
    options.autotune.enabled = False
    pairs = numbers.map(pair, num_parallel_calls=_READERS, deterministic=True)
    batches = pairs.batch(batch_size, drop_remainder=full)
    return batches.prefetch(_BATCHES_AHEAD).with_options(options)


def training_set(images_a, images_b, size, batch_size, seed, skipped=None):
    """Return unpaired batches for training, a dataset with the attribute `cursor`."""
    longer = max(len(images_a), len(images_b))
    steps = -(-longer // batch_size)
    streams = []
    for images in (images_a, images_b):
        # The longer domain's passes are the epochs; the shorter one's run on.
        period = steps * batch_size if len(images) == longer else len(images)
        rng = CounterRNG(seed, len(streams))
        streams.append(AugmentedStream(images, size, rng, period, skipped))
    return TrainingCursor(streams, batch_size, steps).dataset()


def evaluation_set(images_a, images_b, batch_size):
    """Return pairs for evaluation, not augmented; the shorter domain repeats."""
    counts = len(images_a), len(images_b)

    def read(index):
        return images_a[int(index) % counts[0]], images_b[int(index) % counts[1]]

    numbers = tf.data.Dataset.range(max(counts) if min(counts) else 0)
    return _read_ahead(numbers, read, images_a.size, batch_size, full=False)

"""From images to training batches, in tf.data, with random access.

Batches are a function of the seed and the step alone: no shuffling buffer holds images,
needs time to fill, or keeps a training from resuming bit for bit.
"""

import collections.abc
import functools
import os

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from gan_style.utils.images import UnreadableImage, to_float

_READERS, _BATCHES_AHEAD = min(8, os.cpu_count() or 1), 4


class Images(collections.abc.Sequence):
    """Images of `sources`, each read, and kept if asked to, when it is asked for.

    Their shorter side is `size`, the other at most `longest` times that, cut to its
    middle. An index gives uint8 `(size, size, 3)`; a slice, a list or a mask a stack.
    """

    def __init__(self, sources, size, keep=False, longest=1):
        self.sources, self.size, self.longest = sources, size, longest
        self._image = functools.cache(self._read) if keep else self._read

    def __len__(self):
        return len(self.sources)

    def __getitem__(self, index):
        chosen = np.arange(len(self))[index]
        if chosen.ndim:
            empty = np.empty((0, self.size, self.size, 3), np.uint8)
            return np.stack([self[i] for i in chosen]) if chosen.size else empty
        return self._image(int(chosen)).copy()  # what is kept stays as it is

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self[:], dtype)

    def __repr__(self):
        return f"<{len(self)} images of {self.size} x {self.size}>"

    def _read(self, index):
        image = Image.fromarray(self.sources[index].read(self.size))
        ratios = (min(side / min(image.size), self.longest) for side in image.size)
        size = tuple(round(self.size * ratio) for ratio in ratios)
        return np.asarray(ImageOps.fit(image, size, Image.Resampling.BICUBIC))


class AugmentedStream:
    """One domain's endless stream of augmented images, by their number.

    A pass of `period` items uses every image once, in a new order; where the images
    are fewer, some come again. Random numbers are those of the counter-based generator
    Philox (Salmon et al., 2011), addressed by `key` and place.
    """

    def __init__(self, images, size, key, period):
        self.images, self.size, self.period = images, size, period
        self.key = np.array([key[0] % 2**64, key[1]], "uint64")
        # Only a few passes can be under way at once.
        self._order = functools.lru_cache(4)(self._new_order)

    def _random(self, purpose, place, count):
        counter = np.array([0, 0, place, purpose], "uint64")
        return np.random.Philox(key=self.key, counter=counter).random_raw(count)

    def _new_order(self, number):
        return np.argsort(self._random(0, number, len(self.images)), kind="stable")

    def item(self, item):
        """Return the image of item number `item`, cropped and flipped: uint8."""
        number, place = divmod(item, self.period)
        image = self.images[self._order(number)[place % len(self.images)]]
        down, right, flip = map(int, self._random(1, item, 3))
        top = down % (image.shape[0] - self.size + 1)
        left = right % (image.shape[1] - self.size + 1)
        crop = image[top : top + self.size, left : left + self.size]
        return np.ascontiguousarray(crop[:, ::-1] if flip >> 63 else crop)


class TrainingCursor:
    """Where the next iteration over unpaired training images begins: at `step`.

    That moves on by the iteration's own steps. An `UnreadableImage` that ended one is
    its `failure`, else None.
    """

    def __init__(self, images, size, batch_size, seed):
        longer = max(map(len, images))
        self.step, self.failure = 0, None
        self.steps_per_epoch = -(-longer // batch_size)
        self._size, self._batch_size, self._streams = size, batch_size, []
        for domain, some in enumerate(images):
            # The longer domain's passes are the epochs; the shorter one's run on.
            epoch = self.steps_per_epoch * batch_size
            period = epoch if len(some) == longer else len(some)
            self._streams.append(AugmentedStream(some, size, (seed, domain), period))

    def dataset(self, steps=None, worker=0, workers=1, parts=1):
        """Return a dataset whose every iteration gives `steps` batches, from `step` on.

        On several machines, each `worker` has an equal share of each batch, which comes
        in `parts`, one for each replica.
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
        dataset = _read_ahead(dataset, self.read, self._size, share // parts, full=True)
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


def evaluation_set(images_a, images_b, batch_size):
    """Return pairs for evaluation, not augmented; the shorter domain repeats."""
    counts = len(images_a), len(images_b)

    def read(index):
        return images_a[int(index) % counts[0]], images_b[int(index) % counts[1]]

    numbers = tf.data.Dataset.range(max(counts) if min(counts) else 0)
    return _read_ahead(numbers, read, images_a.size, batch_size, full=False)


def _read_ahead(numbers, read, size, batch_size, full):
    """Turn numbers into batches, read in advance; `full` ones have a static shape."""

    def pair(number):
        images = tf.numpy_function(read, [number], (tf.uint8, tf.uint8))
        images = (tf.ensure_shape(image, (size, size, 3)) for image in images)
        return tuple(to_float(tf.cast(image, tf.float32)) for image in images)

    # Not tuned by tf.data, whose thread sleeps twice as long each time: TensorFlow 2.21
    # waits for it at the end of many an epoch, so that one of 11 s took 20.
    options = tf.data.Options()
    options.autotune.enabled = False
    pairs = numbers.map(pair, num_parallel_calls=_READERS, deterministic=True)
    batches = pairs.batch(batch_size, drop_remainder=full)
    return batches.prefetch(_BATCHES_AHEAD).with_options(options)

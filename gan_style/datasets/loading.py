"""Two domains of images, wherever they come from, as training and test sets."""

import os
import warnings
from functools import cached_property
from pathlib import Path

import numpy as np

from gan_style.datasets import tfrecords
from gan_style.datasets.pipeline import Images, evaluation_set, training_set
from gan_style.datasets.sources import FileImages, SampleImages, Subset
from gan_style.utils.checks import (
    check_choice,
    check_int,
    check_number,
    check_path,
    summarize,
)
from gan_style.utils.images import NoImages, UnreadableImage, found, list_images

SAMPLES = {
    "samples/fruit": ("apple", "orange"),
    "samples/landscape": ("photograph", "painting"),
}
_PARTS = ("trainA", "trainB", "testA", "testB")
_CHECKED = 10_000  # a folder of more files is not looked through before training


def load(
    source,
    image_size=128,
    batch_size=1,
    seed=0,
    *,
    train_count=None,
    test_count=None,
    unreadable="error",
    swap=False,
    cache_megabytes=1024,
):
    """Loads two domains of images: A and B, for training and for testing.

    Training images are scaled so that their shorter side is 286/256 of `image_size`,
    cropped at random, and flipped one time in two, as Zhu et al. (2017) do. Both
    domains are shuffled independently, anew for every pass; the shorter one repeats;
    every epoch augments afresh. All of this is a function of `seed` and of the number
    of the step alone, so a resumed training sees what it would have seen.

    Scaled images stay in memory, as uint8, if all of them fit into
    `cache_megabytes`; otherwise each is read when it is needed, and memory stays flat.

    Args:
        source: one of
            - "samples/fruit" (A apples, B oranges) or "samples/landscape" (A
              photographs, B paintings): drawn, nothing is downloaded;
            - "apple2orange", "horse2zebra" or "monet2photo" (A Monet, B photographs):
              downloaded once, see `gan_style.datasets`;
            - a folder with trainA and trainB, and testA and testB if there are any;
            - a folder with monet_tfrec and photo_tfrec, or monet_jpg and photo_jpg
              (Kaggle's "I'm Something of a Painter Myself"; A Monet, B photographs);
            - two folders, `(a, b)`, of images or of TFRecord shards.
        image_size: the side of the images that come out.
        batch_size: pairs in a training batch.
        seed: integer for the order and the augmentation.
        train_count: images of each training domain, at most; the first ones. 500 for
            the samples, all for the others by default.
        test_count: images of each test domain, at most. 50 for the samples, all
            for the others by default. Where a source has no test images, so many
            are taken away from the end of the training ones; none by default.
        unreadable: "error" stops at an image that cannot be read, and names it;
            "skip" names it once, in a warning and in `skipped`, and goes on.
        swap: whether to exchange A and B.
        cache_megabytes: how much memory the scaled images may take.

    Returns:
        A `Data`.

    Raises:
        ValueError: for an argument that does not fit.
        NoImages: where the source holds none; says what was found instead.
        UnreadableImage: for an image that cannot be read. Headers are looked at
            here, in folders of up to 10,000; damage behind them shows at first sight,
            but before training in test images where they may be skipped.

    >>> data = load("samples/fruit", image_size=32, train_count=3, test_count=2)
    >>> a, b = next(iter(data.train))
    >>> tuple(a.shape), data.steps_per_epoch, data.test_a[:].shape
    ((1, 32, 32, 3), 3, (2, 32, 32, 3))
    """
    image_size = check_int("load", "image_size", image_size)
    batch_size = check_int("load", "batch_size", batch_size)
    seed = check_int("load", "seed", seed, minimum=0)
    if train_count is not None:
        train_count = check_int("load", "train_count", train_count)
    if test_count is not None:
        test_count = check_int("load", "test_count", test_count, minimum=0)
    cache_megabytes = check_number("load", "cache_megabytes", cache_megabytes)
    check_choice("load", "unreadable", unreadable, ("error", "skip"))
    names, parts, truths = _find(source, train_count, test_count)
    if swap:
        names = names[::-1]
        parts = {part: parts[part[:-1] + "BA"[part[-1] == "B"]] for part in _PARTS}
        truths = truths[::-1]
    skipped = {}
    for part in _PARTS:
        side = image_size if part.startswith("test") else None
        parts[part] = _readable(parts[part], unreadable, skipped, side)
    return Data(
        names,
        parts,
        truths,
        image_size,
        batch_size,
        seed,
        unreadable == "skip",
        skipped,
        cache_megabytes * 2**20,
    )


class Data:
    """Two domains of images, as `load` makes them.

    Attributes:
        names: what A and B are, such as ("apple", "orange").
        train: a `tf.data.Dataset` of `(a, b)`, float32 `(batch_size, image_size,
            image_size, 3)` in [-1, 1], augmented, and made while the step before
            runs; one iteration is an epoch, the longer domain once. The next iteration
            starts at step `train.cursor.step`, which `CycleGAN.fit` sets.
        test: a `tf.data.Dataset` of such pairs of test images, as they are.
        train_a, train_b, test_a, test_b: sequences of uint8 `(image_size, image_size,
            3)` images, read when they are asked for; a slice is one array.
        truth_ab, truth_ba: for samples, what a perfect translation of `test_a` and
            `test_b` looks like, uint8 arrays; else None.
        steps_per_epoch: batches of one epoch.
    """

    def __init__(
        self,
        names,
        parts,
        truths,
        image_size,
        batch_size,
        seed,
        skip,
        skipped,
        cache_bytes,
    ):
        self.names = names
        self.image_size = image_size
        self._truths = truths
        self._skipped = skipped
        larger = round(image_size * 286 / 256)
        sources = [parts["trainA"], parts["trainB"]]
        # An image that is no square takes more, a third more on most cameras.
        need = sum(map(len, sources)) * larger * larger * 3 * 4 / 3
        keep = need <= cache_bytes
        self.train, self._streams = training_set(
            *(Images(source, larger, keep, square=False) for source in sources),
            image_size,
            batch_size,
            seed,
            skip,
        )
        self.steps_per_epoch = self.train.cursor.steps_per_epoch
        self.train_a, self.train_b = (Images(s, image_size) for s in sources)
        self.test_a, self.test_b = (
            Images(parts[part], image_size, keep) for part in _PARTS[2:]
        )
        self.test = evaluation_set(self.test_a, self.test_b, batch_size)

    @cached_property
    def truth_ab(self):
        return self._truth(0)

    @cached_property
    def truth_ba(self):
        return self._truth(1)

    def _truth(self, which):
        source = self._truths[which]
        return None if source is None else Images(source, self.image_size)[:]

    @property
    def skipped(self):
        """What could not be read so far: messages, each naming its image."""
        found_later = [m for s in self._streams for m in s.skipped.values()]
        return [*self._skipped.values(), *found_later]

    def __repr__(self):
        a, b = self.names
        return (
            f"<{a} and {b}, {self.image_size} x {self.image_size}: "
            f"{len(self.train_a)} and {len(self.train_b)} for training, "
            f"{len(self.test_a)} and {len(self.test_b)} for testing>"
        )


def _find(source, train_count, test_count):
    """Returns the domains' names, the four parts, and the truths of both tests."""
    if isinstance(source, str) and source in SAMPLES:
        return _samples(
            source, train_count or 500, 50 if test_count is None else test_count
        )
    if isinstance(source, (tuple, list)):
        if len(source) != 2:
            raise ValueError(
                f"load: source holds {len(source)} folders, but it has to hold two, "
                "(a, b)."
            )
        source = [check_path("load", "a folder of source", path) for path in source]
        names = tuple(folder.name for folder in source)
        parts = {"trainA": _folder(source[0]), "trainB": _folder(source[1])}
    elif isinstance(source, (str, os.PathLike)):
        names, parts = _named(source) or _layout(source)
    else:
        raise ValueError(
            f"load: source is {summarize(source)}, but must be a name, a folder, or "
            "two folders (a, b)."
        )
    for part in ("trainA", "trainB"):
        test = part.replace("train", "test")
        parts.setdefault(test, None)
        parts[part], parts[test] = _divide(
            parts[part], parts[test], train_count, test_count
        )
    return names, parts, (None, None)


def _samples(source, train_count, test_count):
    from gan_style.datasets import samples

    draw = getattr(samples, source.split("/")[1])
    a, b = SAMPLES[source]
    # Seeds far apart: no scene comes twice, and no pair hides in the training set.
    parts = {
        "trainA": SampleImages(draw, a, 1_000_000, train_count),
        "trainB": SampleImages(draw, b, 2_000_000, train_count),
        "testA": SampleImages(draw, a, 3_000_000, test_count),
        "testB": SampleImages(draw, b, 4_000_000, test_count),
    }
    truths = (
        SampleImages(draw, b, 3_000_000, test_count),
        SampleImages(draw, a, 4_000_000, test_count),
    )
    return (a, b), parts, truths


def _named(source):
    from gan_style.datasets import downloads

    if not isinstance(source, str) or os.path.isdir(source):
        return None
    if source not in downloads.DATASETS:
        raise ValueError(
            f"load: source is {source!r}, which is no folder and no known name. Known: "
            f"{', '.join([*SAMPLES, *downloads.DATASETS])}. Give one of them, a folder "
            "with trainA, trainB, testA and testB, or two folders (a, b)."
        )
    folder = downloads.fetch_dataset(source)
    return downloads.DATASETS[source].names, _layout(folder)[1]


def _layout(folder):
    try:
        inside = sorted(os.listdir(folder))
    except (OSError, ValueError) as error:
        raise NoImages(
            f"load: source is {str(folder)!r}, which is no folder that can be read "
            f"({error}). Check the path."
        ) from error
    if {"trainA", "trainB"} <= set(inside):
        parts = [part for part in _PARTS if part in inside]
        return ("A", "B"), {part: _folder(Path(folder, part)) for part in parts}
    for kind in ("tfrec", "jpg"):
        pair = [f"{name}_{kind}" for name in ("monet", "photo")]
        if set(pair) <= set(inside):
            parts = zip(_PARTS, pair, strict=False)
            found_parts = {part: _folder(Path(folder, name)) for part, name in parts}
            return ("monet", "photo"), found_parts
    raise NoImages(
        f"{folder}: holds {found(inside)}, but trainA and trainB (with testA and "
        "testB) were expected, or monet_tfrec and photo_tfrec. Name the subfolders so, "
        "or give two folders, load((a, b))."
    )


def _folder(folder):
    if os.path.isdir(folder) and tfrecords.shards_of(folder):
        return tfrecords.RecordImages(folder)
    return FileImages(list_images(folder))


def _divide(train, test, train_count, test_count):
    count = len(train)
    if test is None:
        held = min(test_count or 0, count - 1)
        test = Subset(train, range(count - held, count))
        count -= held
    elif test_count is not None:
        test = Subset(test, range(min(test_count, len(test))))
    if train_count is not None or count < len(train):
        train = Subset(train, range(min(train_count or count, count)))
    return train, test


def _readable(source, unreadable, skipped, side=None):
    if len(source) > _CHECKED:
        return source
    broken = {}
    for index in range(len(source)):
        try:
            source.check(index)
            # Training takes another image in a broken one's place when it meets it;
            # tests have no other, so there the whole file is looked at now.
            if unreadable == "skip" and side:
                source.read(index, side)
        except UnreadableImage as error:
            broken[index] = str(error)
    if not broken:
        return source
    first = next(iter(broken.values()))
    if unreadable == "error" or len(broken) == len(source):
        raise UnreadableImage(
            f"{len(broken)} of {len(source)} images cannot be read. {first} "
            "unreadable='skip' goes on without them."
        )
    for index, message in broken.items():
        warnings.warn(f"Skipped: {message}", stacklevel=4)
        skipped[source.name(index)] = message
    return Subset(source, np.setdiff1d(np.arange(len(source)), list(broken)))

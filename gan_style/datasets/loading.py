"""Two domains of images, wherever they come from, as training and test sets."""

import os
import warnings
from functools import cached_property

import numpy as np

from gan_style.datasets import downloads, samples, tfrecords
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
_LAYOUTS = (
    (("A", "B"), _PARTS),
    (("monet", "photo"), ("monet_tfrec", "photo_tfrec", "", "")),
    (("monet", "photo"), ("monet_jpg", "photo_jpg", "", "")),
)
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
    """Load two domains of images, A and B, for training and for testing.

    Training images are scaled so that their shorter side is 286/256 of `image_size`,
    cropped at random, and flipped one time in two, as Zhu et al. (2017) do. Both
    domains are shuffled independently, anew for every pass; the shorter one repeats;
    every epoch augments afresh. All of this is a function of `seed` and of the number
    of the step alone, so that a training resumes bit for bit.

    Args:
        source: one of
            - "samples/fruit" (A apples, B oranges) or "samples/landscape" (A
              photographs, B paintings): drawn, nothing is downloaded;
            - "apple2orange", "horse2zebra" or "monet2photo" (A Monet, B photographs):
              downloaded once, see `fetch_dataset`;
            - a folder with trainA and trainB, and testA and testB if there are any;
            - a folder with monet_tfrec and photo_tfrec, or monet_jpg and photo_jpg
              (Kaggle's "I'm Something of a Painter Myself"; A Monet, B photographs);
            - two folders, `(a, b)`, of images or of TFRecord shards.
        image_size: the side of the images that come out.
        batch_size: pairs in a training batch.
        seed: integer for the order and the augmentation.
        train_count: images of each training domain, at most; the first ones. 500 for
            the samples, all for the others by default.
        test_count: images of each test domain, at most. 50 for the samples, all for
            the others by default. Where a source has no test images, the last training
            images become that many; none by default.
        unreadable: "error" stops at an image that cannot be read, and names it;
            "skip" names it once, in a warning and in `skipped`, and omits it.
        swap: whether to exchange A and B.
        cache_megabytes: the memory for scaled images, as uint8. They stay there if all
            of training and testing, or else all of training, fit; the rest is read
            whenever it is needed.

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
    cache = check_number("load", "cache_megabytes", cache_megabytes) * 2**20
    check_choice("load", "unreadable", unreadable, ("error", "skip"))
    names, parts, truths = _find(source, train_count, test_count)
    if swap:
        names, truths = names[::-1], truths[::-1]
        parts = [parts[i] for i in (1, 0, 3, 2)]
    skipped = {} if unreadable == "skip" else None
    parts = [
        _readable(part, skipped, image_size * (i > 1)) for i, part in enumerate(parts)
    ]

    larger = round(image_size * 286 / 256)
    # Images that are not square need more: a third more from most cameras.
    training = sum(map(len, parts[:2])) * larger**2 * 3 * 4 / 3
    testing = sum(map(len, parts[2:])) * image_size**2 * 3
    scaled = (Images(part, larger, training <= cache, False) for part in parts[:2])
    train = training_set(*scaled, image_size, batch_size, seed, skipped)
    images = [Images(part, image_size) for part in parts[:2]]
    keep = training + testing <= cache
    images += [Images(part, image_size, keep) for part in parts[2:]]
    truths = [truth if truth is None else Images(truth, image_size) for truth in truths]
    test = evaluation_set(*images[2:], batch_size)
    return Data(names, train, test, images, truths, skipped)


class Data:
    """Two domains of images, as `load` makes them.

    Attributes:
        names: what A and B are, such as ("apple", "orange").
        train: a `tf.data.Dataset` of `(a, b)`, float32 `(batch_size, image_size,
            image_size, 3)` in [-1, 1], augmented, and made while the step before
            runs; one iteration is an epoch, the longer domain once. The next iteration
            starts at step `train.cursor.step`, which `CycleGAN.fit` sets.
        test: a `tf.data.Dataset` of such pairs of test images, not augmented.
        train_a, train_b, test_a, test_b: sequences of uint8 `(image_size, image_size,
            3)` images, read when they are asked for; a slice is one array.
        truth_ab, truth_ba: for samples, the ground truth: what a perfect translation
            of `test_a` and `test_b` looks like, uint8 arrays; else None.
        steps_per_epoch: batches of one epoch.
        image_size: the side of the images.
    """

    def __init__(self, names, train, test, images, truths, skipped):
        self.names = names
        self.train = train
        self.test = test
        self.train_a, self.train_b, self.test_a, self.test_b = images
        self.steps_per_epoch = train.cursor.steps_per_epoch
        self.image_size = self.test_a.size
        self._truths = truths
        self._skipped = skipped

    @cached_property
    def truth_ab(self):
        return None if self._truths[0] is None else self._truths[0][:]

    @cached_property
    def truth_ba(self):
        return None if self._truths[1] is None else self._truths[1][:]

    @property
    def skipped(self):
        """What could not be read so far: messages, each naming its image."""
        return list((self._skipped or {}).values())

    def __repr__(self):
        a, b = self.names
        return (
            f"<{a} and {b}, {self.image_size} x {self.image_size}: "
            f"{len(self.train_a)} and {len(self.train_b)} for training, "
            f"{len(self.test_a)} and {len(self.test_b)} for testing>"
        )


def _find(source, train_count, test_count):
    """Return the names of both domains, the four parts, and both ground truths."""
    if isinstance(source, str) and source in SAMPLES:
        a, b = SAMPLES[source]
        test_count = 50 if test_count is None else test_count
        counts = 2 * [train_count or 500] + 4 * [test_count]
        # Seeds far apart: no scene comes twice, and no pair hides in the training set.
        which = zip((a, b, a, b, b, a), (1, 2, 3, 4, 3, 4), counts, strict=True)
        draw = getattr(samples, source.split("/")[1])
        drawn = [SampleImages(draw, kind, n * 10**6, count) for kind, n, count in which]
        return (a, b), drawn[:4], drawn[4:]
    if isinstance(source, (tuple, list)):
        if len(source) != 2:
            raise ValueError(
                f"load: source is {len(source)} folders, but must be two, (a, b)."
            )
        folders = [check_path("load", "a folder of source", path) for path in source]
        names = tuple(folder.name for folder in folders)
        folders += None, None
    else:
        names, folders = _folders(source)
    parts = [folder and _folder(folder) for folder in folders]
    for i in (0, 1):
        counts = train_count, test_count
        parts[i], parts[i + 2] = _divide(folders[i], parts[i], parts[i + 2], *counts)
    return names, parts, (None, None)


def _folders(source):
    """Return the names of both domains, and the folders of the four parts or None."""
    expected = (
        f"a name ({', '.join([*SAMPLES, *downloads.DATASETS])}), a folder with trainA, "
        "trainB, testA and testB, or two folders (a, b)"
    )
    if not isinstance(source, (str, os.PathLike)):
        raise ValueError(
            f"load: source is {summarize(source)}, but must be {expected}."
        )
    folder, names = check_path("load", "source", source), None
    if source in downloads.DATASETS and not folder.is_dir():
        names = downloads.DATASETS[source].names
        folder = downloads.fetch_dataset(source)
    try:
        inside = os.listdir(folder)
    except OSError as error:
        raise NoImages(
            f"load: source is {str(source)!r}, which cannot be read "
            f"({error.strerror}), but must be {expected}."
        ) from error
    for usual, parts in _LAYOUTS:
        if {*parts[:2]} <= {*inside}:
            there = [folder / part if part in inside else None for part in parts]
            return names or usual, there
    raise NoImages(
        f"load: source is {str(source)!r}, which holds {found(inside)}, but must hold "
        "trainA and trainB (with testA and testB), or monet_tfrec and photo_tfrec. "
        "Name the subfolders so, or give two folders, load((a, b))."
    )


def _folder(folder):
    if folder.is_dir() and tfrecords.shards_of(folder):
        return tfrecords.RecordImages(folder)
    return FileImages(list_images(folder))


def _divide(folder, train, test, train_count, test_count):
    """Limit the images of one domain; use the last as tests where there are none."""
    count = len(train)
    if test is None:
        count -= test_count or 0
        if count < 1:
            raise ValueError(
                f"load: test_count is {test_count}, but {folder} holds {len(train)} "
                f"images, one of which training needs. Give at most {len(train) - 1}."
            )
        test = Subset(train, range(count, len(train)))
    elif test_count is not None:
        test = Subset(test, range(min(test_count, len(test))))
    return Subset(train, range(min(train_count or count, count))), test


def _readable(source, skipped, side):
    """Return the source without the images that are found to be broken already."""
    if len(source) > _CHECKED:
        return source
    broken = {}
    for index in range(len(source)):
        try:
            source.check(index)
            # Training uses another image in a broken one's place when it meets it;
            # tests have no other, so there the whole file is looked at now.
            if side and skipped is not None:
                source.read(index, side)
        except UnreadableImage as error:
            broken[index] = str(error)
    if not broken:
        return source
    if skipped is None or len(broken) == len(source):
        raise UnreadableImage(
            f"load: source is broken, {len(broken)} of {len(source)} images cannot be "
            f"read. {next(iter(broken.values()))} unreadable='skip' omits them."
        )
    for index, message in broken.items():
        warnings.warn(f"Skipped: {message}", stacklevel=4)
        skipped[source.name(index)] = message
    return Subset(source, np.setdiff1d(np.arange(len(source)), list(broken)))

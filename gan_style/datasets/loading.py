"""Two domains of images, wherever they come from, as training and test sets."""

import warnings
from functools import cached_property

from gan_style.datasets import downloads, samples, sources
from gan_style.datasets.pipeline import Images, TrainingCursor, evaluation_set
from gan_style.utils import checks
from gan_style.utils.images import NoImages, UnreadableImage, find_images, found

SAMPLES = {
    "samples/fruit": ("apple", "orange"),
    "samples/landscape": ("photograph", "painting"),
}
_LAYOUTS = (
    (("A", "B"), ("trainA", "trainB", "testA", "testB")),
    (("monet", "photo"), ("monet_tfrec", "photo_tfrec")),
    (("monet", "photo"), ("monet_jpg", "photo_jpg")),
)
_LONGEST = 4  # sides over the shorter ones of training images; longer ones are cut
_CHECKED = 10_000  # a folder of more files is not looked through before training


def load(
    source, image_size=128, batch_size=1, seed=0, *, train_count=None, test_count=None,
    unreadable="error", swap=False, cache_megabytes=1024,
):  # fmt: skip
    """Load two domains of images, A and B, for training and for testing, as a `Data`.

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
        unreadable: "error" stops at an image that cannot be read, and names it; "skip"
            reads all images now, and omits those, named in a warning and in `skipped`.
        swap: whether to exchange A and B.
        cache_megabytes: the memory for scaled images: for training and all that is
            shown, or else for training alone, if they fit; others are read when needed.

    Raises:
        ValueError: for an argument that does not fit.
        NoImages: where the source holds none; says what was found instead.
        UnreadableImage: for an image that cannot be read. Headers are looked at here,
            in folders of up to 10,000; damage behind them ends the training.

    >>> data = load("samples/fruit", image_size=32, train_count=3, test_count=2)
    >>> a, b = next(iter(data.train))
    >>> tuple(a.shape), data.steps_per_epoch, data.test_a[:].shape
    ((1, 32, 32, 3), 3, (2, 32, 32, 3))
    """
    image_size = checks.check_int("load", "image_size", image_size)
    batch_size = checks.check_int("load", "batch_size", batch_size)
    seed = checks.check_int("load", "seed", seed, minimum=0)
    checks.check_int("load", "train_count", 1 if train_count is None else train_count)
    checks.check_int("load", "test_count", 0 if test_count is None else test_count, 0)
    cache = checks.check_number("load", "cache_megabytes", cache_megabytes) * 2**20
    checks.check_choice("load", "unreadable", unreadable, ("error", "skip"))
    skip, messages = unreadable == "skip", {}  # by the name of what is left out
    names, parts, truths = _find(source, train_count, test_count, messages)
    if swap:
        names, truths = names[::-1], truths[::-1]
        parts = [parts[i] for i in (1, 0, 3, 2)]
    parts = [_readable(part, messages, skip and image_size) for part in parts]
    if messages:
        first, more = list(messages.values())[:5], len(messages) - 5
        first += [f"{more} more, see `skipped`."] * (more > 0)
        warnings.warn("Skipped: " + "\n".join(first), stacklevel=2)

    larger = round(image_size * 286 / 256)
    # Images that are not square need more: a third more from most cameras.
    training = sum(map(len, parts[:2])) * larger**2 * 3 * 4 / 3
    scaled = [Images(part, larger, training <= cache, _LONGEST) for part in parts[:2]]
    train = TrainingCursor(scaled, image_size, batch_size, seed).dataset()
    shown = sum(map(len, parts)) * image_size**2 * 3
    images = [Images(part, image_size, training + shown <= cache) for part in parts]
    truths = [one if one is None else [Images(one, image_size)] for one in truths]
    test = evaluation_set(*images[2:], batch_size)
    return Data(names, train, test, images, truths, [*messages.values()])


class Data:
    """Two domains of images, as `load` makes them.

    Attributes:
        names: what A and B are, such as ("apple", "orange").
        train: a `tf.data.Dataset` of `(a, b)`, float32 `(batch_size, image_size,
            image_size, 3)` in [-1, 1], augmented; one iteration is an epoch, the longer
            domain once. The next one starts at step `train.cursor.step`, which
            `CycleGAN.fit` sets.
        test: a `tf.data.Dataset` of such pairs of test images, not augmented.
        train_a, train_b, test_a, test_b: sequences of uint8 `(image_size, image_size,
            3)` images, read when first needed; a slice, list or mask gives one array.
        truth_ab, truth_ba: for samples, the ground truth: what a perfect translation
            of `test_a` and `test_b` looks like, uint8 arrays; else None.
        steps_per_epoch, image_size: batches of an epoch, and the side of the images.
        skipped: messages, each naming an image that is not used: it cannot be read, is
            of another kind, or lies in a subfolder.
    """

    def __init__(self, names, train, test, images, truths, skipped):
        self.names, self.train, self.test, self.skipped = names, train, test, skipped
        self.train_a, self.train_b, self.test_a, self.test_b = images
        self.steps_per_epoch = train.cursor.steps_per_epoch
        self.image_size, self._truths = self.test_a.size, truths

    truth_ab = cached_property(lambda self: self._truths[0] and self._truths[0][0][:])
    truth_ba = cached_property(lambda self: self._truths[1] and self._truths[1][0][:])

    def __repr__(self):
        a, b = self.names
        parts = self.train_a, self.train_b, self.test_a, self.test_b
        text = "{} and {} for training, {} and {} for testing".format(*map(len, parts))
        return f"<{a} and {b}, {self.image_size} x {self.image_size}: {text}>"


def _find(source, train_count, test_count, messages):
    """Return the names of both domains, the four parts, and both ground truths."""
    if isinstance(source, str) and source in SAMPLES:
        a, b = SAMPLES[source]
        test_count = 50 if test_count is None else test_count
        counts = 2 * [train_count or 500] + 4 * [test_count]
        # Seeds far apart: no scene comes twice, and no pair hides in the training set.
        which = zip((a, b, a, b, b, a), (1, 2, 3, 4, 3, 4), counts, strict=True)
        draw = getattr(samples, source.split("/")[1])
        drawn = [
            [sources.Drawing(draw, kind, n * 10**6 + i) for i in range(count)]
            for kind, n, count in which
        ]
        return (a, b), drawn[:4], drawn[4:]
    names, folders = _folders(source)
    parts = [folder and _folder(folder, messages) for folder in folders]
    for i in (0, 1):
        train, test, count = parts[i], parts[i + 2], len(parts[i])
        if test is None:  # the last images of training
            count -= test_count or 0
            test = train[max(count, 0) :]
        if count < 1:
            raise ValueError(
                f"load: test_count is {test_count}, but must be at most "
                f"{len(train) - 1}: {folders[i]} holds {len(train)} images, one of "
                "which training needs. Add images, or a folder of test images."
            )
        parts[i], parts[i + 2] = train[:count][:train_count], test[:test_count]
    return names, parts, (None, None)


def _folders(source):
    """Return the names of both domains, and the folders of the parts or None."""
    if isinstance(source, (tuple, list)) and len(source) == 2:
        pair = [checks.check_path("load", "a folder of source", x) for x in source]
        return tuple(folder.name for folder in pair), [*pair, None, None]
    folder, names = checks.check_path("load", "source", source), None
    if source in downloads.DATASETS and not folder.is_dir():
        names, folder = tuple(source.split("2")), downloads.fetch_dataset(source)
    for usual, parts in _LAYOUTS:
        there = [folder / part if (folder / part).is_dir() else None for part in parts]
        if there[0] and there[1]:
            return names or usual, [*there, None, None][:4]
    holds = f"which holds {found(folder)}" if folder.is_dir() else "which is no folder"
    raise NoImages(
        f"load: source is {str(source)!r}, {holds}, but must be a name "
        f"({', '.join([*SAMPLES, *downloads.DATASETS])}), or a folder with trainA and "
        "trainB (testA and testB), or with monet_tfrec and photo_tfrec. Or give two "
        "folders, load((a, b))."
    )


def _folder(folder, messages):
    """Return the images of a folder, and note what looks like one but is not used."""
    images, unused = find_images(folder)
    if records := sources.find_records(folder):
        images, unused = [], images + unused
    elif not images:
        raise NoImages(
            f"{folder}: holds no image that can be read, but {found(folder)}. Check "
            "the path, or save images as JPEG or PNG."
        )
    remedy = f"Save it as JPEG or PNG, right in {folder}."
    messages.update((str(path), f"{path}: is not used. {remedy}") for path in unused)
    return records or [*map(sources.ImageFile, images)]


def _readable(part, messages, side):
    """Return a part without broken images, if a side to read them at is given."""
    broken = {}
    for one in part if side or len(part) <= _CHECKED else ():
        try:
            if side:
                one.read(side)
            elif isinstance(one, sources.ImageFile):
                one.check()
        except UnreadableImage as error:
            broken[one] = str(error)
    if broken and (not side or len(broken) == len(part)):
        raise UnreadableImage(
            f"load: source is broken, {len(broken)} of {len(part)} images cannot be "
            f"read. {next(iter(broken.values()))} unreadable='skip' omits them."
        )
    messages.update((str(one), said) for one, said in broken.items())
    return [one for one in part if one not in broken]

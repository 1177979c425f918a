"""Metrics of translated images, beside baselines that learn nothing.

Images are uint8, or float in [-1, 1]: arrays `(count, height, width, channels)` or
lists of `(height, width, channels)`, of 1 (grey), 3 (RGB) or 4 channels, or of PIL
images; others raise a ValueError. Errors are in levels of 0 to 255.
"""

import numpy as np

from gan_style.utils import checks
from gan_style.utils.images import read_image, round_levels, to_levels

_BLOCK = 1024  # rows of features that meet all others at once


def kernel_inception_distance(
    features_x, features_y, subsets=100, subset_size=None, seed=0
):
    """Measure how far apart two sets of images are, by their features.

    The unbiased squared maximum mean discrepancy under the kernel (x.y / dimensions +
    1)^3 (Binkowski et al., "Demystifying MMD GANs", 2018), averaged over random subsets
    as torch-fidelity draws them: 0 on average, and often below, for sets that cannot
    be told apart. The standard error is the delete-d jackknife's (Shao and Wu, 1989).

    Args:
        features_x, features_y: `(count, dimensions)`, a row for each image.
        subsets: number of random subsets.
        subset_size: images of either set in a subset, fewer than there are; by default
            half of the smaller set, and at most 1000.
        seed: integer from 0 that selects the subsets.

    Returns:
        `(mean, standard_error)`, floats; the error is NaN for one subset or whole sets.

    Raises:
        ValueError: for features that do not match, or fewer than 2 rows.

    >>> x, y = np.random.default_rng(0).normal(size=(2, 200, 8))
    >>> same, error = kernel_inception_distance(x, y)
    >>> abs(same) < 3 * error, kernel_inception_distance(x, y + 1)[0] > 20 * error
    (True, True)
    """
    owner, shape = "kernel_inception_distance", "(count, dimensions)"
    x = checks.check_array(owner, "features_x", features_x, 2, shape).astype("float64")
    y = checks.check_array(owner, "features_y", features_y, 2, shape).astype("float64")
    fewest, dimensions = min(len(x), len(y)), x.shape[1]
    if fewest < 2 or not dimensions or dimensions != y.shape[1]:
        expected = f"{shape}, at least 2 of each. Compute both with one network"
        raise checks.refused(owner, "shapes of features", (x.shape, y.shape), expected)
    for name, features in ("features_x", x), ("features_y", y):
        if not np.isfinite(features).all():
            raise checks.refused(owner, name, features, "finite. Check the images")
    size = min(1000, max(2, fewest // 2)) if subset_size is None else subset_size
    size = checks.check_int(owner, "subset_size", size)
    checks.check_number(owner, "subset_size", size, 2, fewest)
    subsets = checks.check_int(owner, "subsets", subsets)
    # 1 where an image belongs to a subset. The older generator, as in torch-fidelity.
    rng = np.random.RandomState(checks.check_int(owner, "seed", seed, minimum=0))
    in_x, in_y = np.zeros((subsets, len(x))), np.zeros((subsets, len(y)))
    for row_x, row_y in zip(in_x, in_y, strict=True):
        row_x[rng.choice(len(x), size, replace=False)] = 1
        row_y[rng.choice(len(y), size, replace=False)] = 1

    def sums(a, b, in_a, in_b):
        """The kernel's sum over each subset's pairs; each pair is computed once."""
        total = np.zeros(subsets)
        for start in range(0, len(a), _BLOCK):
            rows = slice(start, start + _BLOCK)
            values = (1 / dimensions * (a[rows] @ b.T) + 1) ** 3
            if a is b:  # an image is no pair with itself
                values[np.arange(len(values)), start + np.arange(len(values))] = 0
            total += np.einsum("sr,sr->s", in_a[:, rows], in_b @ values.T)
        return total

    pairs = size * (size - 1)
    within = sums(x, x, in_x, in_x) / pairs + sums(y, y, in_y, in_y) / pairs
    estimates = within - 2 * sums(x, y, in_x, in_y) / size**2
    left_out, error = 2 / size - 1 / len(x) - 1 / len(y), float("nan")
    if subsets > 1 and left_out > 0:
        ratio = (1 / len(x) + 1 / len(y)) / left_out
        error = float(np.sqrt(ratio * estimates.var(ddof=1)))
    return float(estimates.mean()), error


def paired_error(images, truth):
    """Return the mean absolute difference of images and their ground truth, a float.

    >>> black = np.zeros((1, 2, 2, 3), "uint8")
    >>> paired_error(black, black + np.uint8(51))
    51.0
    """
    owner, errors = "paired_error", []
    check_count(owner, "images", images)
    check_count(owner, "truth", truth, len(images))
    for image, true in zip(images, truth, strict=True):
        image, true = image_levels(owner, image), image_levels(owner, true)
        if image.shape != true.shape:
            expected = f"{image.shape}, the same as in images. Pass both in one order"
            raise checks.refused(owner, "a shape in truth", true.shape, expected)
        errors.append(np.abs(image - true).mean(dtype="float64"))
    return float(np.mean(errors))


def colour_statistics(images):
    """Return each channel's mean and deviation over all pixels, float64 arrays."""
    owner = "colour_statistics"
    check_count(owner, "images", images)
    levels = (image_levels(owner, image).astype("float64") for image in images)
    flat = (image.reshape(-1, image.shape[-1]) for image in levels)
    sums = [(len(x), x.sum(0), (x**2).sum(0)) for x in flat]
    pixels, totals, squares = zip(*sums, strict=True)
    _check_channels(owner, totals)
    mean = sum(totals) / sum(pixels)
    return mean, np.sqrt(np.maximum(sum(squares) / sum(pixels) - mean**2, 0))


def baselines(images, source, target):
    """Make the images that a model must beat, without any learning.

    Args:
        images: those to translate.
        source, target: unpaired images of either domain, of which only the mean and the
            deviation of each channel are used.

    Returns:
        A dict of lists of uint8 images: "do nothing", "shift mean of the colours",
        and "shift mean and deviation of the colours".

    >>> dark, light = np.full((2, 1, 4, 4, 3), [[[[[9]]]], [[[[200]]]]], "uint8")
    >>> int(baselines(dark, dark, light)["shift mean of the colours"][0].max())
    200
    """
    for name, value in ("images", images), ("source", source), ("target", target):
        check_count("baselines", name, value)
    mean, deviation = colour_statistics(source)
    target_mean, target_deviation = colour_statistics(target)
    levels = [image_levels("baselines", image) for image in images]
    _check_channels("baselines", [mean, target_mean, *levels])
    # A single colour has no deviation that could be stretched.
    stretch = np.where(deviation > 0, target_deviation / np.maximum(deviation, 1e-9), 1)
    # One by one, as all of them in float64 would need much memory.
    shifted = (x - mean + target_mean for x in levels)
    stretched = ((x - mean) * stretch + target_mean for x in levels)
    return {
        "do nothing": [*map(round_levels, levels)],
        "shift mean of the colours": [*map(round_levels, shifted)],
        "shift mean and deviation of the colours": [*map(round_levels, stretched)],
    }


def report(
    images, translated, target,
    extractor=None, source=None, reconstructed=None, truth=None,
):  # fmt: skip
    """Measure translated images and the baselines alike.

    Args:
        images, translated: the originals and their translations, in one order.
        target: real images of the target domain.
        extractor: function from images to features `(count, dimensions)` with a
            `name`, such as `image_features` returns; None leaves out the distance.
        source: real images of the source domain, for the baselines; or `images`.
        reconstructed: the originals, translated and translated back.
        truth: the ground truth of the translations, where it is known.

    Returns:
        A dict: "features", the extractor's name; the numbers of "images" and "target";
        "rows", a dict for "translated" and each baseline with "kid", "kid_error" and
        "paired_error" where known; "reconstruction_error".
    """
    check_count("report", "images", images)
    check_count("report", "translated", translated, len(images))
    others = baselines(images, images if source is None else source, target)
    features = getattr(extractor, "name", None if extractor is None else "?")
    found = {"features": features, "images": len(images), "target": len(target)}
    found["rows"] = rows = {}
    wanted = None if extractor is None else extractor(target)
    for name, candidate in {"translated": translated, **others}.items():
        row = rows[name] = {}
        if extractor is not None:
            distance = kernel_inception_distance(extractor(candidate), wanted)
            row["kid"], row["kid_error"] = distance
        if truth is not None:
            row["paired_error"] = paired_error(candidate, truth)
    if reconstructed is not None:
        found["reconstruction_error"] = paired_error(reconstructed, images)
    return found


def check_count(owner, name, items, count=None, what="images (height, width, 3)"):
    """Check that a list or an array holds any items, or `count` of them."""
    checks.check_sequence(owner, name, items, what)
    if not len(items) or count not in (None, len(items)):
        expected = f"{count or 'at least 1'}. Pass {what}, one for each"
        raise checks.refused(owner, f"the count of {name}", len(items), expected)


def image_levels(owner, image):
    """Check an image `(height, width, channels)`; return float32 levels of 0 to 255."""
    read = hasattr(image, "getexif")  # a PIL image, whose numbers may index a palette
    image = read_image(image) if read else checks.check_array(owner, "an image", image)
    other = image.dtype.kind != "f" and image.dtype.name not in ("uint8", "bfloat16")
    if other or image.ndim != 3 or image.shape[-1] not in (1, 3, 4) or not image.size:
        expected = "uint8 or float (height, width, 1, 3 or 4). Put one image in a list"
        raise checks.refused(owner, "an image", image, expected)
    levels = image.astype("float32")
    if image.dtype == np.uint8:
        return levels
    checks.check_range(owner, "images", levels)
    return to_levels(levels)


def _check_channels(owner, arrays):
    counts = sorted({array.shape[-1] for array in arrays})
    if len(counts) > 1:
        expected = "one. Convert images, as numpy.repeat(images, 3, axis=-1) does"
        raise checks.refused(owner, "numbers of channels", counts, expected)

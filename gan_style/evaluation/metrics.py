"""Honest figures for translated images, beside baselines that learn nothing.

Images are uint8, or float in [-1, 1]: arrays `(count, height, width, 3)` or lists of
`(height, width, 3)`. Errors are in levels of 0 to 255.
"""

import numpy as np

from gan_style.utils.checks import (
    check_array,
    check_int,
    check_number,
    check_sequence,
    summarize,
)

_ROWS_AT_ONCE = 1024


def kernel_inception_distance(
    features_x,
    features_y,
    subsets=100,
    subset_size=None,
    seed=0,
    degree=3,
    gamma=None,
    coef=1.0,
):
    """How far two sets of images are apart, judged by their features.

    The unbiased squared maximum mean discrepancy under the kernel (gamma x.y + coef)^
    degree, averaged over random subsets, as Binkowski et al., "Demystifying MMD GANs"
    (2018), have it. 0 means that the sets cannot be told apart; being unbiased, it
    comes out slightly below 0 about as often as above for such sets. It draws the
    subsets that torch-fidelity draws, so the same seed gives the same figure.

    The subsets share images, so dividing their deviation by the root of their number
    would promise too much: more subsets bring no new images. The standard error here
    is the delete-d jackknife's (Shao and Wu, 1989), which tells how much the figure
    would vary with other images. It takes subsets well below the whole set.

    Args:
        features_x, features_y: `(count, dimensions)`, such as a network's pooled
            activations, one row an image.
        subsets: how many random subsets.
        subset_size: images in a subset of each set; at most 1000 and at most half of
            the smaller set by default.
        seed: integer for the draws.
        degree, gamma, coef: the kernel; gamma is 1 / dimensions by default.

    Returns:
        `(mean, standard_error)`, floats. The error is NaN where a subset is the whole
        of both sets, or there is only one.

    Raises:
        ValueError: for features that do not match, or too few of them.

    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(2, 200, 8))
    >>> same, error = kernel_inception_distance(x, y)
    >>> abs(same) < 3 * error, kernel_inception_distance(x, y + 1)[0] > 20 * error
    (True, True)
    """
    x, y = _features("features_x", features_x), _features("features_y", features_y)
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"kernel_inception_distance: features_x have {x.shape[1]} dimensions and "
            f"features_y {y.shape[1]}, but both have to come from one network."
        )
    fewest = min(len(x), len(y))
    if subset_size is None:
        subset_size = min(1000, max(2, fewest // 2))
    subsets = check_int("kernel_inception_distance", "subsets", subsets)
    subset_size = check_int(
        "kernel_inception_distance", "subset_size", subset_size, minimum=2
    )
    if subset_size > fewest:
        raise ValueError(
            f"kernel_inception_distance: subset_size is {subset_size}, but the smaller "
            f"set holds {fewest} images. Take a subset of at most that."
        )
    owner = "kernel_inception_distance"
    seed = check_int(owner, "seed", seed, minimum=0)
    gamma = 1 / x.shape[1] if gamma is None else check_number(owner, "gamma", gamma)
    degree = check_number(owner, "degree", degree)
    coef = check_number(owner, "coef", coef)
    in_x, in_y = _draw(len(x), len(y), subsets, subset_size, seed)

    def kernel(a, b):
        return (gamma * (a @ b.T) + coef) ** degree

    pairs = subset_size * (subset_size - 1)
    estimates = (
        _sums(x, x, in_x, in_x, kernel, without_self=True) / pairs
        + _sums(y, y, in_y, in_y, kernel, without_self=True) / pairs
        - 2 * _sums(x, y, in_x, in_y, kernel) / subset_size**2
    )
    left_out = 2 / subset_size - 1 / len(x) - 1 / len(y)
    if subsets == 1 or left_out <= 0:
        return float(estimates.mean()), float("nan")
    ratio = (1 / len(x) + 1 / len(y)) / left_out
    return float(estimates.mean()), float(np.sqrt(ratio * estimates.var(ddof=1)))


def _features(name, features):
    features = check_array("kernel_inception_distance", name, features)
    features = features.astype("float64")
    if features.ndim != 2 or len(features) < 2 or not features.shape[1]:
        raise ValueError(
            f"kernel_inception_distance: the shape of {name} is {features.shape}, but "
            "it has to be (count, dimensions), with at least 2 images."
        )
    if not np.isfinite(features).all():
        raise ValueError(
            f"kernel_inception_distance: {name} hold numbers that are not finite. Look "
            "for such numbers in the images, or in the network."
        )
    return features


def _draw(count_x, count_y, subsets, size, seed):
    """Two matrices (subsets, count) with 1 where an image belongs to a subset."""
    # The older generator, because torch-fidelity has it: same draws, same figure.
    rng = np.random.RandomState(seed)
    in_x, in_y = np.zeros((subsets, count_x)), np.zeros((subsets, count_y))
    for one_x, one_y in zip(in_x, in_y, strict=True):
        one_x[rng.choice(count_x, size, replace=False)] = 1
        one_y[rng.choice(count_y, size, replace=False)] = 1
    return in_x, in_y


def _sums(a, b, in_a, in_b, kernel, without_self=False):
    """For every subset, the kernel's sum over its pairs; each pair is computed once."""
    total = np.zeros(len(in_a))
    for start in range(0, len(a), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        values = kernel(a[rows], b)
        if without_self:
            values[np.arange(len(values)), start + np.arange(len(values))] = 0
        total += np.einsum("sr,sr->s", in_a[:, rows], in_b @ values.T)
    return total


def paired_error(images, truth):
    """Mean absolute difference between images and their true counterparts.

    The same measure between originals and what came back from both generators is the
    reconstruction error.

    Returns:
        A float, in levels of 0 to 255.

    >>> black = np.zeros((1, 2, 2, 3), "uint8")
    >>> paired_error(black, black + np.uint8(51))
    51.0
    """
    _check_lists("paired_error", images=images, truth=truth)
    if len(images) != len(truth) or not len(images):
        raise ValueError(
            f"paired_error: got {len(images)} images and {len(truth)} true ones, "
            "but every image needs its own, and there has to be one."
        )
    errors = []
    for image, true in zip(images, truth, strict=True):
        image, true = _levels(image), _levels(true)
        if image.shape != true.shape:
            raise ValueError(
                f"paired_error: an image's shape is {image.shape}, its true "
                f"counterpart's {true.shape}, but must be the same."
            )
        errors.append(np.abs(image - true).mean(dtype="float64"))
    return float(np.mean(errors))


def colour_statistics(images):
    """Mean and standard deviation of each colour over all pixels of all images.

    Returns:
        Two float64 arrays `(3,)`, in levels of 0 to 255.
    """
    _check_lists("colour_statistics", images=images)
    total, squares, pixels = 0.0, 0.0, 0
    for image in images:
        flat = _levels(image).reshape(-1, image.shape[-1]).astype("float64")
        total, squares = total + flat.sum(0), squares + (flat**2).sum(0)
        pixels += len(flat)
    if not pixels:
        raise ValueError("colour_statistics: there are no images; pass at least one.")
    mean = total / pixels
    return mean, np.sqrt(np.maximum(squares / pixels - mean**2, 0))


def baselines(images, source, target):
    """What images become without any learning: the marks that a model has to beat.

    Args:
        images: the images to translate.
        source, target: images of either domain, of which only the mean and the
            deviation of each colour are taken; those of the training, no pairs.

    Returns:
        A dict of lists of uint8 images: "do nothing", "shift mean of the colours",
        and "shift mean and deviation of the colours".

    >>> dark, light = np.full((2, 1, 4, 4, 3), [[[[[9]]]], [[[[200]]]]], "uint8")
    >>> int(baselines(dark, dark, light)["shift mean of the colours"][0].max())
    200
    """
    _check_lists("baselines", images=images, source=source, target=target)
    mean, deviation = colour_statistics(source)
    target_mean, target_deviation = colour_statistics(target)
    # A single colour has no deviation that could be stretched.
    stretch = np.where(deviation > 0, target_deviation / np.maximum(deviation, 1e-9), 1)
    maps = {
        "do nothing": lambda levels: levels,
        "shift mean of the colours": lambda levels: levels - mean + target_mean,
        "shift mean and deviation of the colours": lambda levels: (
            (levels - mean) * stretch + target_mean
        ),
    }
    return {
        name: [_rounded(change(_levels(image))) for image in images]
        for name, change in maps.items()
    }


def report(
    images,
    translated,
    target,
    extractor=None,
    source=None,
    target_for_colours=None,
    reconstructed=None,
    truth=None,
    **kid_options,
):
    """Measures translated images and the baselines with the same ruler.

    Args:
        images: the originals, in the order of `translated`.
        translated: what the model made of them.
        target: real images of the domain translated to, the more the better.
        extractor: function from images to features `(count, dimensions)` with a
            `name`, such as one from `gan_style.evaluation`; None leaves out the
            Kernel Inception Distance.
        source, target_for_colours: images from which the baselines take the colours'
            statistics; `images` and `target` by default.
        reconstructed: the originals, there and back.
        truth: the true translations, where they are known.
        **kid_options: passed on to `kernel_inception_distance`.

    Returns:
        A dict: "features", the extractor's name; "images" and "target", their
        numbers; "rows", a dict for "translated" and each baseline with "kid",
        "kid_error" and "paired_error" as far as they can be told; and
        "reconstruction_error". `table` prints it.
    """
    _check_lists("report", images=images, translated=translated, target=target)
    if len(translated) != len(images):
        raise ValueError(
            f"report: got {len(images)} images and {len(translated)} translated "
            "ones, but must be as many."
        )
    candidates = {
        "translated": translated,
        **baselines(
            images,
            images if source is None else source,
            target if target_for_colours is None else target_for_colours,
        ),
    }
    rows = {name: {} for name in candidates}
    if extractor is not None:
        wanted = extractor(target)
        for name, candidate in candidates.items():
            distance = kernel_inception_distance(
                extractor(candidate), wanted, **kid_options
            )
            rows[name]["kid"], rows[name]["kid_error"] = distance
    if truth is not None:
        for name, candidate in candidates.items():
            rows[name]["paired_error"] = paired_error(candidate, truth)
    result = {
        "features": getattr(extractor, "name", None if extractor is None else "?"),
        "images": len(images),
        "target": len(target),
        "rows": rows,
    }
    if reconstructed is not None:
        result["reconstruction_error"] = paired_error(reconstructed, images)
    return result


def table(report):
    """Writes a report of `report` as lines of text.

    >>> print(table({"features": "VGG16", "images": 8, "target": 9, "rows": {
    ...     "translated": {"kid": 0.0123, "kid_error": 0.001, "paired_error": 9.5}}}))
    8 images against 9; KID over VGG16; less is better
                   KID x 1000    paired error
    translated    12.3 +-  1.0            9.5
    errors in levels of 0 to 255
    """
    if not isinstance(report, dict) or not report.get("rows"):
        raise ValueError(
            f"table: report is {summarize(report)}, but must be what `report` gives."
        )
    width = max(len(name) for name in report["rows"])
    first = next(iter(report["rows"].values()))
    lines = [f"{report['images']} images against {report['target']}"]
    if "kid" in first:
        lines[0] += f"; KID over {report['features']}"
    lines[0] += "; less is better"
    heads = {"kid": f"{'KID x 1000':>16}", "paired_error": f"{'paired error':>16}"}
    shown = [name for name in heads if name in first]
    lines.append(" " * width + "".join(heads[name] for name in shown))
    for name, row in report["rows"].items():
        cells = {}
        if "kid" in row:
            cells["kid"] = f"{1000 * row['kid']:8.1f} +-{1000 * row['kid_error']:5.1f}"
        if "paired_error" in row:
            cells["paired_error"] = f"{row['paired_error']:16.1f}"
        lines.append(f"{name:<{width}}" + "".join(cells[name] for name in shown))
    levels = "errors in levels of 0 to 255"
    if "reconstruction_error" in report:
        found = f"reconstruction error {report['reconstruction_error']:.1f}"
        lines.append(f"{found} ({levels})")
    elif "paired_error" in first:
        lines.append(levels)
    return "\n".join(lines)


def _check_lists(owner, **lists):
    for name, images in lists.items():
        check_sequence(owner, name, images, "images (height, width, 3)")


def _levels(image):
    image = check_array("metrics", "an image", image)
    if image.ndim != 3 or image.shape[-1] != 3 or not image.size:
        raise ValueError(
            f"metrics: an image's shape is {image.shape}, but must be (height, "
            "width, 3). Pass a single image as a list of one."
        )
    if image.dtype == np.uint8:
        return image.astype("float32")
    if not np.issubdtype(image.dtype, np.floating):
        raise ValueError(
            f"metrics: an image's dtype is {image.dtype}, but must be uint8, "
            "or float in [-1, 1]."
        )
    image = image.astype("float32")
    if not np.abs(image).max(initial=0) <= 1.001:  # also where there is a NaN
        raise ValueError(
            f"metrics: an image holds floats from {image.min():.4g} to "
            f"{image.max():.4g}, but must be in [-1, 1]. Pass 0 to 255 as "
            "uint8."
        )
    return (image + 1) * 127.5


def _rounded(levels):
    return np.clip(np.rint(levels), 0, 255).astype("uint8")

import importlib.util
import sys
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image

from gan_style.evaluation import metrics
from gan_style.evaluation.metrics import kernel_inception_distance


def formula(x, y):
    """The unbiased MMD^2 under the cubic kernel, written out pair by pair."""

    def k(a, b):
        return (float(np.dot(a, b)) / x.shape[1] + 1) ** 3

    m, n = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(m) for j in range(m) if i != j)
    yy = sum(k(y[i], y[j]) for i in range(n) for j in range(n) if i != j)
    xy = sum(k(a, b) for a in x for b in y)
    return xx / (m * (m - 1)) + yy / (n * (n - 1)) - 2 * xy / (m * n)


@pytest.fixture
def features():
    rng = np.random.default_rng(3)
    return rng.normal(size=(24, 7)), rng.normal(0.3, 1.2, size=(24, 7))


def test_distance_is_the_formula(features):
    x, y = features
    got, _ = kernel_inception_distance(x, y, subsets=1, subset_size=24)
    assert got == pytest.approx(formula(x, y), abs=1e-12)


def test_distance_averages_the_formula_over_its_subsets(features):
    x, y = features
    got, _ = kernel_inception_distance(x, y, subsets=3, subset_size=6, seed=5)
    rng = np.random.RandomState(5)
    want = []
    for _ in range(3):
        a, b = (rng.choice(24, 6, replace=False) for _ in "xy")
        want.append(formula(x[a], y[b]))
    assert got == pytest.approx(np.mean(want), abs=1e-12)


def test_distance_of_many_features_is_the_formula_too():
    # More than the package multiplies at once.
    x, y = np.random.default_rng(0).normal([[[0]], [[1]]], size=(2, 1500, 3))
    got, _ = kernel_inception_distance(x, y, subsets=1, subset_size=1500)
    xx, yy, xy = ((a @ b.T / 3 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    pairs = 1500 * 1499
    want = (xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)) / pairs - 2 * xy.mean()
    assert got == pytest.approx(want, abs=1e-9)


def test_distance_is_that_of_torch_fidelity(monkeypatch):
    torch = pytest.importorskip("torch")
    if importlib.util.find_spec("torchvision") is None:
        # Its networks need it, its figures do not.
        for name in ("", ".datasets", ".transforms", ".transforms.functional"):
            monkeypatch.setitem(sys.modules, f"torchvision{name}", MagicMock())
    kid = pytest.importorskip("torch_fidelity.metric_kid")
    rng = np.random.default_rng(0)
    x, y = rng.random((90, 64)), rng.random((120, 64)) * 1.2
    theirs = kid.kid_features_to_metric(
        torch.from_numpy(x),
        torch.from_numpy(y),
        kid_subsets=20,
        kid_subset_size=40,
        rng_seed=2020,
        verbose=False,
    )
    ours, _ = kernel_inception_distance(x, y, subsets=20, subset_size=40, seed=2020)
    assert ours == pytest.approx(theirs["kernel_inception_distance_mean"], abs=1e-6)


def test_distance_is_unbiased_and_its_error_honest():
    rng = np.random.default_rng(1)
    found = [
        kernel_inception_distance(
            rng.normal(size=(60, 5)), rng.normal(0.4, 1, size=(60, 5))
        )
        for _ in range(60)
    ]
    means, errors = np.transpose(found)
    large = kernel_inception_distance(
        rng.normal(size=(3000, 5)),
        rng.normal(0.4, 1, size=(3000, 5)),
        subsets=1,
        subset_size=3000,
    )
    assert np.mean(means) == pytest.approx(large[0], abs=3 * np.std(means) / 60**0.5)
    # More subsets bring no new images: the error must not shrink with them.
    assert 0.8 < np.mean(errors) / np.std(means) < 1.35


def test_whole_sets_have_no_error_over_subsets(features):
    assert np.isnan(kernel_inception_distance(*features, subset_size=24)[1])


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (np.ones((4, 3)), np.ones((4, 2)), {}, "one network"),
        (np.ones((4, 3)), np.ones(4), {}, "features_y"),
        (np.ones((1, 3)), np.ones((4, 3)), {}, "at least 2"),
        (np.full((4, 3), np.nan), np.ones((4, 3)), {}, "must be finite"),
        (
            np.ones((4, 3)),
            np.ones((9, 3)),
            {"subset_size": 5},
            "from 2 to 4",
        ),
        (np.ones((4, 3)), np.ones((9, 3)), {"subsets": 0}, "subsets is 0"),
    ],
)
def test_distance_refuses(x, y, options, message):
    with pytest.raises(ValueError, match=message):
        kernel_inception_distance(x, y, **options)


def test_paired_error_is_the_same_for_bytes_and_floats():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 3, 8, 8, 3), dtype="uint8")
    want = np.abs(a.astype(float) - b).mean()
    assert metrics.paired_error(a, b) == pytest.approx(want)
    floats = [x / np.float32(127.5) - 1 for x in (a, b)]
    assert metrics.paired_error(*floats) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize(
    ("images", "truth", "message"),
    [
        (
            np.zeros((2, 4, 4, 3), "uint8"),
            np.zeros((1, 4, 4, 3), "uint8"),
            "count of truth is 1",
        ),
        (np.zeros((1, 4, 4, 3), "uint8"), np.zeros((1, 4, 5, 3), "uint8"), "the same"),
        (np.zeros((1, 4, 4, 3), "int64"), np.zeros((1, 4, 4, 3), "uint8"), "int64"),
        (
            np.full((1, 4, 4, 3), 9.0),
            np.zeros((1, 4, 4, 3), "uint8"),
            "from 9 to 9",
        ),
    ],
)
def test_paired_error_refuses(images, truth, message):
    with pytest.raises(ValueError, match=message):
        metrics.paired_error(images, truth)


def test_channels_that_differ_are_refused():
    colours, grey = np.zeros((2, 4, 4, 3), "uint8"), np.zeros((2, 4, 4, 1), "uint8")
    for call in (
        lambda: metrics.colour_statistics([*colours, *grey]),
        lambda: metrics.baselines(colours, grey, grey),
        lambda: metrics.report(grey, grey, colours),
    ):
        with pytest.raises(ValueError, match=r"channels is \[1, 3\], but must be one"):
            call()
    with pytest.raises(ValueError, match="the same as in images"):
        metrics.paired_error(grey, colours)
    with pytest.raises(ValueError, match=r"\(4, 4, 2\)"):
        metrics.paired_error(colours[..., :2], colours[..., :2])


def test_pil_images_are_looked_at_as_a_person_does():
    colours = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype="uint8")
    palette = Image.fromarray(colours).convert("P")
    assert metrics.paired_error([palette], [np.asarray(palette.convert("RGB"))]) == 0


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_baselines_reach_the_targets_statistics(channels):
    rng = np.random.default_rng(0)
    source = rng.integers(80, 120, (4, 16, 16, channels), dtype="uint8")
    target = rng.integers(90, 190, (4, 16, 16, channels), dtype="uint8")
    target[..., 0] //= 2
    made = metrics.baselines(source, source, target)
    mean, deviation = metrics.colour_statistics(target)
    np.testing.assert_array_equal(made["do nothing"], source)
    shifted = metrics.colour_statistics(made["shift mean of the colours"])
    np.testing.assert_allclose(shifted[0], mean, atol=0.5)
    np.testing.assert_allclose(shifted[1], metrics.colour_statistics(source)[1], 0.02)
    both = metrics.colour_statistics(made["shift mean and deviation of the colours"])
    np.testing.assert_allclose(both[0], mean, atol=0.5)
    np.testing.assert_allclose(both[1], deviation, rtol=0.02)


def test_report_ranks_a_perfect_translation_before_the_baselines():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 100, (12, 8, 8, 3), dtype="uint8")
    truth = 255 - images

    def means(images):
        return np.stack([np.asarray(p, float).mean((0, 1)) / 255 for p in images])

    means.name = "mean colour"
    result = metrics.report(
        images, truth, truth, means, truth=truth, reconstructed=images
    )
    assert result["features"] == "mean colour"
    assert result["reconstruction_error"] == 0
    rows = result["rows"]
    assert rows["translated"]["paired_error"] == 0
    assert list(rows)[0] == "translated" and len(rows) == 4
    for name in list(rows)[1:]:
        assert rows[name]["paired_error"] > 0
    assert rows["do nothing"]["kid"] > 10 * abs(rows["translated"]["kid"])


def test_report_measures_without_an_extractor_and_with_other_colours():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 100, (3, 8, 8, 3), dtype="uint8")
    light = np.full((2, 8, 8, 3), 200, "uint8")
    result = metrics.report(images, images, light, truth=images)
    assert result["features"] is None and "kid" not in result["rows"]["translated"]
    assert result["rows"]["do nothing"]["paired_error"] == 0
    assert result["rows"]["shift mean of the colours"]["paired_error"] > 100
    with pytest.raises(ValueError, match="count of translated is 2, but must be 3"):
        metrics.report(images, images[:2], images)
    with pytest.raises(ValueError, match="count of images is 0"):
        metrics.colour_statistics([])

"""Every contender runs, learns, and repeats itself; the rulers are sane.

python -m pytest benchmarks/quality/test_quality.py     (some minutes)
"""

import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import contenders  # noqa: E402
from compare import key, runs_of, table  # noqa: E402
from contenders import parts  # noqa: E402
from training import Clock, load, parts_of, train  # noqa: E402

from gan_style import datasets, evaluation  # noqa: E402

TINY = "+filters=4+blocks=1"
OURS = [
    "ours+filters=4+judge_filters=4" + lever
    for lever in (
        "",
        "+features",
        "+features+patch=1+judge_rate=1e-4",
        "+augment",
        "+augment=translation-cutout",
        "+spectral",
        "+antialias",
        "+small-first",
        "+gate",
        "+rate=1e-3+beta=0.0+decay=0.9",
        "+features+augment+spectral+antialias+gate+small-first",
        "+chapter=2+blocks=1+antialias+features",
    )
]
METHODS = [
    *OURS,
    *(name + TINY for name in ("authors", "keras-io", "cut", "fastcut", "pix2pix")),
    "fastcut+gate+network=unet+filters=4+direction=ba",
    "cut+network=nearest+augment+features+spectral+antialias" + TINY,
]


def toy(size=32):
    """Dark blue images and light red ones."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.3, 0.3, (2, 8, size, size, 3)).astype("float32")
    blue, red = np.float32([-0.6, -0.6, 0.2]), np.float32([0.6, 0.0, -0.2])
    a, b = noise[0] + blue, noise[1] + red
    step = 0
    while True:
        i = step % 8
        yield tf.constant(a[i : i + 1]), tf.constant(b[i : i + 1])
        step += 1


def trained(method, steps, size=32):
    progress = tf.Variable(0.0)
    contender = contenders.build(method, (size, size, 3), 1, progress)
    return contender, train(contender, toy(size), progress, steps, None)


@pytest.mark.parametrize("method", METHODS)
def test_a_contender_runs_and_repeats_itself(method):
    images = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), dtype="uint8")
    results = []
    for _ in range(2):
        contender, found = trained(method, 8)
        made = [contender.translate(images, d) for d in contender.directions]
        assert all(x.shape == images.shape and x.dtype == np.uint8 for x in made)
        results.append((found["losses"], np.stack(made)))
    assert results[0][0] == results[1][0]
    assert np.array_equal(results[0][1], results[1][1])
    assert found["steps_done"] == 8 and np.isfinite(found["training_seconds"])


@pytest.mark.parametrize(
    "method",
    [
        *OURS[:2],
        OURS[10].replace("+gate", ""),  # the gate is slow where all must change
        "keras-io+filters=8+blocks=1+rate=2e-3",
        "fastcut+filters=8+blocks=1+rate=2e-3",
        "cut+filters=8+blocks=1+rate=2e-3",
        "pix2pix+filters=8+rate=2e-3",
    ],
)
def test_a_contender_learns_the_other_colour(method):
    contender, _ = trained(method, 150)
    blue, red = (np.clip(x * 127.5 + 127.5, 0, 255) for x in next(toy()))
    made = contender.translate(blue.astype("uint8"), "ab").astype(float)
    before = np.abs(blue.mean((0, 1, 2)) - red.mean((0, 1, 2))).mean()
    after = np.abs(made.mean((0, 1, 2)) - red.mean((0, 1, 2))).mean()
    assert after < 0.5 * before


def test_the_augmentation_moves_cuts_and_recolours_but_not_outside_training():
    images = tf.random.stateless_uniform((4, 32, 32, 3), (1, 2), 0.2, 0.8).numpy()
    for policy in ("colour", "translation", "cutout"):
        layer = parts.DiffAugment(policy, seed=1)
        seen = layer(images, training=True)
        assert np.array_equal(layer(images, training=False), images)
        assert not np.allclose(seen, images)
        assert (
            len({round(float(x), 4) for x in tf.reduce_mean(seen - images, (1, 2, 3))})
            > 1
        )
    cut = parts.DiffAugment("cutout", seed=1)(images, training=True).numpy()
    assert ((cut == images) | (cut == 0)).all() and 0 < (cut == 0).mean() <= 0.25
    moved = parts.DiffAugment("translation", seed=1)(images, training=True).numpy()[0]
    best = min(
        np.abs(np.roll(images[0], (y, x), (0, 1)) - moved)[4:-4, 4:-4].max()
        for y in range(-4, 5)
        for x in range(-4, 5)
    )
    assert best < 1e-6


def test_spectral_normalization_divides_by_the_largest_singular_value():
    layer = parts.SpectralConv2D(5, 3, padding="same")
    images = tf.random.stateless_uniform((1, 8, 8, 4), (1, 2))
    for _ in range(50):
        made = layer(images, training=True)
    kernel = layer.kernel.numpy()
    largest = np.linalg.svd(kernel.reshape(-1, 5), compute_uv=False)[0]
    assert np.allclose(
        made, tf.nn.conv2d(images, kernel / largest, 1, "SAME"), atol=1e-4
    )


def test_the_patchgan_keeps_half_of_the_weight_beside_features():
    shape, images = (32, 32, 3), tf.zeros((2, 32, 32, 3))
    network = parts.discriminator(shape, 4, seed=1, features=True)
    answers = network(images)
    assert answers.shape == (2, 8, 8, 4)
    assert np.array_equal(answers[..., 0], answers[..., 1])
    sizes = {tuple(v.shape) for v in network.trainable_variables}
    assert not any(256 in size and len(size) == 4 for size in sizes), "VGG is frozen"


def test_an_antialiased_network_has_the_same_weights():
    plain = parts.generator("unet", (32, 32, 3), 4)
    blurred = parts.generator("unet", (32, 32, 3), 4, antialias=True)
    assert [w.shape for w in plain.weights] == [w.shape for w in blurred.weights]
    flat = tf.ones((1, 8, 8, 2))
    assert np.allclose(parts.blur(flat), flat)


def test_compiling_costs_nothing_but_every_step_counts():
    clock = Clock()
    for seconds in (9.0, 5.0, 1.0, 0.5, 0.5):
        clock.add("one", seconds)
    clock.add("two", 30.0)
    assert clock.total() == 2.5


def test_the_rulers():
    pytest.importorskip("torch")
    from rulers import Judge, load_rulers

    data = datasets.load("samples/fruit", 64, train_count=24, test_count=24)
    judge = Judge(load_rulers(), data.test_b[:], data.truth_ab)
    real, same = judge(data.train_b[:], paired=False), judge(data.test_a[:])
    shifted = evaluation.baselines(data.test_a[:], data.train_a[:], data.train_b[:])
    recoloured = judge(shifted["shift mean of the colours"])
    true = judge(data.truth_ab)
    assert true["paired"] == 0
    for name in ("vgg16", "lite1 shallow", "lite1 deep"):
        print(name, *(x[name] for x in (real, true, same, recoloured)))
        assert abs(real[name][0]) < 3 * real[name][1] + 1
        assert abs(true[name][0]) < 3 * true[name][1] + 1
        assert (
            same[name][0] > 10 * abs(real[name][0]) and same[name] != recoloured[name]
        )
    assert judge(data.test_a[:]) == same


def test_images_that_were_looked_at_can_be_left_out():
    run = {"data": "samples/fruit", "size": 32, "seed": 0, "train": 4, "test": 5}
    data = load(run)
    given, real, *_, truth = parts_of({**run, "skip": 3}, data, "ba")
    assert np.array_equal(given, data.test_b[3:])
    assert np.array_equal(real, data.test_a[3:])
    assert np.array_equal(truth, data.truth_ba[3:])
    _, real, *_ = parts_of({**run, "against": "train"}, data, "ba")
    assert np.array_equal(real, data.train_a[:])


def test_the_table_and_the_keys():
    class Options:
        data, methods, lever, seeds = (
            ["samples/fruit"],
            ["ours", "cut"],
            ["features"],
            [1],
        )
        steps, seconds, size, train, test = [5], None, 32, 4, 3
        rulers, skip, against, precision = ["vgg16"], 0, "test", "float32"

    base, ours, cut = runs_of(Options)
    assert (ours["method"], cut["method"]) == ("ours+features", "cut")
    judged = {"vgg16": [30.0, 1.0], "paired": 20.0}
    counts = {"train_a": 4, "train_b": 4, "test_a": 3, "test_b": 3}
    found = {
        key(base): {
            "run": base,
            "judged": {d: {"do nothing": judged} for d in ("ab", "ba")},
        },
        key(ours): {
            "run": ours,
            "steps_done": 5,
            "training_seconds": 1.0,
            "cpu_seconds": 2.0,
            "peak_memory_gb": 1.0,
            "judged": {"ab": {"translated": {**judged, "paired": 5.0}}},
        },
    }
    text = table({k: {**v, "counts": counts} for k, v in found.items()})
    cells = "ours+features (5 steps)", "1", "5", "1", "0.200", "0.400", "1.00"
    assert "| " + " | ".join((*cells, "30.0 ± 1.0", "5.0", "0.25")) + " |" in text

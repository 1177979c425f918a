"""The optimizers against the textbook, on functions whose answers are known."""

import numpy as np
import pytest
import tensorflow as tf

from gan_style.style_transfer.optimizers import LBFGS, OPTIMIZERS, Adam, smoothed

SHAPE = (1, 3, 4, 3)
SMOOTH = OPTIMIZERS["smooth"]


def quadratic(seed=0, least=50.0, most=200.0):
    """A bowl with its bottom inside [0, 255], and slopes from 1 to 100."""
    rng = np.random.default_rng(seed)
    bottom = rng.uniform(least, most, SHAPE)
    slopes = np.geomspace(1, 100, bottom.size).reshape(SHAPE)
    seen = []

    def evaluate(image):
        seen.append(image)
        away = image - bottom
        value = 0.5 * tf.reduce_sum(slopes * away**2)
        return tf.stack([value, 0.0, 0.0, value]), slopes * away

    return evaluate, bottom, slopes, seen


@pytest.mark.parametrize(("kind", "steps"), [(LBFGS, 60), (SMOOTH, 300), (Adam, 600)])
def test_the_bottom_is_found(kind, steps):
    evaluate, bottom, _, _ = quadratic()
    optimizer = kind(tf.fill(SHAPE, tf.constant(128.0, "float64")), evaluate)
    for _ in range(steps):
        optimizer.step()
    most = 3.0 if kind is Adam else 0.01
    np.testing.assert_allclose(optimizer.result(), bottom, atol=most)


def textbook(gradient, pairs, guess):
    """Algorithm 7.4 of Nocedal and Wright; `guess`: the first inverse Hessian."""
    q, alphas = gradient.copy(), []
    for move, change in reversed(pairs):
        alpha = (move @ q) / (change @ move)
        q -= alpha * change
        alphas.append(alpha)
    move, change = pairs[-1]
    q = guess @ q * (move @ change) / (change @ guess @ change)
    for (move, change), alpha in zip(pairs, reversed(alphas), strict=True):
        q += (alpha - (change @ q) / (change @ move)) * move
    return -q


def matrix(share, shape=SHAPE):
    """`smoothed`, as a matrix."""
    size = np.prod(shape)
    each = tf.reshape(tf.eye(size, dtype="float64"), (size, *shape[1:]))
    return smoothed(each, share).numpy().reshape(size, size).T


def test_smoothing_is_symmetric_and_positive_definite():
    shape = (1, 9, 14, 3)
    found = matrix(0.95, shape)
    np.testing.assert_allclose(found, found.T, atol=1e-12)
    assert np.linalg.eigvalsh(found).min() > 0.049


def test_a_smooth_move_has_little_that_changes_from_pixel_to_pixel():
    rough = tf.constant(np.random.default_rng(0).normal(size=(1, 32, 32, 3)))
    made = smoothed(rough, 0.95).numpy()[0]
    rough_part = np.square(np.diff(made, axis=0)).mean() / np.square(made).mean()
    assert rough_part < 0.5 * np.square(np.diff(rough[0], axis=0)).mean()


@pytest.mark.parametrize("kind", [LBFGS, SMOOTH])
def test_lbfgs_goes_where_the_textbook_goes(monkeypatch, kind):
    monkeypatch.setattr(LBFGS, "memory", 3)
    evaluate, _, slopes, _ = quadratic()
    start = tf.constant(np.random.default_rng(1).uniform(0, 255, SHAPE))
    optimizer = kind(start, evaluate)
    images = [start.numpy()]
    for _ in range(6):  # so that old pairs are forgotten
        optimizer.step()
        images.append(optimizer.image.numpy())
    moves = [(b - a).ravel() for a, b in zip(images, images[1:], strict=False)]
    pairs = [(move, slopes.ravel() * move) for move in moves[-3:]]
    guess = matrix(optimizer.blur)
    expected = textbook(optimizer.gradient.numpy().ravel(), pairs, guess)
    before = optimizer.evaluations
    optimizer.step()
    assert optimizer.evaluations == before + 1  # by the whole direction
    moved = (optimizer.image.numpy() - images[-1]).ravel()
    np.testing.assert_allclose(moved, expected, rtol=1e-7)


def test_the_first_step_of_lbfgs_moves_by_what_was_asked(monkeypatch):
    monkeypatch.setattr(LBFGS, "first_move", 0.5)
    evaluate, *_ = quadratic()
    optimizer = LBFGS(tf.fill(SHAPE, tf.constant(128.0, "float64")), evaluate)
    optimizer.step()
    moved = optimizer.image.numpy() - 128
    assert np.sqrt(np.mean(moved**2)) == pytest.approx(0.5)


def test_lbfgs_never_goes_up_and_counts_its_evaluations(monkeypatch):
    monkeypatch.setattr(LBFGS, "first_move", 1e4)
    evaluate, *_, seen = quadratic()
    optimizer = LBFGS(tf.fill(SHAPE, tf.constant(128.0, "float64")), evaluate)
    values = [float(optimizer.step()[-1]) for _ in range(10)]
    assert values == sorted(values, reverse=True)
    assert optimizer.evaluations == len(seen) > 11  # the first step had to shorten


@pytest.mark.parametrize("kind", [LBFGS, Adam])
def test_a_step_returns_the_terms_of_the_image_it_arrived_at(kind):
    evaluate, *_, seen = quadratic()
    optimizer = kind(tf.fill(SHAPE, tf.constant(128.0, "float64")), evaluate)
    for step in range(1, 4):
        terms = optimizer.step()
        assert optimizer.evaluations == len(seen) == step + 1  # one at the start
        np.testing.assert_array_equal(terms, evaluate(optimizer.image)[0])
        seen.pop()


def test_lbfgs_stays_where_there_is_no_slope():
    def flat(image):
        return tf.zeros(4, tf.float64), tf.zeros_like(image)

    optimizer = LBFGS(tf.fill(SHAPE, tf.constant(128.0, "float64")), flat)
    optimizer.step()
    optimizer.step()
    np.testing.assert_array_equal(optimizer.image, np.full(SHAPE, 128.0))


def test_what_lbfgs_has_not_seen_yet_takes_no_memory():
    evaluate, *_ = quadratic()
    optimizer = LBFGS(tf.fill(SHAPE, tf.constant(128.0, "float64")), evaluate)
    optimizer.step()
    images = {id(image) for pair in optimizer.pairs for image in pair[:2]}
    assert len(images) == 3  # a move, a change, and the empty one
    for _ in range(12):
        optimizer.step()
    images = {id(image) for pair in optimizer.pairs for image in pair[:2]}
    assert len(images) == 2 * optimizer.memory == 20


def test_lbfgs_forgets_what_leads_uphill():
    evaluate, *_ = quadratic()
    optimizer = LBFGS(tf.fill(SHAPE, tf.constant(128.0, "float64")), evaluate)
    optimizer.step()
    optimizer.step()
    state = optimizer.state()
    # Spoilt: uphill along every move.
    state["curvatures"] = -1e-9 * tf.ones_like(state["curvatures"])
    state |= {f"changes_{place}": tf.zeros(SHAPE, "float64") for place in range(10)}
    optimizer.load_state(state)
    before = float(optimizer.terms[-1])
    assert float(optimizer.step()[-1]) < before
    assert np.count_nonzero(optimizer.state()["curvatures"]) == 1


def test_adam_is_adam():
    evaluate, _, slopes, _ = quadratic()
    start = np.full(SHAPE, 128.0)
    optimizer = Adam(tf.constant(start), evaluate, learning_rate=0.5)
    image, m, v, images = start.copy(), 0.0, 0.0, []
    for step in range(1, 4):
        optimizer.step()
        gradient = evaluate(tf.constant(image))[1].numpy()
        m, v = 0.9 * m + 0.1 * gradient, 0.99 * v + 0.01 * gradient**2
        image = image - 0.5 * (m / (1 - 0.9**step)) / np.sqrt(v / (1 - 0.99**step))
        images.append(image)
    np.testing.assert_allclose(optimizer.image, image)
    weights = 0.99 ** np.arange(3)[::-1]
    average = np.average(images, axis=0, weights=weights)
    np.testing.assert_allclose(optimizer.result(), average)


@pytest.mark.parametrize("kind", [LBFGS, SMOOTH, Adam])
def test_a_saved_state_resumes_bit_for_bit(kind):
    evaluate, *_ = quadratic()
    start = tf.fill(SHAPE, tf.constant(128.0, "float64"))
    whole, first = kind(start, evaluate), kind(start, evaluate)
    for _ in range(8):
        whole.step()
    for _ in range(5):
        first.step()
    second = kind(tf.zeros(SHAPE, tf.float64), evaluate)
    second.load_state(first.state())
    assert second.evaluations == 0
    for _ in range(3):
        second.step()
    assert second.evaluations == 3  # the gradient was saved
    np.testing.assert_array_equal(second.result(), whole.result())


def test_adam_carries_its_moments_to_another_size():
    evaluate, *_ = quadratic()
    small = Adam(tf.fill(SHAPE, tf.constant(128.0, "float64")), evaluate)
    small.step()
    large = Adam(tf.fill((1, 6, 8, 3), tf.constant(128.0, "float64")), evaluate)
    large.warm_start(small)
    assert int(large.age) == 1 and int(large.steps) == 0
    assert float(tf.reduce_mean(large.momentum)) == pytest.approx(
        float(tf.reduce_mean(small.momentum)), rel=0.1
    )


def test_adam_s_moments_stay_at_their_pixels_whatever_the_margin():
    def ramp(side, margin):
        across = (np.arange(-margin, side + margin) + 0.5) / side
        return tf.constant(np.tile(across[:, None, None], (1, 1, side + 2 * margin, 3)))

    small, large = (
        Adam(tf.zeros((1, side, side, 3), tf.float64), None, margin=4)
        for side in (16, 32)
    )
    small.momentum = ramp(16, 4)
    large.warm_start(small)
    middle = large.momentum[:, 5:-5, 5:-5]  # a ramp's mirror image is none
    np.testing.assert_allclose(middle, ramp(32, -1), atol=1e-6)


@pytest.mark.parametrize("kind", [LBFGS, SMOOTH, Adam])
def test_compiled_by_xla_a_step_is_one_call_with_the_same_result(kind):
    evaluate, _, _, seen = quadratic()
    start = tf.fill(SHAPE, tf.constant(128.0, "float64"))
    plain, compiled = kind(start, evaluate), kind(start, evaluate, jit_compile=True)
    for _ in range(6):
        plain.step()
    before = len(seen)
    for _ in range(6):
        compiled.step()
    # Python ran at the start, and in tracing: with no pairs, then with some.
    assert len(seen) - before <= 3
    assert compiled.evaluations == plain.evaluations == 7
    np.testing.assert_allclose(compiled.image, plain.image, rtol=1e-9)
    np.testing.assert_allclose(compiled.terms, plain.terms, rtol=1e-6)

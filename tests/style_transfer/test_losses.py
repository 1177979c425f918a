"""The losses against float64 NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from gan_style.style_transfer.losses import (
    content_loss,
    gram_matrix,
    style_loss,
    total_variation_loss,
)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 7, 3)), rng.normal(size=(5, 7, 3))


def numpy_gram(x):
    flat = x.reshape(-1, x.shape[-1])
    return flat.T @ flat


def test_content_is_the_mean_squared_difference(pair):
    a, b = pair
    assert float(content_loss(a, b)) == pytest.approx(np.mean((a - b) ** 2), rel=1e-12)


def test_gram_holds_all_dot_products(pair):
    np.testing.assert_allclose(gram_matrix(pair[0]), numpy_gram(pair[0]), rtol=1e-12)


def test_gram_of_a_batch_is_one_for_each(pair):
    got = gram_matrix(np.stack(pair))
    np.testing.assert_allclose(got[1], numpy_gram(pair[1]), rtol=1e-12)


def test_style_has_the_papers_normalisation(pair):
    a, b = pair
    difference = ((numpy_gram(a) - numpy_gram(b)) ** 2).sum()
    expected = difference / (4 * 3**2 * 35**2)
    assert float(style_loss(a, b)) == pytest.approx(expected, rel=1e-12)


def test_style_does_not_care_where_a_texture_lies_or_how_often(pair):
    a = pair[0]
    shuffled = np.random.default_rng(1).permutation(a.reshape(-1, 3)).reshape(7, 5, 3)
    assert float(style_loss(a, shuffled)) == pytest.approx(0, abs=1e-24)
    assert float(style_loss(a, np.tile(a, (2, 3, 1)))) == pytest.approx(0, abs=1e-24)


def test_total_variation_sums_every_pair_of_neighbours(pair):
    a = pair[0]
    down, right = np.diff(a, axis=0), np.diff(a, axis=1)
    expected = (down**2).sum() + (right**2).sum()
    assert float(total_variation_loss(a)) == pytest.approx(expected, rel=1e-12)
    assert float(total_variation_loss(a[None])) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("power", [0.5, 0.75, 1.25])
def test_total_variation_raised_to_a_power(pair, power):
    a = pair[0]
    squares = np.diff(a, axis=0)[:, :-1] ** 2 + np.diff(a, axis=1)[:-1] ** 2
    expected = squares**power if power > 1 else (squares + 1) ** power - 1
    got = float(total_variation_loss(a, power))
    assert got == pytest.approx(expected.sum(), rel=1e-12)


def test_total_variation_of_a_flat_image_has_no_slope_at_any_power():
    flat = tf.fill((4, 4, 3), 7.0)
    with tf.GradientTape() as tape:
        tape.watch(flat)
        loss = total_variation_loss(flat, 0.5)
    assert float(loss) == 0
    assert not np.any(tape.gradient(loss, flat))


def test_half_a_power_spares_an_edge_and_squares_do_not():
    ramp = np.tile(np.linspace(0, 200, 9), (9, 1))[..., None]
    edge = np.where(ramp < 100, 0.0, 200.0)
    assert total_variation_loss(edge, 0.5) < 1.05 * total_variation_loss(ramp, 0.5)
    assert total_variation_loss(edge) > 7 * total_variation_loss(ramp)


def test_losses_of_bfloat16_activations_are_summed_in_float32():
    x = tf.cast(tf.fill((64, 64, 1), 1.0), tf.bfloat16)
    assert gram_matrix(x).dtype == tf.float32
    assert float(gram_matrix(x)[0, 0]) == 4096
    assert content_loss(x, x).dtype == total_variation_loss(x).dtype == tf.float32


def test_content_refuses_images_of_two_sizes(pair):
    with pytest.raises(ValueError, match="combination.*Resize"):
        content_loss(pair[0], pair[1][:4])

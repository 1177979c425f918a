"""Colours: statistics by NumPy, luma by hand."""

import numpy as np
import pytest

from gan_style.style_transfer.colours import luminance, match_colours, with_colours_of


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    one = rng.normal([120, 140, 90], [9, 4, 14], (30, 40, 3))
    return one, rng.normal([150, 90, 120], 8, (20, 25, 3)) @ mixing() + 30


def mixing():
    return np.array([[0.6, 0.2, 0.1], [0.1, 0.7, 0.1], [0.0, 0.2, 0.6]])


def test_luminance_is_the_luma_in_three_channels():
    got = luminance(np.array([[[255, 0, 0], [0, 255, 0], [10, 10, 10]]], "uint8"))
    expected = [0.299 * 255, 0.587 * 255, 10]
    for channel in range(3):
        np.testing.assert_allclose(got[0, :, channel], expected, rtol=1e-6)


def test_matched_colours_have_the_wanted_mean_and_covariance(images):
    image, source = images
    got = match_colours(image, source).reshape(-1, 3).astype("float64")
    wanted = source.reshape(-1, 3)
    np.testing.assert_allclose(got.mean(0), wanted.mean(0), atol=0.01)
    np.testing.assert_allclose(np.cov(got.T), np.cov(wanted.T), rtol=1e-3, atol=0.05)


def test_an_image_that_has_the_colours_already_is_left_alone(images):
    image = images[0]
    np.testing.assert_allclose(match_colours(image, image), image, atol=1e-3)


def test_brightness_is_of_one_and_colour_of_the_other(images):
    image, source = images[0][:20, :25], images[1]
    got = with_colours_of(image, source)
    luma = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(got @ luma, image @ luma, atol=0.2)
    # Colour: what differs between the channels (up to the table's three digits).
    np.testing.assert_allclose(
        got[..., 0] - got[..., 2], source[..., 0] - source[..., 2], atol=0.2
    )


def test_an_image_keeps_its_own_colours(images):
    image = images[0]
    np.testing.assert_allclose(with_colours_of(image, image), image, atol=1e-3)


@pytest.mark.parametrize("function", [match_colours, with_colours_of])
def test_the_result_stays_an_image(function):
    black, white = np.zeros((4, 4, 3)), np.full((4, 4, 3), 255.0)
    noisy = np.random.default_rng(0).uniform(0, 255, (4, 4, 3))
    for image in (black, white, noisy):
        got = function(image, noisy)
        assert got.dtype == np.float32 and np.isfinite(got).all()
        assert got.min() >= 0 and got.max() <= 255

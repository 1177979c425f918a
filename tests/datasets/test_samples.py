"""The drawn images: the same for the same seed, true pairs, and what they claim."""

import colorsys

import numpy as np
import pytest
from scipy import ndimage

from gan_style import samples


def hue_of_the_most_vivid(image, share=0.15):
    """Mean hue in degrees of the most saturated pixels, from 0 for red."""
    flat = image.reshape(-1, 3) / 255
    vivid = flat.max(1) - flat.min(1)
    chosen = flat[np.argsort(vivid)[-int(share * len(flat)) :]]
    turns = [2j * np.pi * colorsys.rgb_to_hsv(*pixel)[0] for pixel in chosen]
    return float(np.degrees(np.angle(np.exp(turns).mean())))


@pytest.mark.parametrize("kind", ["apple", "orange"])
@pytest.mark.parametrize("size", [64, 100, 256])
def test_fruit_has_the_size_asked_for(kind, size):
    image = samples.fruit(kind, 3, size)
    assert image.shape == (size, size, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("kind", ["apple", "orange"])
def test_fruit_depends_on_nothing_but_its_arguments(kind):
    first = samples.fruit(kind, 5)
    samples.fruit(kind, 6)
    np.testing.assert_array_equal(samples.fruit(kind, 5), first)
    assert (samples.fruit(kind, 6) != first).mean() > 0.5


def test_apples_and_oranges_of_a_seed_are_one_scene():
    for seed in range(12):
        apple, orange = samples.fruit("apple", seed), samples.fruit("orange", seed)
        same = (apple == orange).all(-1)
        assert 0.4 < same.mean() < 0.95, seed
        # The edge of the image is background, which does not depend on the kind.
        assert same[:2].all() and same[:, :2].all() and same[:, -2:].all()


@pytest.mark.parametrize("seed", range(4))
def test_an_oranges_pores_lie_where_the_apples_do_and_are_deeper(seed):
    apple, orange = samples.fruit("apple", seed), samples.fruit("orange", seed)
    skin = (orange[..., 0] > 120) & (orange[..., 2] < 90)
    skin &= (apple[..., 0] > 80) & (apple[..., 1] < 60)  # no highlight
    skin = ndimage.binary_erosion(skin, iterations=4)
    of_apple, of_orange = (
        (light - ndimage.gaussian_filter(light, 2))[skin]
        for light in (fruit.mean(-1) for fruit in (apple, orange))
    )
    assert np.corrcoef(of_apple, of_orange)[0, 1] > 0.4
    assert of_orange.std() > 1.2 * of_apple.std()


def test_apples_are_red_and_oranges_orange():
    apples = [hue_of_the_most_vivid(samples.fruit("apple", seed)) for seed in range(9)]
    oranges = [
        hue_of_the_most_vivid(samples.fruit("orange", seed)) for seed in range(9)
    ]
    assert max(np.abs(apples)) < 16
    assert 20 < min(oranges) and max(oranges) < 40


def test_a_scene_looks_alike_at_every_size():
    small = samples.fruit("orange", 2, 64).astype(float)
    large = samples.fruit("orange", 2, 256).astype(float)
    shrunk = large.reshape(64, 4, 64, 4, 3).mean((1, 3))
    assert np.abs(shrunk - small).mean() < 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pear", 0), "kind is 'pear', but must be 'apple' or 'orange'"),
        (("apple", -1), "seed is -1"),
        (("apple", 0.5), "seed is 0.5"),
        (("apple", 0, 8), "size is 8"),
    ],
)
def test_fruit_says_what_it_cannot_draw(arguments, message):
    with pytest.raises(ValueError, match=message):
        samples.fruit(*arguments)


@pytest.mark.parametrize("kind", ["photograph", "painting"])
@pytest.mark.parametrize("size", [64, 100, 256])
def test_landscape_has_the_size_asked_for(kind, size):
    image = samples.landscape(kind, 3, size)
    assert image.shape == (size, size, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("kind", ["photograph", "painting"])
def test_landscape_depends_on_nothing_but_its_arguments(kind):
    first = samples.landscape(kind, 5)
    samples.landscape(kind, 6)
    np.testing.assert_array_equal(samples.landscape(kind, 5), first)
    assert (samples.landscape(kind, 6) != first).mean() > 0.5


def test_a_painting_keeps_the_motif_of_its_photograph():
    size, light, blur = 64, np.array([0.30, 0.59, 0.11]), 8

    def forms(kind, seed):
        grey = samples.landscape(kind, seed, size) @ light
        grey = grey.reshape(size // blur, blur, size // blur, blur).mean((1, 3)).ravel()
        return (grey - grey.mean()) / grey.std()

    photographs = np.array([forms("photograph", seed) for seed in range(12)])
    paintings = np.array([forms("painting", seed) for seed in range(12)])
    likeness = photographs @ paintings.T / photographs.shape[1]
    assert (likeness.argmax(1) == np.arange(12)).all()
    assert likeness.diagonal().min() > 0.75


def test_paintings_are_lighter_in_the_darks_and_rougher_than_photographs():
    pairs = [
        [samples.landscape(kind, seed) @ np.ones(3) / 3 for seed in range(8)]
        for kind in ("photograph", "painting")
    ]
    photographs, paintings = np.array(pairs)
    assert np.percentile(paintings, 5) > np.percentile(photographs, 5) + 20
    steps = [np.median(np.abs(np.diff(p, axis=2))) for p in (photographs, paintings)]
    assert steps[1] > 1.3 * steps[0]


def test_the_photograph_keeps_its_shape():
    assert samples.photograph().shape == (300, 451, 3)
    assert samples.photograph(150).shape == (100, 150, 3)
    assert samples.photograph(150).dtype == np.uint8


def test_paintings_differ_by_seed_and_are_rich_at_several_scales():
    first, second = samples.painting(128), samples.painting(128, seed=1)
    np.testing.assert_array_equal(first, samples.painting(128))
    assert (first != second).mean() > 0.5
    grey = first.mean(-1)
    for scale in (1, 2, 4, 8, 16):
        blocks = grey.reshape(128 // scale, scale, 128 // scale, scale).mean((1, 3))
        assert np.abs(np.diff(blocks, axis=0)).mean() > 8, scale


@pytest.mark.parametrize(
    ("name", "arguments", "mean"),
    [
        ("fruit", ("apple", 11, 64), (136.67, 84.42, 76.23)),
        ("fruit", ("orange", 11, 64), (163.22, 121.11, 73.82)),
        ("landscape", ("photograph", 11, 64), (117.73, 139.35, 142.85)),
        ("landscape", ("painting", 11, 64), (166.20, 186.89, 154.81)),
        ("painting", (64, 11), (115.90, 125.28, 129.56)),
    ],
)
def test_images_are_those_of_other_machines(name, arguments, mean):
    image = getattr(samples, name)(*arguments)
    np.testing.assert_allclose(image.mean((0, 1)), mean, atol=0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: samples.landscape("sketch", 0), "must be 'photograph' or 'paint"),
        (lambda: samples.landscape("painting", True), "seed is True"),
        (lambda: samples.photograph(3.5), "size is 3.5"),
        (lambda: samples.painting(8), "size is 8"),
        (lambda: samples.painting(64, seed=-1), "seed is -1"),
    ],
)
def test_other_samples_say_what_they_cannot_draw(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""StyleTransfer from end to end, on small images and random features."""

import keras
import numpy as np
import pytest

from gan_style.style_transfer.colours import luminance
from gan_style.style_transfer.transfer import StyleTransfer
from gan_style.utils.images import save_image

RNG = np.random.default_rng(0)
CONTENT = RNG.integers(0, 256, (24, 32, 3), dtype="uint8")
PAINTING = RNG.integers(0, 256, (20, 20, 3), dtype="uint8")
OTHER = np.tile(np.linspace(0, 255, 28, dtype="uint8")[:, None], (22, 1, 3))


def transfer(content=CONTENT, styles=PAINTING, **options):
    keras.utils.set_random_seed(0)
    options = {
        "content_layers": ["relu1_2"],
        "style_layers": ["relu1_1"],
        "features": {"weights": None, "backbone": "vgg16"},
        **options,
    }
    return StyleTransfer(content, styles, **options)


def run(made, steps=3, **options):
    return made.run(steps, progress=False, **options)


@pytest.fixture(scope="module")
def painted():
    return run(transfer(), scales=[16, 32])


def test_the_result_has_the_contents_size_and_a_history_of_all_losses(painted):
    assert painted.image.shape == (24, 32, 3) and painted.image.dtype == np.uint8
    history = painted.history
    assert {len(values) for values in history.values()} == {6}
    assert list(zip(history["height"], history["width"], strict=True))[2:4] == [
        (12, 16),
        (24, 32),
    ]
    assert history["seconds"] == sorted(history["seconds"])
    assert history["evaluations"] == sorted(history["evaluations"])


def test_the_same_seed_paints_the_same_pixels_and_another_others(painted):
    again = run(transfer(), scales=[16, 32])
    np.testing.assert_array_equal(again.image, painted.image)
    other = run(transfer(seed=1), scales=[16, 32])
    assert (other.image != painted.image).any()


def test_what_is_painted_beyond_the_border_is_cut_off(painted):
    without = run(transfer(), scales=[16, 32], margin=0)
    assert without.history["height"] == painted.history["height"]
    assert without.image.shape == painted.image.shape
    assert (without.image != painted.image).any()


@pytest.mark.parametrize("margin", [0, 3, 99])
def test_without_a_step_the_margin_leaves_no_trace(margin):
    made = transfer()
    images = []

    class First(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            images.append(self.model.image())

    made.run(1, [32], initial=OTHER, margin=margin, progress=False, callbacks=[First()])
    expected = made.start(OTHER, 32)[0].numpy()
    np.testing.assert_array_equal(images[0], np.round(expected).astype("uint8"))


@pytest.mark.parametrize("optimizer", ["smooth", "lbfgs", "adam"])
def test_the_loss_falls(optimizer):
    history = run(transfer(), 20, optimizer=optimizer, scales=[32]).history
    assert history["total"][-1] < 0.7 * history["total"][0]


@pytest.mark.parametrize("optimizer", ["smooth", "lbfgs", "adam"])
def test_compiled_by_xla_the_result_is_the_same_to_rounding(optimizer):
    plain, compiled = (
        run(transfer(), optimizer=optimizer, scales=[16, 32], jit_compile=xla)
        for xla in (False, True)
    )
    np.testing.assert_allclose(
        compiled.history["total"], plain.history["total"], rtol=1e-4
    )
    difference = compiled.image.astype(int) - plain.image
    assert np.abs(difference).max() <= 1  # rounding to whole levels


def test_the_total_is_the_weighted_sum():
    made = transfer(content_weight=2.0, style_weight=3.0, total_variation_weight=0.5)
    history = run(made, scales=[32]).history
    expected = (
        2 * np.array(history["content"])
        + 3 * np.array(history["style"])
        + 0.5 * np.array(history["total_variation"])
    )
    np.testing.assert_allclose(history["total"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("initial", "default"), [("content", "smooth"), ("noise", "lbfgs")]
)
def test_from_noise_the_default_is_plain_lbfgs(initial, default):
    named, unnamed = (
        run(transfer(), 2, initial=initial, scales=[32], **options).image
        for options in ({"optimizer": default}, {})
    )
    np.testing.assert_array_equal(named, unnamed)
    other = {"smooth": "lbfgs", "lbfgs": "smooth"}[default]
    options = {"initial": initial, "scales": [32], "optimizer": other}
    assert (run(transfer(), 2, **options).image != named).any()


def test_strength_0_is_the_photograph():
    result = run(transfer(strength=0), 2, scales=[32])
    np.testing.assert_array_equal(result.image, CONTENT)


def test_more_strength_comes_nearer_to_the_style_and_leaves_the_content():
    weak, strong = (
        run(transfer(strength=strength), 20, scales=[32]).history
        for strength in (0.1, 0.9)
    )
    assert strong["style"][-1] < weak["style"][-1]
    assert strong["content"][-1] > weak["content"][-1]


def test_strength_1_forgets_the_content():
    made = transfer(strength=1)
    assert made.objective().weights.content_weight == 0


def test_there_is_no_image_before_the_run():
    with pytest.raises(ValueError, match=r"image.*run\(\)"):
        transfer().image()


def test_blend_mixes_the_gram_matrices():
    def gram(*styles, **options):
        made = transfer(styles=list(styles), **options)
        return made.objective().targets.grams["relu1_1"].numpy()

    both = gram(PAINTING, OTHER, blend=[3, 1])
    np.testing.assert_allclose(
        both, 0.75 * gram(PAINTING) + 0.25 * gram(OTHER), rtol=1e-5
    )


def test_a_mask_keeps_each_style_to_its_region():
    left = np.zeros((6, 8))
    left[:, :4] = 1
    red, blue = (np.full((16, 16, 3), colour) for colour in ([200, 0, 0], [0, 0, 200]))
    result = run(
        transfer(styles=[red, blue], masks=[left, 1 - left], strength=1.0),
        30,
        scales=[32],
    )
    halves = result.image[:, :12].mean((0, 1)), result.image[:, 20:].mean((0, 1))
    assert halves[0][0] > halves[0][2] + 30 and halves[1][2] > halves[1][0] + 30


def test_luminance_keeps_the_photographs_colours():
    flat = np.full((24, 32, 3), [180, 120, 60], "uint8")
    result = run(transfer(flat, colours="luminance", strength=0.5), scales=[32])
    red, green, blue = np.moveaxis(result.image.astype(int), -1, 0)
    inside = (result.image.min(-1) > 0) & (result.image.max(-1) < 255)
    assert inside.mean() > 0.5
    assert np.abs(red - green - 60)[inside].max() <= 2
    assert np.abs(green - blue - 60)[inside].max() <= 2
    assert luminance(result.image)[..., 0].std() > 1


def test_match_recolours_the_styles():
    made = transfer(colours="match")
    got = made.styles[0].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(got, CONTENT.reshape(-1, 3).mean(0), atol=6)


@pytest.mark.parametrize("optimizer", ["smooth", "lbfgs", "adam"])
def test_a_run_in_tiles_paints_what_the_whole_paints(optimizer):
    options = {"optimizer": optimizer, "scales": [32]}
    whole = run(transfer(), 2, **options).image.astype(int)
    tiled = run(transfer(), 2, tile_size=16, **options).image.astype(int)
    assert np.abs(tiled - whole).max() <= 1


def test_a_run_has_its_own_tile_size(painted):
    made = transfer()
    tiled = run(made, scales=[16, 32], tile_size=16)
    assert tiled.history["total"] == pytest.approx(painted.history["total"], rel=1e-4)


def test_images_to_start_with():
    made = transfer()
    np.testing.assert_array_equal(made.start(OTHER, 32).shape, (1, 24, 32, 3))
    noise = made.start("noise", 32).numpy()
    assert noise.min() >= 0 and noise.max() <= 255 and noise.std() > 60
    near = made.start("content", 32).numpy()[0] - CONTENT
    assert 5 < near.std() < 25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"content": CONTENT[None]}, r"content.*\(1, 24, 32, 3\).*RGB"),
        ({"content": CONTENT / 255.0}, r"content.*Multiply by 255"),
        ({"content": CONTENT * 2.0}, r"content.*\[0, 255\]"),
        ({"content": CONTENT * np.nan}, r"content.*\[0, 255\]"),
        ({"styles": []}, "styles.*at least one"),
        ({"styles": [PAINTING, "x.jpg"]}, r"styles\[1\]"),
        ({"masks": [None, None]}, r"number of styles, of masks.*\(1, 2, None\)"),
        ({"masks": [np.full((2, 2), 3.0)]}, r"masks\[0\].*\[0, 1\]"),
        ({"masks": [None], "blend": [1]}, "masks or blend"),
        ({"blend": [1, 2]}, "blend"),
        ({"blend": [-1]}, "blend"),
        ({"strength": 1.5}, "strength.*1.5.*from 0 to 1"),
        ({"strength": float("nan")}, "strength"),
        ({"content_weight": 1.0}, "all three or none"),
        ({"colours": "grey"}, "colours.*'grey'.*luminance"),
        ({"size": 0}, "size.*0"),
        ({"size": 31.5}, "size.*31.5"),
        ({"seed": -1}, "seed.*-1"),
        ({"style_layers": []}, r"style_layers is \[\], but must be the names"),
        ({"style_layers": ["relu9_1"]}, "relu9_1"),
        ({"style_scale": 0}, "style_scale"),
    ],
)
def test_what_cannot_be_used_names_itself(options, message):
    with pytest.raises(ValueError, match=message):
        transfer(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "sgd"}, "optimizer.*'sgd'.*lbfgs"),
        ({"scales": [16, 24]}, "scales.*32"),
        ({"scales": [16, 32], "steps": [1]}, "scales, steps"),
        ({"steps": 0}, "steps is 0.*at least 1"),
        ({"initial": "black"}, "initial.*'black'.*'noise'"),
        ({"initial": CONTENT[None]}, "initial.*RGB"),
        ({"save_every": 0}, "save_every"),
        ({"tile_size": 0}, "tile_size.*0"),
        ({"margin": -1}, "margin.*-1"),
    ],
)
def test_runs_refuse_what_they_cannot_do(options, message):
    with pytest.raises(ValueError, match=message):
        transfer().run(**{"steps": 1, "progress": False, **options})


def test_a_tilde_is_the_home_folder_in_every_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save_image(tmp_path / "start.png", OTHER)
    made = transfer()
    first = run(made, 1, scales=[32], initial="~/start.png", checkpoint="~/run.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.npz", "start.png"]
    second = run(made, 1, scales=[32], branch_from="~/run.npz")
    assert second.history["total"][0] < first.history["total"][0]


@pytest.mark.parametrize("alpha", [False, True])
def test_grey_images_are_painted_like_their_rgb(alpha):
    grey = CONTENT[..., :2].copy()
    grey[..., 1] = 255
    given = grey if alpha else grey[..., 0]
    rgb = np.repeat(grey[..., :1], 3, -1)
    images = [
        run(transfer(content, content), 1, scales=[32], initial=content).image
        for content in (given, rgb)
    ]
    np.testing.assert_array_equal(*images)


def test_a_size_that_the_layers_cannot_see_is_refused():
    tiny = transfer(CONTENT[:2, :2], content_layers=["relu3_1"])
    with pytest.raises(ValueError, match="size.*relu3_1"):
        run(tiny, 1, scales=[2])

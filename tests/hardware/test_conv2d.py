"""The layers' faster paths against Keras' own operations."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.bfloat16 import skip_without_bfloat16

from gan_style.hardware import conv2d
from gan_style.layers import Conv2D
from gan_style.models import (
    patch_discriminator,
    resnet_generator,
    unet_generator,
)

ON_CPU = not tf.config.list_physical_devices("GPU")
# Channels from which bfloat16 has a faster path.
WIDE = 64


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def pair(channels, *arguments, **options):
    """Our layer and Keras' with the same weights."""
    both = [kind(*arguments, **options) for kind in (Conv2D, keras.layers.Conv2D)]
    for layer in both:
        layer.build((None, None, None, channels))
        weights = [numbers(*w.shape, seed=i) for i, w in enumerate(layer.weights)]
        layer.set_weights(weights)
    return both


def result_and_gradients(layer, images, training=True):
    images = tf.convert_to_tensor(images)
    watched = [images, *(w.value for w in layer.trainable_weights)]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        result = tf.cast(layer(images, training=training), "float32")
        objective = tf.reduce_sum(tf.sin(0.1 * result))
    return [result, *tape.gradient(objective, watched)]


def operations(function, shape):
    graph = tf.function(function).get_concrete_function(tf.TensorSpec(shape)).graph
    return [operation.type for operation in graph.get_operations()]


class TestConv2DByRows:
    """Of a tall kernel and few filters."""

    @pytest.mark.parametrize("kernel_size", [7, (5, 3), (4, 2)])
    @pytest.mark.parametrize(
        "options", [{}, {"use_bias": False}, {"activation": "tanh"}]
    )
    @pytest.mark.parametrize("training", [True, False])
    def test_is_keras_convolution_with_its_gradients(
        self, kernel_size, options, training
    ):
        ours, theirs = pair(5, 3, kernel_size, **options)
        images = numbers(2, 9, 12, 5, seed=9)
        got = result_and_gradients(ours, images, training)
        wanted = result_and_gradients(theirs, images)
        assert len(got) == len(wanted)
        for mine, other in zip(got, wanted, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4)

    def test_sums_in_float32_under_bfloat16(self):
        skip_without_bfloat16()
        ours, theirs = pair(16, 3, 7, dtype="mixed_bfloat16")
        images = numbers(1, 20, 20, 16, seed=9)
        assert ours(images).dtype == "bfloat16"
        exact = pair(16, 3, 7)[1](images)
        errors = [
            np.abs(np.asarray(keras.ops.cast(layer(images), "float32")) - exact).mean()
            for layer in (ours, theirs)
        ]
        assert errors[0] < 1.5 * errors[1]

    def test_accepts_any_size_and_loads_from_a_file(self, tmp_path):
        images = keras.Input((None, None, 5))
        model = keras.Model(images, Conv2D(3, (7, 5))(images))
        assert model.output_shape == (None, None, None, 3)
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        images = numbers(1, 10, 11, 5)
        assert again(images).shape == (1, 4, 7, 3)
        np.testing.assert_array_equal(again(images), model(images))

    def test_ends_the_resnet_generator(self):
        layer = resnet_generator((8, 8, 3), 5, 1).get_layer("to_picture")
        found = operations(layer, (1, 14, 14, 5))
        assert found.count("Conv2D") == 2


@pytest.mark.skipif(not ON_CPU, reason="a path for CPUs")
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("frozen", [False, True])
def test_sizes_that_winograds_tiles_do_not_fit_are_padded_and_cut(padding, frozen):
    ours, keras_own = pair(128, 128, 3, padding=padding, activation="relu")
    images = numbers(1, 43, 38, 128)
    for layer in (ours, keras_own):
        layer.trainable = not frozen
    chosen = operations(lambda x: ours(x, training=True), images.shape)
    assert "Conv2D" not in chosen and "BatchMatMulV2" in chosen
    results = [result_and_gradients(layer, images) for layer in (ours, keras_own)]
    assert len(results[0]) == (2 if frozen else 4)
    for got, expected in zip(*results, strict=True):
        largest = np.abs(expected).max()
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5 * largest)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_bias": False},
        {"activation": "relu"},
        {"strides": 2, "padding": "same", "use_bias": False},
    ],
)
class TestConv2DInTraining:
    def test_errs_no_more_than_keras_under_bfloat16(self, monkeypatch, options):
        skip_without_bfloat16()
        monkeypatch.setattr(conv2d, "instruction_sets", lambda: {"avx512_bf16"})
        images = numbers(3, 9, 12, WIDE, seed=9)
        exact = result_and_gradients(pair(WIDE, WIDE, 3, **options)[1], images)
        ours, theirs = (
            result_and_gradients(layer, images)
            for layer in pair(WIDE, WIDE, 3, dtype="mixed_bfloat16", **options)
        )
        assert len(ours) == len(exact)
        for mine, other, true in zip(ours, theirs, exact, strict=True):
            assert mine.dtype == other.dtype
            errors = [np.linalg.norm(x - true) for x in (mine, other)]
            assert errors[0] <= 1.1 * errors[1] < 0.1 * np.linalg.norm(true)

    def test_float32_is_keras_convolution_to_the_bit(self, options):
        images = numbers(3, 9, 12, WIDE, seed=9)
        ours, theirs = (
            result_and_gradients(layer, images)
            for layer in pair(WIDE, WIDE, 3, **options)
        )
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine, other)

    @pytest.mark.parametrize("shape", [(1, 8, 8, WIDE), (None, None, None, WIDE)])
    @pytest.mark.parametrize(
        ("dtype", "sets", "products"),
        [
            ("mixed_bfloat16", {"avx512_bf16"}, ON_CPU),
            ("mixed_bfloat16", {"avx2"}, False),
            ("float32", {"avx512_bf16"}, False),
        ],
    )
    def test_multiplies_matrices_under_bfloat16_on_a_cpu(
        self, monkeypatch, options, dtype, sets, products, shape
    ):
        monkeypatch.setattr(conv2d, "instruction_sets", lambda: sets)
        layer = pair(WIDE, WIDE, 3, dtype=dtype, **options)[0]
        found = operations(functools.partial(result_and_gradients, layer), shape)
        assert found.count("MatMul") == products
        assert ("Conv2DBackpropFilter" in found) != products


@pytest.mark.parametrize(
    "options",
    [
        {"dilation_rate": 2, "padding": "same"},
        {"strides": (2, 1)},
        {"groups": 2},
        {"strides": 2, "filters": 2, "kernel_size": 7},
        {"padding": "same", "filters": 2, "kernel_size": 7},
    ],
)
def test_other_convolutions_are_keras(options):
    options = {"filters": WIDE, "kernel_size": 3, **options}
    images = numbers(1, 9, 9, WIDE)
    results = [result_and_gradients(layer, images) for layer in pair(WIDE, **options)]
    for mine, other in zip(*results, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_channels_first_is_left_to_keras():
    layer = Conv2D(3, 7, data_format="channels_first")
    assert layer.compute_output_shape((1, 2, 8, 9)) == (1, 3, 2, 3)
    assert layer.get_config()["data_format"] == "channels_first"
    layer.build((1, 2, 8, 9))
    assert conv2d.fast_conv2d(layer, numbers(1, 2, 8, 9), True) is None


@pytest.mark.parametrize(
    "build",
    [
        functools.partial(unet_generator, filters=32),
        functools.partial(resnet_generator, filters=32, blocks=1),
        functools.partial(patch_discriminator, filters=16),
    ],
    ids=["unet", "resnet", "discriminator"],
)
class TestOffSwitch:
    def test_without_faster_paths_results_and_gradients_are_the_same(
        self, monkeypatch, build
    ):
        errors = []
        for seed in range(3):
            keras.utils.set_random_seed(seed)
            network, images = build((32, 32, 3)), numbers(2, 32, 32, 3, seed=seed)
            results = []
            for switch in ("0", "1"):
                monkeypatch.setenv("GAN_STYLE_FAST_CPU", switch)
                trained = result_and_gradients(network, images)
                results.append([network(images), *trained])
            errors.append(
                [
                    np.abs(fast - plain).max() / np.abs(plain).max()
                    for plain, fast in zip(*results, strict=True)
                ]
            )
        # Where rounding turns the sign of a ReLU's input, the gradients are others:
        # that is the case for one seed in six.
        assert np.max(errors, axis=0)[:2].max() < 5e-5
        assert np.median(errors, axis=0).max() < 2e-4

    def test_switches_all_of_them(self, monkeypatch, build):
        network = build((32, 32, 3))
        run = functools.partial(result_and_gradients, network)
        monkeypatch.setenv("GAN_STYLE_FAST_CPU", "0")
        plain = operations(run, (2, 32, 32, 3))
        monkeypatch.setenv("GAN_STYLE_FAST_CPU", "1")
        fast = operations(run, (2, 32, 32, 3))
        assert {"FusedBatchNormV3", "BatchMatMulV2"}.isdisjoint(plain)
        assert "FusedBatchNormV3" in fast
        has_winograd = network.name != "patch_discriminator" and ON_CPU
        assert ("BatchMatMulV2" in fast) == has_winograd


class TestIm2col:
    def gradients(self, function, images, kernel):
        with tf.GradientTape() as tape:
            tape.watch((images, kernel))
            result = function(images, kernel)
            objective = tf.reduce_sum(tf.sin(result))
        return [result, *tape.gradient(objective, (images, kernel))]

    @pytest.mark.parametrize("shape", [(3, 9, 12, 5), (1, 4, 4, 5), (2, 3, 7, 5)])
    @pytest.mark.parametrize("size", [(3, 3), (1, 2), (3, 4)])
    @pytest.mark.parametrize("place", [(1, "VALID"), (1, "SAME"), (2, "SAME")])
    @pytest.mark.parametrize("static", [True, False])
    def test_has_the_gradients_of_tensorflow(self, shape, size, place, static):
        images = tf.constant(numbers(*shape).astype("float64"))
        kernel = tf.constant(numbers(*size, 5, 6, seed=1).astype("float64"))
        spec = tf.TensorSpec(shape if static else (None, None, None, 5), tf.float64)
        ours, theirs = (
            tf.function(
                functools.partial(self.gradients, lambda x, k, f=f: f(x, k, *place)),
                input_signature=[spec, tf.TensorSpec(kernel.shape, tf.float64)],
            )(images, kernel)
            for f in (conv2d.conv2d_by_im2col, tf.nn.conv2d)
        )
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-12)

    def test_compiles(self):
        images = tf.constant(numbers(2, 8, 10, 5))
        kernel = tf.constant(numbers(4, 4, 5, 6, seed=1))
        convolve = functools.partial(conv2d.conv2d_by_im2col, stride=2, padding="SAME")
        step = functools.partial(self.gradients, convolve)
        compiled = tf.function(step, jit_compile=True)(images, kernel)
        for mine, other in zip(compiled, step(images, kernel), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4)

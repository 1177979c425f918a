"""The convolution with fewer multiplications against TensorFlow's own."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import correlate

from gan_style.hardware import conv2d, winograd
from gan_style.hardware.devices import instruction_sets
from gan_style.models import resnet_generator


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def plain(images, kernel):
    return tf.nn.conv2d(images, kernel, 1, "VALID")


def upsampled(images, kernel):
    images = tf.repeat(tf.repeat(images, 2, axis=1), 2, axis=2)
    return tf.nn.conv2d(images, kernel, 1, "SAME")


def ours(tile_size):
    return functools.partial(winograd.convolve, tile_size=tile_size)


def result_and_gradients(function, images, kernel):
    with tf.GradientTape() as tape:
        tape.watch((images, kernel))
        result = function(images, kernel)
    waves = tf.sin(tf.cast(tf.range(tf.size(result)) % 1009, "float32"))
    upstream = tf.cast(tf.reshape(waves, tf.shape(result)), result.dtype)
    return [result, *tape.gradient(result, (images, kernel), upstream)]


def assert_same(step, exactly, images, kernel):
    """That a step gives the result and both gradients of a function, in float64."""
    wanted = result_and_gradients(exactly, images, kernel)
    for mine, other in zip(step(images, kernel), wanted, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-11, atol=1e-11)


def errors_of(functions, exactly, images, kernel):
    """Of result and gradients, relative; one row for each function."""
    exact = result_and_gradients(
        exactly, tf.cast(images, tf.float64), tf.cast(kernel, tf.float64)
    )
    return [
        [
            np.linalg.norm(tf.cast(x, tf.float64) - true) / np.linalg.norm(true)
            for x, true in zip(
                result_and_gradients(function, images, kernel), exact, strict=True
            )
        ]
        for function in functions
    ]


@pytest.mark.parametrize("tile_size", [2, 4])
class TestConvolve:
    @pytest.mark.parametrize("shape", [(3, 10, 18, 5), (1, 6, 6, 5), (2, 14, 6, 1)])
    def test_has_the_result_and_the_gradients_of_tensorflow(self, tile_size, shape):
        images = tf.constant(numbers(*shape))
        kernel = tf.constant(numbers(3, 3, shape[-1], 6, seed=1))
        step = functools.partial(result_and_gradients, ours(tile_size))
        assert_same(step, plain, images, kernel)

    def test_accepts_batches_of_any_size(self, tile_size):
        signature = [
            tf.TensorSpec((None, 10, 18, 5), tf.float64),
            tf.TensorSpec((3, 3, 5, 6), tf.float64),
        ]
        step = functools.partial(result_and_gradients, ours(tile_size))
        step = tf.function(step, input_signature=signature)
        kernel = tf.constant(numbers(3, 3, 5, 6, seed=1))
        for batch in (1, 3):
            images = tf.constant(numbers(batch, 10, 18, 5))
            assert_same(step, plain, images, kernel)

    def test_compiles(self, tile_size):
        images = tf.constant(numbers(2, 10, 18, 5).astype("float32"))
        kernel = tf.constant(numbers(3, 3, 5, 6, seed=1).astype("float32"))
        step = functools.partial(result_and_gradients, ours(tile_size))
        compiled = tf.function(step, jit_compile=True)(images, kernel)
        for mine, other in zip(compiled, step(images, kernel), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4)


def skip_unless_used(dtype):
    """bfloat16 is convolved so with AVX-512 alone; without it, it errs more."""
    if dtype == "bfloat16" and "avx512_bf16" not in instruction_sets():
        pytest.skip("no AVX-512 for bfloat16")


@pytest.mark.parametrize(
    ("tile_size", "dtype", "times"),
    [(2, "float32", 4), (4, "float32", 6), (2, "bfloat16", 3), (4, "bfloat16", 8)],
)
def test_rounding_errs_as_much_more_as_is_said(tile_size, dtype, times):
    skip_unless_used(dtype)
    images = np.maximum(numbers(2, 34, 34, 64), 0)
    kernel = 0.02 * numbers(3, 3, 64, 64, seed=1)
    images, kernel = (tf.cast(x, dtype) for x in (images, kernel))
    errors = errors_of((ours(tile_size), plain), plain, images, kernel)
    assert np.divide(*errors).max() < 1.5 * times
    assert np.max(errors[0]) < (3e-6 if dtype == "float32" else 0.04)


class TestUpsample:
    @pytest.mark.parametrize("shape", [(3, 6, 10, 5), (1, 2, 2, 5), (2, 8, 4, 1)])
    def test_has_the_result_and_the_gradients_of_two_layers(self, shape):
        images = tf.constant(numbers(*shape))
        kernel = tf.constant(numbers(4, 4, shape[-1], 6, seed=1))
        step = functools.partial(result_and_gradients, winograd.upsample)
        assert_same(step, upsampled, images, kernel)

    @pytest.mark.parametrize("jit_compile", [False, True])
    def test_accepts_batches_of_any_size(self, jit_compile):
        signature = [
            tf.TensorSpec((None, 4, 6, 5), tf.float64),
            tf.TensorSpec((4, 4, 5, 6), tf.float64),
        ]
        step = tf.function(
            functools.partial(result_and_gradients, winograd.upsample),
            input_signature=signature,
            jit_compile=jit_compile,
        )
        kernel = tf.constant(numbers(4, 4, 5, 6, seed=1))
        for batch in (1, 3):
            images = tf.constant(numbers(batch, 4, 6, 5))
            assert_same(step, upsampled, images, kernel)

    @pytest.mark.parametrize(("dtype", "times"), [("float32", 2), ("bfloat16", 3)])
    def test_rounding_errs_as_much_more_as_is_said(self, dtype, times):
        skip_unless_used(dtype)
        images = np.maximum(numbers(2, 16, 16, 64), 0)
        kernel = 0.02 * numbers(4, 4, 64, 64, seed=1)
        images, kernel = (tf.cast(x, dtype) for x in (images, kernel))
        errors = errors_of((winograd.upsample, upsampled), upsampled, images, kernel)
        assert np.divide(*errors).max() < 1.5 * times
        assert np.max(errors[0]) < (3e-6 if dtype == "float32" else 0.02)

    def test_its_one_dimensional_matrices_upsample_and_correlate(self):
        G, BT, AT = winograd.upsampling_transforms()
        pixels, taps = numbers(4), numbers(4, seed=1)
        got = AT @ ((G @ taps) * (BT @ pixels))
        # Two pixels, between one on each side that is half covered.
        wanted = correlate(np.repeat(pixels, 2)[1:], taps, "valid")
        np.testing.assert_allclose(got, wanted, rtol=1e-12)


class TestUpsampleIsFaster:
    @pytest.mark.parametrize(
        ("size", "filters", "dtype", "faster"),
        [
            ((8, 8), 64, "float32", True),
            ((8, 8), 32, "float32", False),
            ((8, 8), 32, "bfloat16", True),
            ((64, 64), 32, "bfloat16", False),
            ((64, 64), 64, "bfloat16", True),
            ((8, 8), 64, "float16", False),
            ((8, 7), 64, "float32", False),
            ((None, 8), 64, "float32", False),
        ],
    )
    def test_depends_on_sizes_and_precision(
        self, monkeypatch, size, filters, dtype, faster
    ):
        monkeypatch.setattr(conv2d, "instruction_sets", lambda: {"avx512_bf16"})
        shape, kernel = (None, *size, 256), (4, 4, 256, filters)
        assert conv2d.upsample_is_faster(shape, kernel, dtype) == faster

    @pytest.mark.parametrize("sets", [{"avx512_bf16", "amx_bf16"}, {"avx2"}, set()])
    def test_in_bfloat16_only_with_avx512_and_without_amx(self, monkeypatch, sets):
        monkeypatch.setattr(conv2d, "instruction_sets", lambda: sets)
        shape, kernel = (1, 8, 8, 256), (4, 4, 256, 128)
        assert not conv2d.upsample_is_faster(shape, kernel, "bfloat16")
        assert conv2d.upsample_is_faster(shape, kernel, "float32")


def test_the_one_dimensional_matrices_correlate():
    for tile_size in (2, 4):
        G, BT, AT = winograd.transforms(tile_size)
        pixels, taps = numbers(tile_size + 2), numbers(3, seed=1)
        got = AT @ ((G @ taps) * (BT @ pixels))
        np.testing.assert_allclose(got, correlate(pixels, taps, "valid"), rtol=1e-12)


class TestWinogradTileSize:
    KERNEL = (3, 3, 256, 256)

    @pytest.mark.parametrize(
        ("sides", "kernel", "dtype", "tile_size"),
        [
            ((34, 34), KERNEL, "float32", 4),
            ((66, 34), KERNEL, "bfloat16", 2),
            ((34, 34), (3, 3, 128, 128), "float32", 4),
            ((34, 34), (3, 3, 128, 128), "bfloat16", None),
            ((34, 34), (3, 3, 64, 256), "float32", None),
            ((27, 34), KERNEL, "float32", None),
            ((34, 31), KERNEL, "float32", None),
            ((34, 36), KERNEL, "bfloat16", 2),
            ((43, 87), KERNEL, "float32", 4),  # with pixels added, and cut off
            ((None, 34), KERNEL, "float32", None),
            ((36, 36), (5, 5, 256, 256), "float32", None),
            ((34, 34), KERNEL, "float16", None),
        ],
    )
    def test_depends_on_sizes_and_precision(
        self, monkeypatch, sides, kernel, dtype, tile_size
    ):
        monkeypatch.setattr(conv2d, "instruction_sets", lambda: {"avx512_bf16"})
        assert conv2d.winograd_tile_size(sides, kernel, dtype) == tile_size

    @pytest.mark.parametrize("sets", [{"avx512_bf16", "amx_bf16"}, {"avx2"}, set()])
    def test_in_bfloat16_only_with_avx512_and_without_amx(self, monkeypatch, sets):
        monkeypatch.setattr(conv2d, "instruction_sets", lambda: sets)
        sides = (34, 34)
        assert conv2d.winograd_tile_size(sides, self.KERNEL, "bfloat16") is None
        assert conv2d.winograd_tile_size(sides, self.KERNEL, "float32") == 4


@pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU")), reason="a path for CPUs"
)
class TestInTheGenerator:
    """Of 128 channels in its block, from which Winograd is used in float32."""

    @pytest.fixture(scope="class")
    def generator(self):
        return resnet_generator((32, 32, 3), 32, 1)

    def kinds(self, generator, training):
        step = tf.function(functools.partial(generator, training=training))
        graph = step.get_concrete_function(tf.TensorSpec((1, 32, 32, 3))).graph
        return [operation.type for operation in graph.get_operations()]

    def test_multiplies_less_in_training(self, generator):
        plain, fast = (self.kinds(generator, x) for x in (False, True))
        assert plain.count("Conv2D") - fast.count("Conv2D") == 2
        assert fast.count("BatchMatMulV2") > plain.count("BatchMatMulV2")

    def test_gives_the_same_image(self, generator):
        images = tf.constant(np.tanh(numbers(2, 32, 32, 3)).astype("float32"))
        trained = generator(images, training=True)
        np.testing.assert_allclose(trained, generator(images), atol=1e-5)

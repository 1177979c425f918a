"""The fast convolutions against Keras' own."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_style.hardware.im2col import convolve
from gan_style.image_conv import BlockConv2D, EncoderConv2D, ToPictureConv2D
from gan_style.models import (
    patch_discriminator,
    resnet_generator,
    unet_generator,
)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def pair(kernel_size, filters=3, channels=5, **options):
    """Ours and Keras' layer with the same weights."""
    both = [
        kind(filters, kernel_size, **options)
        for kind in (ToPictureConv2D, keras.layers.Conv2D)
    ]
    for layer in both:
        layer.build((None, None, None, channels))
    weights = [numbers(*w.shape, seed=i) for i, w in enumerate(both[0].weights)]
    for layer in both:
        layer.set_weights(weights)
    return both


def answer_and_gradients(layer, images):
    watched = [tf.constant(images), *(w.value for w in layer.trainable_weights)]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        answer = layer(watched[0])
        objective = tf.reduce_sum(tf.sin(answer))
    return [answer, *tape.gradient(objective, watched)]


@pytest.mark.parametrize("kernel_size", [7, (1, 3), (4, 2)])
@pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"activation": "tanh"}])
def test_is_keras_convolution_with_its_gradients(kernel_size, options):
    ours, theirs = pair(kernel_size, **options)
    images = numbers(2, 9, 12, 5, seed=9)
    got = answer_and_gradients(ours, images)
    wanted = answer_and_gradients(theirs, images)
    assert len(got) == len(wanted)
    for mine, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4)


def test_sums_in_float32_under_bfloat16():
    ours, theirs = pair(7, channels=16, dtype="mixed_bfloat16")
    images = numbers(1, 20, 20, 16, seed=9)
    answer = ours(images)
    assert answer.dtype == "bfloat16"
    exact = pair(7, channels=16)[1](images)
    errors = [
        np.abs(np.asarray(keras.ops.cast(layer(images), "float32")) - exact).mean()
        for layer in (ours, theirs)
    ]
    assert errors[0] < 1.5 * errors[1]


def test_takes_any_size_and_comes_back_from_a_file(tmp_path):
    images = keras.Input((None, None, 4))
    model = keras.Model(images, ToPictureConv2D(3, (7, 5))(images))
    assert model.output_shape == (None, None, None, 3)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    images = numbers(1, 10, 11, 4)
    assert again(images).shape == (1, 4, 7, 3)
    np.testing.assert_array_equal(again(images), model(images))


def test_ends_the_resnet_generator():
    layer = resnet_generator((8, 8, 3), 2, 1).get_layer("to_picture")
    assert isinstance(layer, ToPictureConv2D)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strides": 2}, r"strides is \(2, 2\), but must be \(1, 1\)"),
        ({"padding": "same"}, "padding is 'same', but must be 'valid'"),
        ({"dilation_rate": 2}, "dilation_rate is"),
        ({"data_format": "channels_first"}, "data_format is 'channels_first'"),
    ],
)
def test_refuses_what_it_does_not_do(options, words):
    with pytest.raises(ValueError, match=words):
        ToPictureConv2D(3, 7, **options)


# Wide enough for the shorter way under bfloat16.
WIDE = 64


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (BlockConv2D, {}),
        (BlockConv2D, {"use_bias": False}),
        (BlockConv2D, {"activation": "relu"}),
        (EncoderConv2D, {}),
        (EncoderConv2D, {"strides": 2, "padding": "same", "use_bias": False}),
    ],
)
class TestShorterWay:
    def layers(self, kind, dtype, **options):
        both = [
            layer(WIDE, 3, dtype=dtype, **options)
            for layer in (kind, keras.layers.Conv2D)
        ]
        for layer in both:
            layer.build((None, None, None, WIDE))
        weights = [numbers(*w.shape, seed=i) for i, w in enumerate(both[0].weights)]
        for layer in both:
            layer.set_weights(weights)
        return both

    def gradients(self, layer, images):
        images = tf.convert_to_tensor(images)
        watched = [images, *(w.value for w in layer.trainable_weights)]
        with tf.GradientTape() as tape:
            tape.watch(watched)
            answer = layer(images, training=True)
            objective = tf.reduce_sum(tf.sin(0.1 * tf.cast(answer, "float32")))
        return [tf.cast(answer, "float32"), *tape.gradient(objective, watched)]

    def test_errs_no_more_than_keras_convolution_under_bfloat16(self, kind, options):
        images = numbers(3, 9, 12, WIDE, seed=9)
        exact = self.gradients(self.layers(kind, "float32", **options)[1], images)
        ours, theirs = (
            self.gradients(layer, images)
            for layer in self.layers(kind, "mixed_bfloat16", **options)
        )
        assert len(ours) == len(exact)
        for mine, other, true in zip(ours, theirs, exact, strict=True):
            assert mine.dtype == other.dtype
            errors = [np.linalg.norm(x - true) for x in (mine, other)]
            assert errors[0] <= 1.1 * errors[1] < 0.1 * np.linalg.norm(true)

    def test_float32_is_keras_convolution_to_the_bit(self, kind, options):
        images = numbers(3, 9, 12, WIDE, seed=9)
        ours, theirs = (
            self.gradients(x, images) for x in self.layers(kind, "float32", **options)
        )
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine, other)

    @pytest.mark.parametrize("shape", [(1, 8, 8, WIDE), (None, None, None, WIDE)])
    @pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
    def test_multiplies_matrices_in_training_under_bfloat16_on_a_cpu(
        self, kind, options, dtype, shape
    ):
        layer = self.layers(kind, dtype, **options)[0]
        step = tf.function(lambda images: self.gradients(layer, images))
        graph = step.get_concrete_function(tf.TensorSpec(shape)).graph
        kinds = [operation.type for operation in graph.get_operations()]
        cpu = not tf.config.list_logical_devices("GPU")
        products = cpu and dtype == "mixed_bfloat16"
        assert kinds.count("MatMul") == (1 if products else 0)
        assert ("Conv2DBackpropFilter" in kinds) != products


def test_an_encoder_may_have_what_only_keras_does():
    options = {"dilation_rate": 2, "padding": "same", "dtype": "mixed_bfloat16"}
    ours, theirs = (
        kind(WIDE, 3, kernel_initializer="ones", **options)
        for kind in (EncoderConv2D, keras.layers.Conv2D)
    )
    images = numbers(1, 9, 9, WIDE)
    np.testing.assert_array_equal(
        *(tf.cast(layer(images, training=True), "float32") for layer in (ours, theirs))
    )


class TestConvolve:
    def gradients(self, function, images, kernel):
        with tf.GradientTape() as tape:
            tape.watch((images, kernel))
            answer = function(images, kernel)
            objective = tf.reduce_sum(tf.sin(answer))
        return [answer, *tape.gradient(objective, (images, kernel))]

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
            for f in (convolve, tf.nn.conv2d)
        )
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-12)

    def test_compiles(self):
        images = tf.constant(numbers(2, 8, 10, 5))
        kernel = tf.constant(numbers(4, 4, 5, 6, seed=1))
        step = functools.partial(
            self.gradients, functools.partial(convolve, step=2, padding="SAME")
        )
        compiled = tf.function(step, jit_compile=True)(images, kernel)
        for mine, other in zip(compiled, step(images, kernel), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4)


class TestInNetworks:
    def test_makes_the_blocks_of_the_resnet_generator(self):
        generator = resnet_generator((8, 8, 3), 2, 1)
        for name in ("block_1_conv_1", "block_1_conv_2"):
            assert isinstance(generator.get_layer(name), BlockConv2D)

    @pytest.mark.parametrize(
        ("build", "name"),
        [
            (unet_generator, "down_4_conv"),
            (patch_discriminator, "patch_4_conv"),
            (resnet_generator, "down_2_conv"),
        ],
    )
    def test_makes_the_encoders(self, build, name):
        layer = build((16, 16, 3), 2).get_layer(name)
        assert isinstance(layer, EncoderConv2D)

    def test_refuses_what_it_cannot_do(self):
        with pytest.raises(ValueError, match="BlockConv2D: strides is .2, 2."):
            BlockConv2D(4, 3, strides=2)

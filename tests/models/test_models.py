"""The networks against the design's table and plain Keras layers."""

import functools
import re

import keras
import numpy as np
import pytest
from keras import layers

from gan_style.inference import translate
from gan_style.layers import InstanceNormalization, ReflectionPadding2D
from gan_style.models import (
    patch_discriminator,
    resnet_generator,
    unet_generator,
)


@functools.wraps(resnet_generator)
def short_resnet(*arguments, **options):
    """Two blocks say what nine would, and are built sooner."""
    return resnet_generator(*arguments, **{"blocks": 2, **options})


gated_unet = functools.wraps(unet_generator)(
    functools.partial(unet_generator, gate=True)
)
BUILDERS = [unet_generator, gated_unet, short_resnet, patch_discriminator]


def random_images(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


@pytest.mark.parametrize(
    ("build", "parameters", "output"),
    [
        (unet_generator, 1_544_707, (128, 128, 3)),
        (lambda: resnet_generator(filters=32), 2_847_939, (256, 256, 3)),
        (patch_discriminator, 693_793, (16, 16, 1)),
        (lambda: resnet_generator(), 11_372_931, (256, 256, 3)),
        (lambda: patch_discriminator(filters=64), 2_763_841, (16, 16, 1)),
    ],
)
def test_sizes_are_the_design_s(build, parameters, output):
    model = build()
    assert model.count_params() == parameters
    assert all(w.trainable for w in model.weights)
    assert model.output_shape == (None, *output)


@pytest.mark.parametrize(
    ("build", "shape", "output"),
    [
        (unet_generator, (32, 48, 1), (32, 48, 1)),
        (unet_generator, (16, 16, 3), (16, 16, 3)),
        (gated_unet, (16, 32, 3), (16, 32, 3)),
        (short_resnet, (8, 12, 4), (8, 12, 4)),
        (patch_discriminator, (16, 24, 3), (2, 3, 1)),
    ],
)
def test_known_and_unknown_sizes_give_the_same(build, shape, output):
    fixed = build(shape, 2)
    free = build((None, None, shape[-1]), 2)
    assert free.output_shape == (None, None, None, output[-1])
    free.set_weights(fixed.get_weights())
    x = random_images(2, *shape)
    got = fixed(x)
    assert got.shape == (2, *output)
    np.testing.assert_allclose(free(x), got, atol=1e-5)
    np.testing.assert_allclose(free.predict(x, verbose=0), got, atol=1e-5)


@pytest.mark.parametrize("build", BUILDERS)
def test_an_image_does_not_see_its_batch(build):
    model = build((16, 16, 3), 2)
    x = random_images(3, 16, 16, 3)
    together = model(x)
    alone = np.concatenate([model(x[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def plain_unet(size, filters):
    """The table's recipe in Keras' own layers, in the order of ours' weights."""

    def conv(x, filters, strides=1, use_bias=False):
        layer = layers.Conv2D(filters, 4, strides, padding="same", use_bias=use_bias)
        return layer(x)

    def norm_relu(x):
        x = layers.GroupNormalization(-1, epsilon=1e-5, scale=False, center=False)(x)
        return layers.ReLU()(x)

    inputs = x = keras.Input((size, size, 3))
    skips = []
    for factor in (1, 2, 4, 8):
        x = norm_relu(conv(x, factor * filters, strides=2))
        skips.append(x)
    for factor, skip in zip((4, 2, 1), skips[2::-1], strict=True):
        x = norm_relu(conv(layers.UpSampling2D()(x), factor * filters))
        x = layers.Concatenate()([x, skip])
    x = conv(layers.UpSampling2D()(x), 3, use_bias=True)
    return keras.Model(inputs, layers.Activation("tanh")(x))


def plain_discriminator(size, filters):
    inputs = x = keras.Input((size, size, 3))
    for factor, strides in ((1, 2), (2, 2), (4, 2), (8, 1)):
        first = factor == 1
        x = layers.Conv2D(factor * filters, 4, strides, padding="same", use_bias=first)(
            x
        )
        if not first:
            x = layers.GroupNormalization(-1, epsilon=1e-5, scale=False, center=False)(
                x
            )
        x = layers.LeakyReLU(0.2)(x)
    return keras.Model(inputs, layers.Conv2D(1, 4, padding="same")(x))


@pytest.mark.parametrize(
    ("ours", "plain"),
    [(unet_generator, plain_unet), (patch_discriminator, plain_discriminator)],
)
def test_computes_what_plain_layers_compute(ours, plain):
    ours, plain = ours((64, 64, 3), 3), plain(64, 3)
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 0.1, w.shape) for w in ours.weights]
    ours.set_weights(weights)
    plain.set_weights(weights)
    x = random_images(1, 64, 64, 3)
    np.testing.assert_allclose(ours(x), plain(x), atol=2e-5)


class TestGate:
    """The blend of the image and what the U-Net paints."""

    def blended(self, bias):
        gated, plain = gated_unet((16, 32, 3), 2), unet_generator((16, 32, 3), 2)
        plain.set_weights(gated.get_weights()[: len(plain.weights)])
        gated.get_layer("to_gate").bias.assign([bias])
        x = random_images(2, 16, 32, 3)
        stays = keras.Model(gated.input, gated.get_layer("gate").output)(x)
        return x, *map(np.asarray, (plain(x), stays, gated(x)))

    def test_open_it_leaves_the_image(self):
        image, _, stays, result = self.blended(100.0)
        np.testing.assert_allclose(stays, 1)
        np.testing.assert_allclose(result, image, atol=1e-6)

    def test_shut_it_leaves_what_was_painted(self):
        _, painted, stays, result = self.blended(-100.0)
        np.testing.assert_allclose(stays, 0, atol=1e-20)
        np.testing.assert_allclose(result, painted, atol=1e-6)

    def test_between_it_blends_pixel_by_pixel(self):
        image, painted, stays, result = self.blended(0.0)
        assert stays.shape == (2, 16, 32, 1)
        expected = stays * image + (1 - stays) * painted
        np.testing.assert_allclose(result, expected, atol=1e-6)

    def test_open_it_leaves_an_image_of_any_size(self, tmp_path):
        gated = gated_unet((16, 32, 3), 2)
        gated.get_layer("to_gate").bias.assign([100.0])
        gated.save(tmp_path / "gated.keras")
        loaded = keras.models.load_model(tmp_path / "gated.keras")
        image = np.random.default_rng(0).integers(0, 256, (37, 51, 3), "uint8")
        np.testing.assert_array_equal(translate(loaded, image), image)

    def test_at_first_three_quarters_stay(self):
        _, _, stays, _ = self.blended(0.0)
        assert stays.mean() == pytest.approx(0.73, abs=0.03)

    @pytest.mark.parametrize("build", BUILDERS[:2])
    def test_with_a_limit_no_more_than_that_stays(self, build):
        gated, plain = (build((16, 16, 3), 2, gate=gate) for gate in (0.6, False))
        for layer in plain.layers:
            layer.set_weights(gated.get_layer(layer.name).get_weights())
        gated.get_layer("to_gate").bias.assign([100.0])
        x = random_images(2, 16, 16, 3)
        expected = 0.6 * x + 0.4 * np.asarray(plain(x))
        np.testing.assert_allclose(gated(x), expected, atol=1e-6)

    @pytest.mark.parametrize("gate", [1.5, -1, "open"])
    def test_refuses_another_share(self, gate):
        with pytest.raises(ValueError, match="unet_generator: gate is .* from 0 to 1"):
            unet_generator((16, 16, 3), 2, gate=gate)


class TestDetail:
    """What a discriminator sees of the differences between neighbouring pixels."""

    def seen(self, images):
        model = patch_discriminator((16, 16, 3), 2, detail=3)
        layer = model.get_layer("with_detail")
        return np.asarray(keras.Model(model.input, layer.output)(images))

    def test_is_the_difference_from_the_mean_of_nine_pixels(self):
        x = random_images(1, 16, 16, 3)
        around = sum(
            x[:, 1 + i : 15 + i, 1 + j : 15 + j] for i in (-1, 0, 1) for j in (-1, 0, 1)
        )
        seen = self.seen(x)
        np.testing.assert_array_equal(seen[..., :3], x)
        expected = 3 * (x[:, 1:-1, 1:-1] - around / 9)
        np.testing.assert_allclose(seen[:, 1:-1, 1:-1, 3:], expected, atol=1e-5)

    def test_an_even_image_has_none_even_at_its_edge(self):
        assert np.abs(self.seen(np.full((1, 16, 16, 3), 0.3))[..., 3:]).max() < 1e-6

    def test_refuses_a_negative_number(self):
        with pytest.raises(ValueError, match="patch_discriminator: detail is -1"):
            patch_discriminator((16, 16, 3), 2, detail=-1)


def test_resnet_has_the_paper_s_layers():
    model = resnet_generator((64, 64, 3), filters=4, blocks=2)
    convolutions = [
        (type(layer).__name__, layer.kernel_size[0], layer.strides[0], layer.filters)
        for layer in model.layers
        if isinstance(layer, layers.Conv2D | layers.Conv2DTranspose)
    ]
    assert convolutions == [
        ("Conv2D", 7, 1, 4),
        ("Conv2D", 3, 2, 8),
        ("Conv2D", 3, 2, 16),
        *[("Conv2D", 3, 1, 16)] * 4,
        ("Conv2DTranspose", 3, 2, 8),
        ("Conv2DTranspose", 3, 2, 4),
        ("Conv2D", 7, 1, 3),
    ]
    paddings = [
        layer.padding[0][0]
        for layer in model.layers
        if isinstance(layer, ReflectionPadding2D)
    ]
    assert paddings == [3, 1, 1, 1, 1, 3]
    # 3 encoding, 2 in each block, 2 decoding; no ReLU after a block's second norm.
    kinds = [type(layer) for layer in model.layers]
    assert kinds.count(InstanceNormalization) == 3 + 2 * 2 + 2
    assert kinds.count(layers.ReLU) == 3 + 1 * 2 + 2
    assert kinds.count(layers.Add) == 2


def test_a_residual_block_adds_to_its_input():
    model = resnet_generator((16, 16, 3), filters=2, blocks=1)
    probe = keras.Model(
        model.input,
        [model.get_layer(f"{n}").output for n in ("down_2_relu", "block_1_2_norm")]
        + [model.get_layer("block_1_add").output],
    )
    before, change, after = probe(random_images(1, 16, 16, 3))
    np.testing.assert_allclose(before + change, after, rtol=1e-6)
    assert np.ptp(change) > 1


@pytest.mark.parametrize("build", BUILDERS)
def test_no_bias_before_a_norm_and_one_where_none_follows(build):
    model = build((16, 16, 3), 2)
    followers = {
        parent.operation.name: layer
        for layer in model.layers
        for node in layer._inbound_nodes
        for parent in node.parent_nodes
    }
    seen = 0
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            norm = isinstance(followers[layer.name], InstanceNormalization)
            assert (layer.bias is None) == norm, layer.name
            seen += norm
    assert seen >= 3


@pytest.mark.parametrize("build", BUILDERS)
def test_weights_start_from_a_narrow_normal(build):
    model = build((32, 32, 3), 16)
    kernels = [w.numpy() for w in model.weights if w.name == "kernel"]
    for kernel in kernels:
        assert kernel.std() == pytest.approx(0.02, rel=5 * kernel.size**-0.5)
        assert abs(kernel.mean()) < 5 * 0.02 * kernel.size**-0.5
    # Not a truncated normal: a value in 370 lies beyond three deviations.
    everything = np.concatenate([kernel.ravel() for kernel in kernels])
    beyond = np.mean(np.abs(everything) > 0.06)
    assert beyond == pytest.approx(0.0027, rel=0.3)
    assert not any(np.any(w) for w in model.weights if w.name == "bias")


@pytest.mark.parametrize("build", BUILDERS)
def test_layers_and_models_start_from_different_numbers(build):
    first, second = build((16, 16, 3), 4), build((16, 16, 3), 4)
    kernels = [
        w.numpy() for m in (first, second) for w in m.weights if w.name == "kernel"
    ]
    heads = {tuple(kernel.ravel()[:4]) for kernel in kernels}
    assert len(heads) == len(kernels)


def test_a_seed_fixes_the_weights():
    runs = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        runs.append(unet_generator((16, 16, 3), 2).get_weights()[0])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.any(runs[0] != runs[2])


@pytest.mark.parametrize("build", BUILDERS)
def test_layers_have_names_of_their_own(build):
    model = build((16, 16, 3), 2)
    assert model.name == build.__name__
    assert build((16, 16, 3), 2, name="mine").name == "mine"
    again = build((16, 16, 3), 2)
    names = [layer.name for layer in model.layers]
    # Keras' automatic names count up from model to model.
    assert names == [layer.name for layer in again.layers]
    assert names[0] == "pictures"


@pytest.mark.parametrize("build", BUILDERS)
def test_saving_needs_no_custom_objects(build, tmp_path):
    model = build((32, 32, 3), 2)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = random_images(1, 32, 32, 3)
    np.testing.assert_array_equal(again(x), model(x))
    assert [layer.name for layer in again.layers] == [la.name for la in model.layers]


@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("build", BUILDERS)
def test_output_is_float32_under_mixed_precision(policy, build, name):
    policy(name)
    model = build((16, 16, 3), 2)
    y = model(random_images(1, 16, 16, 3))
    assert y.dtype == "float32"
    assert {w.dtype for w in model.weights} == {"float32"}
    halves = [la for la in model.layers if la.compute_dtype == name.split("_")[1]]
    assert len(halves) > 5


@pytest.mark.parametrize("build", BUILDERS[:3])
def test_generators_answer_within_minus_1_and_1(build):
    model = build((16, 16, 3), 2)
    model.set_weights([100 * w for w in model.get_weights()])
    y = np.asarray(model(random_images(1, 16, 16, 3)))
    assert np.abs(y).max() < 1 + 1e-6 and y.min() < -0.5 and y.max() > 0.5


def test_discriminator_answers_for_patches_of_70_pixels():
    import tensorflow as tf

    model = patch_discriminator((128, 128, 3), 2)
    # Instance norm looks at the whole image; without it the patch remains.
    x = tf.Variable(random_images(1, 128, 128, 3))
    with tf.GradientTape() as tape:
        y = x
        for layer in model.layers[1:]:
            if not isinstance(layer, InstanceNormalization):
                y = layer(y)
        answer = y[0, 8, 8, 0]
    reached = np.any(tape.gradient(answer, x)[0], axis=-1)
    rows, columns = np.nonzero(reached)
    assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == 70


@pytest.mark.parametrize("build", [unet_generator, patch_discriminator])
def test_channels_last_whatever_keras_json_says(build):
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        model = build((32, 16, 3), 2)
    finally:
        keras.config.set_image_data_format(before)
    assert model.output_shape[-1] in (1, 3)
    assert model.output_shape[1] == 2 * model.output_shape[2]


@pytest.mark.parametrize(
    ("build", "shape", "words"),
    [
        (
            unet_generator,
            (100, 128, 3),
            "height .* 100, .* multiple of 16 .* 96 or 112",
        ),
        (unet_generator, (128, 8, 3), "width .* 8, .*: 16"),
        (resnet_generator, (250, 256, 3), "height .* multiple of 4 .* 248 or 252"),
        (resnet_generator, (4, 8, 3), "height .* 4, .*: 8"),
        (patch_discriminator, (128, 129, 3), "width .* of 8 .* 128 or 136"),
        (patch_discriminator, (8, 16, 3), "height .* 8, .*: 16"),
    ],
)
def test_refuses_sizes_that_cannot_be_halved(build, shape, words):
    with pytest.raises(ValueError, match=f"^{build.__name__}: .*{words}") as error:
        build(shape, 2)
    # The sizes that it names do fit.
    fitting = [int(n) for n in re.findall(r"\d+", str(error.value).split(":")[-1])]
    for side in fitting:
        build((side, side, 3), 1)


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"image_shape": (32, 32)}, "image_shape"),
        ({"image_shape": 32}, "image_shape"),
        ({"image_shape": (32, 32, None)}, "channels"),
        ({"image_shape": (32, 32, 0)}, "channels"),
        ({"image_shape": (32.0, 32, 3)}, "height"),
        ({"image_shape": (32, -32, 3)}, "width"),
        ({"filters": 0}, "filters"),
        ({"filters": 1.5}, "filters"),
    ],
)
def test_refuses_other_arguments(build, arguments, word):
    with pytest.raises(ValueError, match=f"{build.__name__}: .*{word}"):
        build(**arguments)


def test_resnet_refuses_other_blocks():
    with pytest.raises(ValueError, match="resnet_generator: blocks"):
        resnet_generator(blocks=-1)


class TestNearestUpsampling:
    def test_has_the_paper_s_weights(self):
        assert resnet_generator(upsampling="nearest").count_params() == 11_372_931

    def test_keeps_the_size_where_it_is_unknown(self):
        model = resnet_generator((None, None, 3), 2, 0, upsampling="nearest")
        assert model(np.zeros((1, 12, 20, 3), "float32")).shape == (1, 12, 20, 3)

    @pytest.mark.parametrize(
        ("upsampling", "even"), [("nearest", True), ("transposed", False)]
    )
    def test_doubles_a_flat_map_without_a_checkerboard(self, upsampling, even):
        model = resnet_generator((32, 32, 3), 2, 0, upsampling=upsampling)
        doubling = keras.Model(
            model.get_layer("down_2_relu").output, model.get_layer("up_2_conv").output
        )
        inside = np.asarray(doubling(np.ones((1, 8, 8, 8), "float32")))[:, 2:-2, 2:-2]
        assert (np.ptp(inside, axis=(1, 2)).max() < 1e-6) == even

    def test_another_way_or_the_authors_layout_is_refused(self):
        with pytest.raises(ValueError, match="upsampling is 'bilinear'"):
            resnet_generator(upsampling="bilinear")
        with pytest.raises(ValueError, match="pytorch is 'nearest', .* 'transposed'"):
            resnet_generator(upsampling="nearest", layout="pytorch")

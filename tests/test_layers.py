"""The layers against references in NumPy, PyTorch and TensorFlow's own layers."""

import functools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_style.layers import (
    ImagePool,
    InstanceNormalization,
    ReflectionPadding2D,
    UpsampleConv2D,
)

BACKEND = keras.backend.backend()
pytestmark = pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's tests")


def normal(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def instance_norm(x, epsilon=1e-5):
    """One image and one channel at a time, in float64."""
    result = np.empty(x.shape)
    for i, image in enumerate(np.asarray(x, "float64")):
        for c in range(image.shape[-1]):
            plane = image[..., c]
            deviation = np.sqrt(plane.var() + epsilon)
            result[i, ..., c] = (plane - plane.mean()) / deviation
    return result


def round_trip(layer, tmp_path, shape):
    """Saves and loads a model of this one layer, without custom_objects."""
    inputs = keras.Input(shape)
    path = tmp_path / "layer.keras"
    keras.Model(inputs, layer(inputs)).save(path)
    return keras.models.load_model(path).layers[-1]


class TestInstanceNormalization:
    @pytest.mark.parametrize("batch", [1, 2, 5])
    @pytest.mark.parametrize("size", [(8, 8), (5, 7), (1, 3)])
    @pytest.mark.parametrize("training", [False, True])
    def test_equals_the_reference(self, batch, size, training):
        x = normal(batch, *size, 4) * [1, 10, 0.1, 100] + [0, 5, 1, -1000]
        x = x.astype("float32")
        got = InstanceNormalization()(x, training=training)
        np.testing.assert_allclose(got, instance_norm(x), atol=2e-3)
        np.testing.assert_allclose(got[..., :3], instance_norm(x[..., :3]), atol=1e-4)

    @pytest.mark.parametrize("training", [False, True])
    def test_accepts_unknown_sizes(self, training):
        inputs = keras.Input((None, None, 2))
        model = keras.Model(inputs, InstanceNormalization()(inputs))
        assert model.output_shape == (None, None, None, 2)
        for size in ((4, 6), (9, 3)):
            x = normal(2, *size, 2)
            got = model(x, training=training)
            np.testing.assert_allclose(got, instance_norm(x), atol=1e-5)
            got = model.predict(x, verbose=0)
            np.testing.assert_allclose(got, instance_norm(x), atol=1e-5)

    @pytest.mark.parametrize("training", [False, True])
    def test_a_large_mean_does_not_swallow_a_small_deviation(self, training):
        x = (1000 + 0.1 * normal(1, 32, 32, 1)).astype("float32")
        got = np.asarray(InstanceNormalization()(x, training=training))
        np.testing.assert_allclose(got, instance_norm(x), atol=5e-3)

    @pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16"])
    @pytest.mark.parametrize("training", [False, True])
    def test_statistics_are_float32_under_mixed_precision(self, policy, name, training):
        policy(name)
        layer = InstanceNormalization()
        half = layer.compute_dtype
        # 300 and its square's sum overflow float16; the sum of 4096 ones stops at 256
        # in bfloat16. The reference sees the same rounded images.
        x = tf.cast(300 + 20 * normal(2, 64, 64, 2), half)
        got = layer(x, training=training)
        assert got.dtype == half
        want = instance_norm(tf.cast(x, "float64"))
        rounding = 2.0**-8 if half == "bfloat16" else 2.0**-11
        np.testing.assert_allclose(
            tf.cast(got, "float64"), want, rtol=rounding, atol=2e-4
        )

    def test_float64_stays_float64(self):
        x = normal(1, 6, 5, 2, dtype="float64") + 1e6
        got = InstanceNormalization(dtype="float64")(x)
        assert got.dtype == "float64"
        np.testing.assert_allclose(got, instance_norm(x), atol=1e-8)

    @pytest.mark.parametrize("training", [False, True])
    def test_a_constant_image_gives_zeros_and_a_finite_gradient(self, training):
        x = tf.fill((1, 4, 4, 1), 7.0)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = InstanceNormalization()(x, training=training)
            loss = tf.reduce_sum(y * normal(1, 4, 4, 1))
        # A GPU's own batch norm, which trains there, rounds the mean.
        rounded = training and tf.config.list_physical_devices("GPU")
        np.testing.assert_allclose(y, 0.0, atol=1e-3 if rounded else 0)
        assert np.all(np.isfinite(tape.gradient(loss, x)))

    def test_gradient_equals_the_difference_quotient(self):
        x, weights = normal(2, 3, 4, 2, dtype="float64"), normal(2, 3, 4, 2, seed=1)
        step = 1e-6 * normal(2, 3, 4, 2, seed=2).astype("float64")
        with tf.GradientTape() as tape:
            variable = tf.Variable(x)
            loss = tf.reduce_sum(
                InstanceNormalization(dtype="float64")(variable) * weights
            )
        derivative = np.sum(tape.gradient(loss, variable) * step)
        difference = np.sum(
            (instance_norm(x + step) - instance_norm(x - step)) * weights
        )
        assert derivative == pytest.approx(difference / 2, rel=1e-5)

    @pytest.mark.parametrize("jit_compile", [False, True])
    def test_gradient_in_training_equals_that_of_the_formula(self, jit_compile):
        weights = normal(3, 8, 5, 4, seed=1)

        @tf.function(jit_compile=jit_compile)
        def gradient(x, training):
            with tf.GradientTape() as tape:
                tape.watch(x)
                layer = InstanceNormalization(dtype=x.dtype.name)
                y = layer(x, training=training)
                loss = tf.reduce_sum(y * tf.cast(weights, x.dtype))
            return tape.gradient(loss, x)

        x = tf.constant(3 + 2 * normal(3, 8, 5, 4))
        want = gradient(tf.cast(x, "float64"), training=False)
        np.testing.assert_allclose(gradient(x, training=True), want, atol=2e-6)

    @pytest.mark.parametrize("count", [1, 3, 6])
    @pytest.mark.parametrize("known", [(), (0,), (1, 2), (0, 1, 2)])
    def test_in_training_sizes_may_be_unknown(self, count, known):
        x = 3 + 2 * normal(count, 8, 5, 4)
        shape = [n if i in (*known, 3) else None for i, n in enumerate(x.shape)]
        layer = InstanceNormalization()

        @tf.function(input_signature=[tf.TensorSpec(shape)])
        def forward(x):
            return layer(x, training=True)

        np.testing.assert_allclose(forward(x), layer(x), atol=1e-5)

    def test_has_no_weights(self):
        layer = InstanceNormalization()
        layer(normal(1, 4, 4, 3))
        assert layer.weights == []

    def test_config_survives_saving(self, tmp_path):
        layer = InstanceNormalization(epsilon=1e-3, name="norm")
        again = round_trip(layer, tmp_path, (4, 4, 2))
        assert isinstance(again, InstanceNormalization)
        assert again.epsilon == 1e-3 and again.name == "norm"

    @pytest.mark.parametrize("epsilon", [0, -1e-5, float("nan"), "small", None])
    def test_refuses_other_epsilons(self, epsilon):
        with pytest.raises(ValueError, match="epsilon"):
            InstanceNormalization(epsilon)

    def test_refuses_an_image_without_a_batch(self):
        with pytest.raises(ValueError, match="expected ndim=4"):
            InstanceNormalization()(normal(4, 4, 3))


class TestReflectionPadding2D:
    @pytest.mark.parametrize(
        "padding", [0, 1, 3, ((1, 0), (0, 2)), ((2, 3), (1, 0)), ((0, 0), (4, 4))]
    )
    def test_equals_numpy(self, padding):
        x = normal(2, 5, 6, 3)
        pairs = ((padding,) * 2,) * 2 if isinstance(padding, int) else padding
        want = np.pad(x, ((0, 0), *pairs, (0, 0)), mode="reflect")
        layer = ReflectionPadding2D(padding)
        np.testing.assert_array_equal(layer(x), want)
        assert layer.compute_output_shape(x.shape) == want.shape

    def test_accepts_the_largest_padding_that_an_image_can_mirror(self):
        x = normal(1, 4, 4, 1)
        want = np.pad(x, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="reflect")
        np.testing.assert_array_equal(ReflectionPadding2D(3)(x), want)

    def test_accepts_unknown_sizes(self):
        inputs = keras.Input((None, None, 2))
        model = keras.Model(inputs, ReflectionPadding2D(2)(inputs))
        x = normal(1, 3, 7, 2)
        want = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
        np.testing.assert_array_equal(model.predict(x, verbose=0), want)

    @pytest.mark.parametrize("padding", [1, ((2, 3), (1, 0))])
    def test_gradient_equals_that_of_tf_pad(self, padding):
        x = tf.Variable(normal(2, 5, 6, 3, dtype="float64"))
        layer = ReflectionPadding2D(padding, dtype="float64")
        weights = normal(*layer.compute_output_shape(x.shape), dtype="float64")
        pairs = ((0, 0), *layer.padding, (0, 0))
        with tf.GradientTape(persistent=True) as tape:
            ours = tf.reduce_sum(layer(x) * weights)
            theirs = tf.reduce_sum(tf.pad(x, pairs, "REFLECT") * weights)
        np.testing.assert_allclose(
            tape.gradient(ours, x), tape.gradient(theirs, x), rtol=1e-12
        )

    def test_config_survives_saving(self, tmp_path):
        layer = ReflectionPadding2D(((1, 2), (3, 0)))
        again = round_trip(layer, tmp_path, (4, 4, 2))
        assert isinstance(again, ReflectionPadding2D)
        assert again.padding == ((1, 2), (3, 0))

    @pytest.mark.parametrize(
        "padding",
        [-1, 1.5, True, "1", None, (1, 1), ((1, 1), (1, -1)), ((1.5, 1),) * 2],
    )
    def test_refuses_other_paddings(self, padding):
        with pytest.raises(ValueError, match="ReflectionPadding2D: padding is"):
            ReflectionPadding2D(padding)

    def test_refuses_an_image_that_is_too_small(self):
        with pytest.raises(ValueError, match="the width is 3.* at least 4"):
            ReflectionPadding2D(3)(normal(1, 4, 3, 1))


class TestUpsampleConv2D:
    @staticmethod
    def pair(filters, use_bias, channels):
        """Ours, and Keras' two layers with the same weights, in float64."""
        ours = UpsampleConv2D(filters, use_bias=use_bias, dtype="float64")
        ours.build((None, None, None, channels))
        theirs = keras.Sequential(
            [
                keras.layers.UpSampling2D(2, dtype="float64"),
                keras.layers.Conv2D(
                    filters, 4, padding="same", use_bias=use_bias, dtype="float64"
                ),
            ]
        )
        theirs.build((None, None, None, channels))
        for weight, seed in zip(ours.weights, (1, 2), strict=False):
            weight.assign(normal(*weight.shape, seed=seed))
        theirs.set_weights(ours.get_weights())
        return ours, theirs

    @pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 6)])
    @pytest.mark.parametrize("use_bias", [True, False])
    def test_equals_upsampling_and_convolution(self, size, use_bias):
        ours, theirs = self.pair(3, use_bias, channels=2)
        x = tf.Variable(normal(2, *size, 2, dtype="float64"))
        weights = normal(2, 2 * size[0], 2 * size[1], 3, seed=3)
        values, gradients = [], []
        for layer in (ours, theirs):
            with tf.GradientTape() as tape:
                y = layer(x)
                loss = tf.reduce_sum(y * weights)
            values.append(y)
            sources = [x, *[w.value for w in layer.trainable_weights]]
            gradients.append(tape.gradient(loss, sources))
        np.testing.assert_allclose(*values, atol=1e-12)
        assert len(gradients[0]) == 2 + use_bias
        for mine, reference in zip(*gradients, strict=True):
            np.testing.assert_allclose(mine, reference, atol=1e-10)

    def test_accepts_unknown_sizes(self):
        ours, theirs = self.pair(2, True, channels=3)
        inputs = keras.Input((None, None, 3), dtype="float64")
        model = keras.Model(inputs, ours(inputs))
        assert model.output_shape == (None, None, None, 2)
        signature = [tf.TensorSpec((None, None, None, 3), "float64")]
        in_graph = tf.function(model, input_signature=signature)
        for size in ((2, 3), (9, 4)):
            x = normal(1, *size, 3, dtype="float64")
            got = in_graph(tf.constant(x))
            np.testing.assert_allclose(got, theirs(x), atol=1e-12)

    @pytest.mark.skipif(
        bool(tf.config.list_physical_devices("GPU")), reason="a path for CPUs"
    )
    def test_multiplies_less_in_training_where_that_is_faster(self):
        layer = UpsampleConv2D(64)
        layer.build((None, None, None, 2))
        kinds = {}
        for size, training in ((4, True), (4, False), (3, True)):
            graph = (
                tf.function(functools.partial(layer, training=training))
                .get_concrete_function(tf.TensorSpec((1, size, size, 2)))
                .graph
            )
            found = [operation.type for operation in graph.get_operations()]
            kinds[size, training] = found.count("BatchMatMulV2"), found.count("Conv2D")
        assert kinds == {(4, True): (1, 0), (4, False): (0, 1), (3, True): (0, 1)}

    def test_gives_the_same_in_training(self):
        layer, x = UpsampleConv2D(64), normal(2, 4, 6, 3)
        layer.build(x.shape)
        layer.bias.assign(normal(64, seed=1))
        np.testing.assert_allclose(layer(x, training=True), layer(x), atol=1e-5)

    def test_computes_in_half_precision_with_float32_weights(self, policy):
        policy("mixed_bfloat16")
        layer = UpsampleConv2D(2)
        y = layer(normal(1, 4, 4, 3))
        assert y.dtype == "bfloat16"
        assert {w.dtype for w in layer.weights} == {"float32"}

    def test_config_survives_saving(self, tmp_path):
        initializer = keras.initializers.RandomNormal(0, 0.02)
        layer = UpsampleConv2D(5, use_bias=False, kernel_initializer=initializer)
        again = round_trip(layer, tmp_path, (4, 4, 2))
        assert again.filters == 5 and again.bias is None
        assert again.kernel_initializer.stddev == 0.02
        np.testing.assert_array_equal(again.kernel, layer.kernel)

    @pytest.mark.parametrize("filters", [0, -2, 1.5, "8", True])
    def test_refuses_other_filters(self, filters):
        with pytest.raises(ValueError, match="UpsampleConv2D: filters"):
            UpsampleConv2D(filters)


def numbered(first, batch=1):
    """Images that carry their number, from `first`."""
    numbers = np.arange(first, first + batch, dtype="float32")
    return np.ones((batch, 2, 2, 1), "float32") * numbers[:, None, None, None]


def numbers_of(images):
    return np.asarray(images)[:, 0, 0, 0].astype(int).tolist()


def shown(pool, steps, batch=1, first=1):
    """What the pool hands on for `steps` batches of numbered fakes."""
    return [
        number
        for step in range(steps)
        for number in numbers_of(pool(numbered(first + step * batch, batch)))
    ]


class TestImagePool:
    def test_fills_first_and_hands_on_every_fake(self):
        pool = ImagePool(5, seed=0)
        assert shown(pool, 5) == [1, 2, 3, 4, 5]
        assert int(pool.count) == 5
        assert numbers_of(pool.images) == [1, 2, 3, 4, 5]

    def test_a_batch_may_fill_it_and_run_over(self):
        pool = ImagePool(5, seed=0)
        assert shown(pool, 2, batch=3) == [1, 2, 3, 4, 5, 6]
        assert int(pool.count) == 5
        assert numbers_of(pool.images) == [1, 2, 3, 4, 5]

    def test_once_full_every_second_image_is_an_old_one(self):
        pool = ImagePool(10, seed=1)
        shown(pool, 10)
        got = np.array(shown(pool, 40, batch=10, first=11))
        old = np.sum(got != np.arange(11, 411))
        # Binomial(400, 1/2): five standard deviations are 50.
        assert abs(old - 200) < 50

    def test_what_it_hands_on_was_once_a_fake_and_leaves_the_pool(self):
        pool = ImagePool(4, seed=2)
        handed_on = shown(pool, 60)
        kept = numbers_of(pool.images)
        # The first four were handed on and kept; after that none is lost or doubled.
        assert sorted(handed_on + kept) == sorted([1, 2, 3, 4, *range(1, 61)])
        assert len(set(kept)) == 4

    def test_every_place_is_drawn(self):
        pool = ImagePool(6, seed=3)
        shown(pool, 6)
        shown(pool, 80, first=7)
        assert min(numbers_of(pool.images)) > 6

    def test_a_batch_larger_than_the_pool(self):
        pool = ImagePool(3, seed=4)
        assert shown(pool, 1, batch=5) == [1, 2, 3, 4, 5]
        got = shown(pool, 1, batch=5, first=6)
        assert got[3:] == [9, 10]
        assert all(new in (n, 1, 2, 3) for n, new in zip((6, 7, 8), got, strict=False))
        assert len(set(got)) == 5

    def test_size_0_hands_on_every_fake(self):
        pool = ImagePool(0)
        assert shown(pool, 10) == list(range(1, 11))
        assert pool.weights == []

    def test_a_seed_fixes_the_draws(self):
        runs = [shown(ImagePool(3, seed=seed), 40) for seed in (7, 7, 8)]
        assert runs[0] == runs[1] != runs[2]

    def test_save_and_load_go_on_with_the_same_draws(self, tmp_path):
        inputs = keras.Input((2, 2, 1))
        model = keras.Model(inputs, ImagePool(4, seed=None, name="pool")(inputs))
        shown(model, 9)
        model.save(tmp_path / "pool.keras")
        again = keras.models.load_model(tmp_path / "pool.keras")
        assert isinstance(again.get_layer("pool"), ImagePool)
        assert again.get_layer("pool").size == 4
        want = shown(model, 40, first=10)
        assert shown(again, 40, first=10) == want
        np.testing.assert_array_equal(
            again.get_layer("pool").images, model.get_layer("pool").images
        )

    @pytest.mark.parametrize("jit_compile", [False, True])
    def test_draws_the_same_in_a_graph(self, jit_compile):
        eager = shown(ImagePool(3, seed=5), 30)
        pool = ImagePool(3, seed=5)
        pool.build((None, 2, 2, 1))
        compiled = tf.function(pool, jit_compile=jit_compile)
        assert shown(lambda fakes: compiled(tf.constant(fakes)), 30) == eager

    def test_its_random_numbers_stay_the_same(self):
        got = shown(ImagePool(4, seed=7), 10, batch=2)
        assert got == [
            1,
            2,
            3,
            4,
            3,
            6,
            7,
            8,
            2,
            10,
            9,
            12,
            13,
            14,
            15,
            16,
            17,
            18,
            19,
            5,
        ]

    def test_a_pool_without_a_seed_follows_keras_random_seed(self):
        runs = []
        for seed in (1, 1, 2):
            keras.utils.set_random_seed(seed)
            runs.append(shown(ImagePool(3), 40))
        assert runs[0] == runs[1] != runs[2]

    def test_works_with_an_unknown_batch(self):
        pool = ImagePool(3, seed=5)
        pool.build((None, 2, 2, 1))
        signature = [tf.TensorSpec((None, 2, 2, 1))]
        compiled = tf.function(pool, input_signature=signature)
        got = [
            numbers_of(compiled(numbered(1, 2))),
            numbers_of(compiled(numbered(3, 5))),
        ]
        assert got == [[1, 2], [3, 4, 5, 6, 7]]

    @pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16", "float64"])
    def test_keeps_images_as_precisely_as_they_come(self, policy, name):
        policy(name)
        dtype = "float64" if name == "float64" else "float32"
        fakes = normal(2, 4, 4, 3, dtype=dtype)
        pool = ImagePool(2)
        got = pool(fakes)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, fakes)
        np.testing.assert_array_equal(pool.images, fakes)

    def test_holds_no_trainable_weights(self):
        pool = ImagePool(2)
        pool(numbered(1))
        assert pool.trainable_weights == []
        assert [w.name for w in pool.weights] == ["pictures", "count", "random_state"]

    @pytest.mark.parametrize("size", [-1, 2.5, "50", None])
    def test_refuses_other_sizes(self, size):
        with pytest.raises(ValueError, match="ImagePool: size"):
            ImagePool(size)

    @pytest.mark.parametrize("seed", [-1, 0.5, "1"])
    def test_refuses_other_seeds(self, seed):
        with pytest.raises(ValueError, match="ImagePool: seed"):
            ImagePool(2, seed=seed)

    def test_refuses_images_of_unknown_shape(self):
        with pytest.raises(ValueError, match=r"fixed height, width.*pool_size=0"):
            ImagePool(2).build((None, None, None, 3))


# The same numbers on Keras' other backends, and TensorFlow not even imported there.
ELSEWHERE = """
import sys, keras, numpy as np
from gan_style import ImagePool, InstanceNormalization, ReflectionPadding2D
from gan_style import layers, models
data = np.load(sys.argv[1])
x = keras.ops.convert_to_tensor(data["small"])
result = {
    "norm": InstanceNormalization()(x),
    "padding": ReflectionPadding2D(((1, 2), (0, 3)))(x),
}
for size in ("small", "large"):
    upsampling = layers.UpsampleConv2D(2)
    upsampling.build(data[size].shape)
    upsampling.set_weights([data["kernel"], data["bias"]])
    result["upsampling_" + size] = upsampling(data[size])
pool = ImagePool(2, seed=0)
result["pool"] = np.stack(
    [keras.ops.convert_to_numpy(pool(x[:1] * 0 + n)) for n in range(12)]
)
assert models.unet_generator
assert "tensorflow" not in sys.modules, "TensorFlow was imported"
np.savez(sys.argv[2], **{k: keras.ops.convert_to_numpy(v) for k, v in result.items()})
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_same_numbers_on_other_backends(backend, tmp_path):
    pytest.importorskip(backend)
    data = {
        "small": normal(2, 6, 5, 3),
        "large": normal(1, 32, 33, 3),
        "kernel": normal(4, 4, 3, 2, seed=1),
        "bias": normal(2, seed=2),
    }
    given, got = tmp_path / "given.npz", tmp_path / "got.npz"
    np.savez(given, **data)
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, given, got],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = np.load(got)

    np.testing.assert_allclose(result["norm"], instance_norm(data["small"]), atol=1e-5)
    want = np.pad(data["small"], ((0, 0), (1, 2), (0, 3), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(result["padding"], want)
    for size in ("small", "large"):
        layer = UpsampleConv2D(2)
        layer.build(data[size].shape)
        layer.set_weights([data["kernel"], data["bias"]])
        np.testing.assert_allclose(
            result["upsampling_" + size], layer(data[size]), atol=1e-4
        )
    pool = ImagePool(2, seed=0)
    want = [pool(data["small"][:1] * 0 + n) for n in range(12)]
    np.testing.assert_array_equal(result["pool"], want)


def test_reflection_equals_pytorch():
    torch = pytest.importorskip("torch")
    x = normal(2, 5, 6, 3)
    reference = torch.nn.ReflectionPad2d((1, 2, 3, 4))  # left, right, top, bottom
    want = reference(torch.tensor(x.transpose(0, 3, 1, 2))).numpy()
    got = ReflectionPadding2D(((3, 4), (1, 2)))(x)
    np.testing.assert_array_equal(got, want.transpose(0, 2, 3, 1))


def test_instance_norm_equals_pytorch():
    torch = pytest.importorskip("torch")
    x = normal(2, 5, 6, 3)
    reference = torch.nn.InstanceNorm2d(3)
    want = reference(torch.tensor(x.transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(
        InstanceNormalization()(x), want.transpose(0, 2, 3, 1), atol=1e-5
    )

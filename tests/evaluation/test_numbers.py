"""Numbers at the edge: losses and gradients stay finite, or what is wrong is said."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.cyclegans import random_images, small

from gan_style import datasets
from gan_style.evaluation import metrics
from gan_style.inference.translation import translate
from gan_style.models import (
    patch_discriminator,
    resnet_generator,
    unet_generator,
)
from gan_style.style_transfer.losses import total_variation_loss
from gan_style.style_transfer.transfer import StyleTransfer
from gan_style.training.callbacks import LossCurves, TranslationGrid
from gan_style.training.diagnosis import Diagnosis
from gan_style.utils.images import save_image

NOT_FINITE = [np.nan, np.inf, -np.inf]


def with_one(value, shape, dtype="float32"):
    """Zeros, but for one number."""
    array = np.zeros(shape, dtype)
    array[(0, *(1 for _ in shape[1:]))] = value
    return array


@pytest.fixture(scope="module")
def trained():
    """A CycleGAN that is compiled once, and begins again for each test."""
    model = small(pool_size=2)
    model.compile()
    first = model.get_weights()

    def again():
        model.set_weights(first)
        model.reset_metrics()
        return model

    return again


def assert_all_finite(model, history):
    assert all(np.isfinite(loss).all() for loss in history.history.values())
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


class TestCycleGAN:
    @pytest.mark.parametrize("level", [-1.0, 0.0, 0.2, 1.0])
    def test_learns_from_images_of_one_colour(self, trained, level):
        one, model = np.full((1, 8, 8, 3), level, "float32"), trained()
        before = model.get_weights()
        history = model.fit(one, one, epochs=3, batch_size=1, verbose=0)
        assert_all_finite(model, history)
        after = model.get_weights()
        assert any(np.any(x != y) for x, y in zip(before, after, strict=True))

    @pytest.mark.parametrize("kind", ["mixed_float16", "mixed_bfloat16"])
    def test_learns_from_one_colour_in_half_precision(self, policy, kind):
        policy(kind)
        model = small(pool_size=0)
        model.compile()
        one = np.full((1, 8, 8, 3), 0.5, "float32")
        assert_all_finite(model, model.fit(one, -one, epochs=3, verbose=0))

    @pytest.mark.parametrize("count", [1, 3])
    def test_takes_a_batch_larger_than_all_images(self, trained, count):
        model = trained()
        a, b = random_images(count, 8, seed=1), random_images(count, 8, seed=2)
        history = model.fit(a, b, batch_size=8, epochs=2, verbose=0)
        assert_all_finite(model, history)
        assert int(model.steps_done) == 2

    @pytest.mark.parametrize("at", [0, 1])
    @pytest.mark.parametrize("value", NOT_FINITE)
    def test_refuses_what_is_not_finite_before_it_trains(self, trained, at, value):
        model, both = trained(), [random_images(2, 8), random_images(2, 8)]
        both[at] = with_one(value, (2, 8, 8, 3))
        with pytest.raises(ValueError, match=rf"fit: {'xy'[at]} .*not finite"):
            model.fit(*both, verbose=0)
        assert int(model.steps_done) == 0

    @pytest.mark.parametrize("kind", ["uint8", "float32", "int64"])
    def test_refuses_levels_from_0_to_255(self, trained, kind):
        levels = np.full((1, 8, 8, 3), 200, kind)
        with pytest.raises(ValueError, match=r"y holds .* y / 127\.5 - 1 as float32"):
            trained().fit(tf.zeros((1, 8, 8, 3)), tf.constant(levels), verbose=0)

    def test_ends_and_goes_back_where_a_dataset_turns_bad(self, trained, capsys):
        good = random_images(4, 8)
        bad = np.concatenate([good, with_one(np.nan, (1, 8, 8, 3))])
        dataset = tf.data.Dataset.from_tensor_slices((bad, bad)).batch(1)
        model = trained()
        test = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), "uint8")
        watch = Diagnosis(test, test, every=2)
        model.fit(dataset, epochs=9, verbose=0, callbacks=[watch])
        assert all(np.isfinite(weight).all() for weight in model.get_weights())
        assert int(model.steps_done) <= 5
        assert "not finite" in capsys.readouterr().out


@pytest.fixture(
    scope="module", params=[unet_generator, resnet_generator, patch_discriminator]
)
def network(request):
    keras.utils.set_random_seed(0)
    return request.param((16, 16, 3), 2)


@pytest.mark.parametrize("level", [-1.0, 0.0, 1.0])
def test_the_networks_gradients_at_one_colour_are_finite(network, level):
    x = tf.fill((1, 16, 16, 3), level)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_mean(tf.abs(network(x, training=True) - 0.5))
    gradients = tape.gradient(loss, [x, *(w.value for w in network.trainable_weights)])
    assert np.isfinite(loss)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


class TestDatasets:
    @pytest.fixture
    def one_colour(self, tmp_path):
        """One image of A, three of B, all of one colour."""
        for part, count in (("trainA", 1), ("trainB", 3), ("testA", 1), ("testB", 1)):
            for i in range(count):
                grey = np.full((20, 20, 3), 90, "uint8")
                save_image(tmp_path / "images" / part / f"{i}.png", grey)
        return tmp_path / "images"

    def test_of_one_image_and_of_one_colour_train(self, one_colour, trained):
        data = datasets.load(one_colour, 8)
        model = trained()
        callbacks = [
            TranslationGrid(data.test_a, data.test_b, folder=one_colour / "grids"),
            LossCurves(one_colour / "curves"),
        ]
        history = model.fit(data.train, epochs=2, verbose=0, callbacks=callbacks)
        assert_all_finite(model, history)
        assert int(model.steps_done) == 6

    def test_fill_a_batch_larger_than_they_are(self, one_colour):
        data = datasets.load(one_colour, 8, batch_size=8)
        [(a, b)] = data.train
        assert a.shape == b.shape == (8, 8, 8, 3)
        np.testing.assert_allclose(a, 90 / 127.5 - 1, atol=1e-6)

    def test_of_one_image_each_have_epochs_of_one_step(self, one_colour):
        data = datasets.load(one_colour, 8, train_count=1, test_count=0)
        assert data.steps_per_epoch == 1 == len(list(data.train))


def transfer(content, style, **options):
    keras.utils.set_random_seed(0)
    return StyleTransfer(
        content,
        style,
        content_layers=["relu1_2"],
        style_layers=["relu1_1"],
        features={"weights": None, "backbone": "vgg16"},
        **options,
    )


NOISE = np.random.default_rng(0).integers(0, 256, (16, 16, 3), "uint8")


def flat(level):
    return np.full((16, 16, 3), level, "uint8")


class TestStyleTransfer:
    @pytest.mark.parametrize(
        ("content", "style"),
        [(flat(0), flat(0)), (flat(255), NOISE), (NOISE, flat(9)), (flat(9), flat(9))],
    )
    @pytest.mark.parametrize("optimizer", ["smooth", "lbfgs", "adam"])
    def test_paints_images_of_one_colour(self, content, style, optimizer):
        one = transfer(content, style)
        terms, gradient = one.loss_and_gradient(content)
        assert np.isfinite([*terms.values()]).all() and np.isfinite(gradient).all()
        result = one.run(2, [16], optimizer, progress=False)
        assert np.isfinite(result.history["total"]).all()

    @pytest.mark.parametrize("optimizer", ["smooth", "lbfgs", "adam"])
    def test_stays_where_nothing_is_left_to_do(self, optimizer):
        options = {"optimizer": optimizer, "initial": flat(90), "progress": False}
        options["margin"] = 0  # sums over more pixels round differently
        result = transfer(flat(90), flat(90)).run(3, [16], **options)
        np.testing.assert_array_equal(result.image, flat(90))
        assert result.history["total"] == [0.0] * 3

    @pytest.mark.parametrize("power", [1.0, 1.25, 2.0])
    def test_the_gradient_of_no_variation_is_finite(self, power):
        x = tf.fill((1, 4, 4, 3), 7.0)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = total_variation_loss(x, power)
        assert loss == 0 and np.isfinite(tape.gradient(loss, x)).all()

    @pytest.mark.parametrize("value", NOT_FINITE)
    @pytest.mark.parametrize("at", ["content", r"styles\[0\]", "initial", "image"])
    def test_refuses_what_is_not_finite(self, value, at):
        bad = with_one(value, (16, 16, 3))
        with pytest.raises(ValueError, match=rf"{at} is .* from .* to .*, but must be"):
            if at == "initial":
                transfer(NOISE, NOISE).run(1, [16], initial=bad, progress=False)
            elif at == "image":
                transfer(NOISE, NOISE).loss_and_gradient(bad)
            else:
                transfer(*((bad, NOISE) if at == "content" else (NOISE, bad)))


@pytest.mark.parametrize("value", NOT_FINITE)
class TestRefuseWhatIsNotFinite:
    @pytest.fixture(scope="class")
    def generator(self):
        return resnet_generator((8, 8, 3), 2, 1)

    def test_translate(self, generator, value):
        with pytest.raises(ValueError, match="not finite"):
            translate(generator, with_one(value, (8, 8, 3)))

    def test_errors_and_statistics(self, value):
        bad, good = with_one(value, (1, 8, 8, 3)), np.zeros((1, 8, 8, 3), "uint8")
        for call in (
            lambda: metrics.paired_error(good, bad),
            lambda: metrics.colour_statistics(bad),
            lambda: metrics.baselines(good, bad, good),
            lambda: metrics.report(good, bad, good, truth=good),
        ):
            with pytest.raises(ValueError, match=r"must be in \[-1, 1\]"):
                call()

    def test_kernel_inception_distance(self, value):
        x = np.random.default_rng(0).normal(size=(6, 4))
        with pytest.raises(ValueError, match="features_y is .* finite"):
            metrics.kernel_inception_distance(x, with_one(value, (6, 4)))


def test_sets_that_are_all_one_image_are_at_distance_0():
    x = np.full((6, 4), 0.3)
    assert metrics.kernel_inception_distance(x, x) == (0.0, 0.0)
    grey = np.full((2, 4, 4, 3), 90, "uint8")
    rows = metrics.report(grey, grey, grey, truth=grey)["rows"]
    assert all(row["paired_error"] == 0 for row in rows.values())

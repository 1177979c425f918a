"""Averages of the generators' weights, and what takes them."""

import keras
import numpy as np
import pytest
from helpers.cyclegans import (
    SGD,
    all_equal,
    one_step,
    random_images,
    small,
    straight_lines,
    weights_of,
)

from gan_style.training.adversarial import averaged_copy


def averaging(decay=0.9, **options):
    model = straight_lines(average_decay=decay, pool_size=2, seed=1)
    model.compile(SGD(0.05), SGD(0.05), **options)
    return model


def train(model, steps, first=0):
    """The generators' weights after each step."""
    seen = []
    for i in range(first, first + steps):
        one_step(
            model, random_images(1, 4, 1, seed=i), random_images(1, 4, 1, seed=100 + i)
        )
        seen.append(weights_of(model.generator_ab, model.generator_ba))
    return seen


def averages_of(model):
    return weights_of(model.averaged_ab, model.averaged_ba)


def all_state(model):
    optimizers = (model.generator_optimizer, model.discriminator_optimizer)
    variables = [*model.variables, *(v for o in optimizers for v in o.variables)]
    return [np.array(v) for v in variables]


@pytest.mark.parametrize(
    "options", [{}, {"jit_compile": True}, {"run_eagerly": True}], ids=str
)
def test_are_the_moving_averages_written_out(options):
    model = averaging(0.5, **options)
    seen = train(model, 15)
    for of_one_weight, got in zip(
        zip(*seen, strict=True), averages_of(model), strict=True
    ):
        want = np.zeros_like(got, "float64")
        for t, weight in enumerate(of_one_weight):
            keep = min(0.5, t / (t + 9))
            want = keep * want + (1 - keep) * weight
        np.testing.assert_allclose(got, want, rtol=1e-5)
        # Neither the newest weights, nor the mean of all.
        assert abs(got - of_one_weight[-1]).max() > 1e-3
        assert abs(got - np.mean(of_one_weight, axis=0)).max() > 1e-3


def test_the_first_step_forgets_the_weights_of_the_beginning():
    model = averaging(0.999)
    model.generator_ab.set_weights([np.full((1, 1, 1, 1), 7.0), np.zeros(1)])
    (seen,) = train(model, 1)
    assert all_equal(averages_of(model), seen)


def test_change_nothing_of_the_training():
    runs = []
    for decay in (None, 0.9):
        model = averaging(decay)
        train(model, 5)
        networks = [model.g_AB, model.g_BA, model.d_A, model.d_B]
        runs.append(weights_of(*networks, model.pool_a, model.pool_b))
    assert all_equal(*runs)


def test_no_optimizer_trains_them():
    model = averaging()
    assert model.averaged_ab.trainable_weights == []
    trained = {id(w) for w in model.trainable_weights}
    assert not trained & {id(w) for w in model.averaged_ab.weights}
    assert len(model.trainable_weights) == 8


def test_saved_in_the_middle_and_loaded_equals_straight(tmp_path):
    straight = averaging()
    train(straight, 8)
    model = averaging()
    train(model, 4)
    model.save(tmp_path / "half.keras")
    loaded = keras.models.load_model(tmp_path / "half.keras")
    assert all_equal(averages_of(model), averages_of(loaded))
    assert loaded.average_decay == 0.9
    train(loaded, 4, first=4)
    assert all_equal(all_state(loaded), all_state(straight))


class TestTranslate:
    @pytest.fixture(scope="class")
    def model(self):
        model = averaging()
        train(model, 3)
        return model

    @pytest.mark.parametrize("direction", ["ab", "ba"])
    def test_takes_them_by_default(self, model, direction):
        x = 0.1 * random_images(2, 4, 1)
        want = np.asarray(getattr(model, f"averaged_{direction}")(x))
        for averaged in (None, True):
            got = model.translate(x, direction, averaged=averaged)
            np.testing.assert_allclose(got, want, atol=1e-6)
        raw = np.asarray(getattr(model, f"generator_{direction}")(x))
        got = model.translate(x, direction, averaged=False)
        np.testing.assert_allclose(got, raw, atol=1e-6)
        assert abs(want - raw).max() > 1e-3

    def test_sees_what_later_steps_change(self, model):
        x = 0.1 * random_images(1, 4, 1)
        before = model.translate(x)
        train(model, 1, first=3)
        assert abs(model.translate(x) - before).max() > 1e-5

    def test_before_the_first_step_there_are_none(self):
        model = averaging()
        model.generator_ab.set_weights([np.full((1, 1, 1, 1), 0.5), np.zeros(1)])
        x = 0.1 * random_images(1, 4, 1)
        np.testing.assert_allclose(model.translate(x), 0.5 * x, atol=1e-6)

    def test_refuses_averages_that_are_not_kept(self):
        with pytest.raises(
            ValueError, match=r"keeps no averages.*average_decay=0\.999"
        ):
            model = straight_lines(average_decay=None)
            model.translate(random_images(1, 4, 1), averaged=True)


@pytest.mark.parametrize("decay", [1, 1.5, -0.1, "0.9", float("nan")])
def test_refuses_other_decays(decay):
    with pytest.raises(ValueError, match="average_decay"):
        straight_lines(average_decay=decay)


def test_copies_keep_precision_and_answers(policy):
    policy("mixed_bfloat16")
    network = small().generator_ab
    copy = averaged_copy(network)
    x = random_images(1, 8)
    assert all_equal([np.asarray(network(x))], [np.asarray(copy(x))])
    assert copy.layers[1].compute_dtype == "bfloat16"
    network.layers[1].kernel.assign(0 * network.layers[1].kernel)
    assert np.any(copy.layers[1].kernel), "they share a weight"


def test_numbers_that_are_no_weights_are_taken_over():
    """Such as the statistics of a batch norm in a network of one's own."""
    model = small(average_decay=0.999)
    network = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.BatchNormalization()], name="ab"
    )
    model = type(model)(
        network, model.g_BA, model.d_A, model.d_B, average_decay=0.5, seed=0
    )
    model.compile(SGD(0.0), SGD(0.0), run_eagerly=True)
    one_step(model, random_images(1, 8), random_images(1, 8))
    assert all_equal(weights_of(network), weights_of(model.averaged_ab))


def test_a_network_that_cannot_be_copied_is_named():
    class Own(keras.Model):
        def __init__(self, scale, name):
            super().__init__(name=name)
            self.line = keras.layers.Conv2D(1, 1)
            self.scale = scale

        def call(self, x):
            return self.scale * self.line(x)

    network = Own(2.0, "own")
    network(np.zeros((1, 4, 4, 1), "float32"))
    with pytest.raises(ValueError, match="copy of own.*average_decay=None"):
        averaged_copy(network)

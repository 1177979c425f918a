"""Every failure that Diagnosis knows is provoked, and a healthy training is not."""

import functools
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.cyclegans import (
    NETWORKS,
    SGD,
    all_equal,
    random_images,
    small,
    straight_lines,
)
from helpers.resume_script import state

from gan_style import Pix2Pix, patch_discriminator, unet_generator
from gan_style.training.diagnosis import (
    Diagnosis,
    diversity_ratio,
    luminance_correlation,
)


def values_of(model):
    """All that training resumes from, as arrays."""
    return list(state(model).values())


def steps(a, b, count):
    """The same pair, again and again."""
    return tf.data.Dataset.from_tensors((a, b)).repeat(count)


def diagnosis(size=4, channels=1, **options):
    tests = (random_images(3, size, channels, seed=seed) for seed in (1, 2))
    return Diagnosis(*tests, **{"every": 2, "patience": 2, **options})


def with_slopes(model, slopes):
    """Networks y = slope * x, in the order of `NETWORKS`, and no step done."""
    for name, slope in zip(NETWORKS, slopes, strict=True):
        getattr(model, name).set_weights([np.full((1, 1, 1, 1), slope), np.zeros(1)])
    model.steps_done.assign(0)
    return model


def compiled(**options):
    """A model that stays as it is in training."""
    model = straight_lines(pool_size=0, **options)
    model.compile(SGD(0.0), SGD(0.0))
    return model


@pytest.fixture(scope="module")
def lines():
    """Gives one model, traced once, other slopes each time."""
    return functools.partial(with_slopes, compiled())


def trained(model, callback, kind):
    """Train six steps; return the findings of a kind."""
    data = steps(random_images(1, 4, 1, seed=3), random_images(1, 4, 1, seed=4), 6)
    model.fit(data, callbacks=[callback], shuffle=False, verbose=0)
    return [finding for finding in callback.findings if finding.kind == kind]


class TestInvertedColours:
    def test_are_noticed_after_patience(self, lines, capsys):
        (finding,) = trained(lines([-1, 1, 1, 1]), diagnosis(), "inverted")
        assert finding[:3] == (4, "inverted", "ab")
        assert "from A to B" in finding.sentence and "-1.00" in finding.sentence
        assert "identity_weight" in finding.sentence
        assert capsys.readouterr().out.count(f"{finding.sentence}\n") == 1

    def test_where_both_generators_do_it(self):
        """The known trap: reconstruction and its loss are perfect."""
        both = with_slopes(compiled(identity_weight=0), [-1, -1, 1, 1])
        found = trained(both, diagnosis(), "inverted")
        assert [f[1:3] for f in found] == [("inverted", "ab"), ("inverted", "ba")]

    def test_measure(self):
        x = random_images(2, 8)
        dark = 0.1 * x - 0.9
        assert luminance_correlation(x, dark) == pytest.approx(1)
        assert luminance_correlation(x, -dark) == pytest.approx(-1)
        assert luminance_correlation(x, np.zeros_like(x)) == 0
        # Green alone, inverted, outweighs red and blue: it is what the eye sees.
        assert luminance_correlation(x, x * [1, -1, 1]) < -0.3
        assert abs(luminance_correlation(x, random_images(2, 8, seed=9))) < 0.4


class TestCollapse:
    def test_is_noticed(self, lines):
        found = trained(lines([1, 0.05, 1, 1]), diagnosis(), "collapsed")
        assert [f[:3] for f in found] == [(4, "collapsed", "ba")]
        assert "5% of the originals' variation" in found[0].sentence
        assert "learning rate" in found[0].sentence

    def test_measure_is_between_images_not_within(self):
        x = random_images(4, 8)
        same = np.repeat(x[:1], 4, axis=0)
        assert diversity_ratio(x, same) == 0
        assert diversity_ratio(x, x[::-1]) == pytest.approx(1)
        assert diversity_ratio(x, 0.5 * x + 0.3) == pytest.approx(0.5)


class TestUnchanged:
    def test_is_noticed(self, lines):
        found = trained(lines([0.99, 0.9, 1, 1]), diagnosis(), "unchanged")
        assert [f[:3] for f in found] == [(4, "unchanged", "ab")]
        assert "(changed by 0.8% of their deviation)" in found[0].sentence

    def test_needs_no_images_of_one_shape(self):
        grey = SimpleNamespace(translate=lambda images, way: images[..., :1])
        callback = diagnosis(8, 3)
        callback.set_model(grey)
        callback.look_at_images(2)
        assert not callback.findings


class TestDiscriminatorSilent:
    def test_is_noticed_where_its_output_is_0(self, lines):
        found = trained(lines([0.5, 0.5, 1, 0]), diagnosis(), "discriminator silent")
        assert (4, "ab") in [(f.step, f.where) for f in found]
        assert "discriminator of B knows nothing (its loss is 0.500" in str(found)

    def test_is_noticed_where_it_guesses(self):
        callback = diagnosis()
        for step in 1, 2:
            guess = {"discriminator_b": 0.2501, "validity_ab": 0.2498}
            callback.look_at_losses(step, guess)
        assert [f[:3] for f in callback.findings] == [(2, "discriminator silent", "ab")]

    def test_is_not_one_whose_answers_differ(self):
        callback = diagnosis()
        for step in range(4):
            callback.look_at_losses(step, {"discriminator_b": 0.25, "validity_ab": 0.3})
        assert not callback.findings


class TestDiscriminatorWon:
    @pytest.fixture
    def perfect(self, lines):
        """D(x) = x: real images are 1 and generators answer with 0.01 x."""
        model = lines([1, 0.01, 1, 1])
        ones = np.ones((1, 4, 4, 1), "float32")
        return model, steps(ones, ones, 3)

    def test_is_noticed_across_epochs(self, perfect):
        model, data = perfect
        callback = diagnosis(every=4)
        model.fit(data, epochs=3, callbacks=[callback], shuffle=False, verbose=0)
        found = [f for f in callback.findings if f.kind == "discriminator won"]
        assert [f[:3] for f in found] == [(8, "discriminator won", "ba")]
        assert "discriminator of A has won" in found[0].sentence
        assert "validity_ba 0.98" in found[0].sentence

    def test_one_good_spell_begins_anew(self):
        callback = diagnosis()
        won = {"discriminator_b": 0.01, "validity_ab": 0.95}
        for step, losses in enumerate([won, {**won, "validity_ab": 0.5}, won]):
            callback.look_at_losses(step, losses)
        assert not callback.findings
        callback.look_at_losses(3, won)
        callback.look_at_losses(4, won)
        assert [f[:3] for f in callback.findings] == [(3, "discriminator won", "ab")]

    def test_judges_by_the_steps_since_the_last_check(self, perfect, monkeypatch):
        """`fit` hands on running means, whose memory of the beginning is long."""
        callback = diagnosis(every=3)
        seen = []
        monkeypatch.setattr(
            callback, "look_at_losses", lambda step, losses: seen.append(losses)
        )
        losses = []

        class Rate(keras.callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None):
                model.discriminator_a.set_weights(
                    [np.full((1, 1, 1, 1), len(losses) / 10), np.zeros(1)]
                )
                losses.append(None)

        model, data = perfect
        # Five steps an epoch, so that checks and epochs fall apart.
        model.fit(
            steps(*next(iter(data)), 5),
            epochs=3,
            callbacks=[Rate(), callback],
            shuffle=False,
            verbose=0,
        )
        alone = [(i / 10 - 1) ** 2 / 2 + (0.01 * i / 10) ** 2 / 2 for i in range(15)]
        got = [losses["discriminator_a"] for losses in seen]
        want = np.reshape(alone, (5, 3)).mean(axis=1)
        np.testing.assert_allclose(got, want, rtol=1e-4)


class TestNotFinite:
    def poisoned(self, callback, at=5, **options):
        """Trains seven steps on images of which one holds a NaN."""
        model = straight_lines(pool_size=2, seed=0)
        model.compile(**options)
        a, b = random_images(7, 4, 1, seed=3), random_images(7, 4, 1, seed=4)
        a[at, 0, 0, 0] = np.nan
        data = tf.data.Dataset.from_tensor_slices((a, b)).batch(1)
        states = {}

        class Note(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                states[int(model.steps_done)] = values_of(model)

        model.fit(data, callbacks=[Note(), callback], shuffle=False, verbose=0)
        return model, states

    def test_stops_with_the_last_good_state(self, tmp_path):
        callback = diagnosis()
        model, states = self.poisoned(callback)
        finding = callback.findings[-1]
        assert finding[:3] == (6, "not finite", None)
        assert "state of step 4" in finding.sentence
        assert max(states) == 6, "it went on"
        assert not all(np.isfinite(np.sum(w)) for w in states[6])
        assert all_equal(values_of(model), states[4])
        model.save(tmp_path / "good.keras")
        saved = keras.models.load_model(tmp_path / "good.keras")
        assert int(saved.steps_done) == 4
        for name in NETWORKS:
            loaded, now = (getattr(m, name).get_weights() for m in (saved, model))
            assert all_equal(loaded, now)
        assert np.isfinite(model.translate(random_images(1, 4, 1))).all()

    def test_at_the_first_step_goes_back_to_the_beginning(self):
        callback = diagnosis()
        model, _ = self.poisoned(callback, at=0)
        assert "state of step 0" in callback.findings[0].sentence
        assert int(model.steps_done) == 0

    def test_weights_that_never_were_finite(self):
        model = small(pool_size=2)
        model.compile()
        model.generator_ab.layers[1].kernel.assign(
            model.generator_ab.layers[1].kernel * np.nan
        )
        callback = diagnosis(8, 3)
        model.fit(
            steps(random_images(1, 8), random_images(1, 8), 3),
            callbacks=[callback],
            verbose=0,
        )
        assert "never were" in callback.findings[0].sentence
        assert int(model.steps_done) == 1

    def test_a_step_that_loss_scaling_skips_is_none(self, policy):
        policy("mixed_float16")
        callback = diagnosis(8, 3)
        # Both optimizers skip the step of the poisoned image; the means of this
        # epoch are lost, the weights are not.
        scaled = [keras.optimizers.LossScaleOptimizer(SGD(1e-3)) for _ in "gd"]
        model = small(pool_size=0)
        model.compile(*scaled)
        a, b = random_images(7, 8, seed=3), random_images(7, 8, seed=4)
        a[2, 0, 0, 0] = np.nan
        data = tf.data.Dataset.from_tensor_slices((a, b)).batch(1)
        model.fit(data, callbacks=[callback], shuffle=False, verbose=0)
        assert int(model.steps_done) == 7 and not callback.findings


def test_a_healthy_training_is_silent(capsys):
    """Real training: an image of squares to its like, as small as it gets."""
    model = small()
    model.compile(*(keras.optimizers.Adam(5e-3, beta_1=0.5) for _ in "gd"))
    a, b = (np.kron(random_images(6, 4, seed=i), np.ones((1, 2, 2, 1))) for i in (5, 6))
    callback = Diagnosis(a[:3], b[:3], every=30)
    # Five times through the six images an epoch: each takes time to begin.
    data = tf.data.Dataset.from_tensor_slices((a, b)).batch(1).repeat(5)
    first = model.evaluate(a, b, 1, verbose=0, return_dict=True)["generators"]
    history = model.fit(
        data, epochs=8, callbacks=[callback], shuffle=False, verbose=0
    ).history
    assert history["generators"][-1] < 0.5 * first, "it must train at all"
    assert callback.findings == [] and capsys.readouterr().out == ""


class TestArguments:
    def test_refuses_a_model_of_one_direction(self):
        model = Pix2Pix(
            unet_generator((16, 16, 3), 2), patch_discriminator((16, 16, 6), 2)
        )
        model.compile(run_eagerly=True)
        x, y = random_images(2, seed=1), random_images(2, seed=2)
        with pytest.raises(ValueError, match="model is <Pix2Pix.*must be a CycleGAN"):
            model.fit(x, y, callbacks=Diagnosis(x, y), verbose=0)
        assert int(model.steps_done) == 0

    @pytest.mark.parametrize(
        "tests",
        [
            random_images(1),
            random_images(2)[0],
            np.zeros((3, 8, 8, 3), "uint8"),
            np.zeros((0, 8)),
        ],
    )
    def test_refuses_test_images_that_show_no_collapse(self, tests):
        with pytest.raises(ValueError, match="test_b.*two or more different"):
            Diagnosis(random_images(2), tests)

    @pytest.mark.parametrize("name", ["every", "patience"])
    def test_refuses_other_numbers(self, name):
        with pytest.raises(ValueError, match=name):
            diagnosis(**{name: 0})

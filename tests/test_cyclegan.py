"""The step against the paper, written out by hand in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.cyclegans import (
    NETWORKS,
    SGD,
    all_equal,
    lines_of,
    one_step,
    random_images,
    real,
    small,
    straight_lines,
    weights_of,
)

from gan_style.cyclegan import CycleGAN
from gan_style.models import patch_discriminator, unet_generator


def hand_losses(lines, a, b):
    """The paper's losses, in float64."""
    a, b = (np.asarray(x, "float64") for x in (a, b))
    (w, v), (u, t) = lines["generator_ab"], lines["generator_ba"]
    (p, q), (r, s) = lines["discriminator_a"], lines["discriminator_b"]
    fake_b, fake_a = w * a + v, u * b + t
    return {
        "validity_ab": np.mean((r * fake_b + s - 1) ** 2),
        "validity_ba": np.mean((p * fake_a + q - 1) ** 2),
        "reconstruction_a": np.mean(np.abs(u * fake_b + t - a)),
        "reconstruction_b": np.mean(np.abs(w * fake_a + v - b)),
        "identity_a": np.mean(np.abs(u * a + t - a)),
        "identity_b": np.mean(np.abs(w * b + v - b)),
        "discriminator_a": np.mean((p * a + q - 1) ** 2) / 2
        + np.mean((p * fake_a + q) ** 2) / 2,
        "discriminator_b": np.mean((r * b + s - 1) ** 2) / 2
        + np.mean((r * fake_b + s) ** 2) / 2,
    }


def hand_gradients(lines, a, b, validity=1.0, cycle_a=10.0, cycle_b=10.0, identity=2.0):
    """d loss / d (slope, offset) of the two generators, by the chain rule."""
    a, b = (np.asarray(x, "float64") for x in (a, b))
    (w, v), (u, t) = lines["generator_ab"], lines["generator_ba"]
    (p, q), (r, s) = lines["discriminator_a"], lines["discriminator_b"]
    fake_b, fake_a = w * a + v, u * b + t
    error_b = 2 * validity * (r * fake_b + s - 1) * r
    error_a = 2 * validity * (p * fake_a + q - 1) * p
    sign_a = cycle_a * np.sign(u * fake_b + t - a)
    sign_b = cycle_b * np.sign(w * fake_a + v - b)
    same_a = identity * np.sign(u * a + t - a)
    same_b = identity * np.sign(w * b + v - b)
    ab = [
        error_b * a + sign_a * u * a + sign_b * fake_a + same_b * b,
        error_b + sign_a * u + sign_b + same_b,
    ]
    ba = [
        error_a * b + sign_b * w * b + sign_a * fake_b + same_a * a,
        error_a + sign_b * w + sign_a + same_a,
    ]
    return np.array([[np.mean(part) for part in generator] for generator in (ab, ba)])


def stepped(model, a, b, run_eagerly=True):
    """What gradient descent at rate 1 takes off the generators' slopes and offsets."""
    model.compile(SGD(1.0), SGD(0.0), run_eagerly=run_eagerly)
    before = lines_of(model)
    model.train_on_batch(a, b)
    after = lines_of(model)
    return before, np.array(
        [np.subtract(before[name], after[name]) for name in NETWORKS[:2]]
    )


class TestGenerators:
    @pytest.mark.parametrize("batch", [1, 3])
    def test_gradient_is_the_one_computed_by_hand(self, batch):
        a, b = random_images(batch, 4, 1, seed=1), random_images(batch, 4, 1, seed=2)
        before, got = stepped(straight_lines(), a, b, run_eagerly=batch == 3)
        np.testing.assert_allclose(got, hand_gradients(before, a, b), rtol=1e-5)

    def test_every_term_reaches_both_generators(self):
        a, b = random_images(2, 4, 1, seed=1), random_images(2, 4, 1, seed=2)
        before, got = stepped(straight_lines(), a, b)
        for term in ("validity", "cycle_a", "cycle_b", "identity"):
            without = hand_gradients(before, a, b, **{term: 0.0})
            # Without it, both generators' gradients would be others: tests would see.
            assert np.all(np.any(np.abs(got - without) > 0.01, axis=1)), term

    def test_weights_of_the_losses_are_used(self):
        a, b = random_images(1, 4, 1, seed=1), random_images(1, 4, 1, seed=2)
        weights = {"validity": 3.0, "reconstruction": 5.0, "identity": 0.5}
        model = straight_lines(**{f"{k}_weight": w for k, w in weights.items()})
        before, got = stepped(model, a, b)
        cycle = {"cycle_a": 5.0, "cycle_b": 5.0}
        want = hand_gradients(before, a, b, validity=3.0, identity=0.5, **cycle)
        np.testing.assert_allclose(got, want, rtol=1e-5)

    def test_no_identity(self):
        a, b = random_images(1, 4, 1, seed=1), random_images(1, 4, 1, seed=2)
        model = straight_lines(identity_weight=0)
        before, got = stepped(model, a, b)
        want = hand_gradients(before, a, b, identity=0.0)
        np.testing.assert_allclose(got, want, rtol=1e-5)
        losses = model.test_on_batch(a, b, return_dict=True)
        assert not any(name.startswith("identity") for name in losses)

    def test_gradient_of_the_real_networks(self):
        """Each loss of its own, by separate calls: nothing leaks through a batch."""
        model = real(pool_size=0)
        model.compile(SGD(1.0), SGD(0.0))
        a, b = random_images(seed=1), random_images(seed=2)
        ab, ba = model.generator_ab, model.generator_ba
        variables = [w.value for w in model.generator_variables]
        with tf.GradientTape() as tape:
            fake_b, fake_a = ab(a), ba(b)
            total = (
                tf.reduce_mean((model.discriminator_b(fake_b) - 1) ** 2)
                + tf.reduce_mean((model.discriminator_a(fake_a) - 1) ** 2)
                + 10 * tf.reduce_mean(tf.abs(ba(fake_b) - a))
                + 10 * tf.reduce_mean(tf.abs(ab(fake_a) - b))
                + 2 * tf.reduce_mean(tf.abs(ba(a) - a))
                + 2 * tf.reduce_mean(tf.abs(ab(b) - b))
            )
        wanted = tape.gradient(total, variables)
        before = weights_of(ab, ba)
        got = one_step(model, a, b)
        assert got["generators"] == pytest.approx(float(total), rel=1e-5)
        for old, new, gradient in zip(before, weights_of(ab, ba), wanted, strict=True):
            error = np.linalg.norm(old - new - gradient)
            on_gpu = tf.config.list_physical_devices("GPU")
            # A kernel whose gradient is 0 gets 2e-6 a number from a GPU's batch norm.
            rounding = 1e-5 * (np.sqrt(np.size(gradient)) if on_gpu else 1)
            assert error < 1e-3 * np.linalg.norm(gradient) + rounding
            # Single numbers near 0 differ more on a GPU.
            if not on_gpu:
                np.testing.assert_allclose(old - new, gradient, rtol=1e-3, atol=1e-5)

    def test_leave_the_discriminators_bit_identical(self):
        model = small()
        model.compile(SGD(0.1), SGD(0.0))
        critics = (model.discriminator_a, model.discriminator_b)
        judged = weights_of(*critics)
        painters = [weights_of(g) for g in (model.generator_ab, model.generator_ba)]
        model.train_on_batch(random_images(1, 8, seed=1), random_images(1, 8, seed=2))
        assert all_equal(judged, weights_of(*critics))
        assert not all_equal(painters[0], weights_of(model.generator_ab))
        assert not all_equal(painters[1], weights_of(model.generator_ba))


class TestDiscriminators:
    def test_leave_the_generators_bit_identical(self):
        model = small()
        model.compile(SGD(0.0), SGD(0.1))
        painters = (model.generator_ab, model.generator_ba)
        painted = weights_of(*painters)
        critics = [
            weights_of(d) for d in (model.discriminator_a, model.discriminator_b)
        ]
        model.train_on_batch(random_images(1, 8, seed=1), random_images(1, 8, seed=2))
        assert all_equal(painted, weights_of(*painters))
        assert not all_equal(critics[0], weights_of(model.discriminator_a))
        assert not all_equal(critics[1], weights_of(model.discriminator_b))

    def test_see_what_the_pool_hands_on(self):
        """Now the fresh fake, now an old one, as the pool's own contents betray."""
        model = straight_lines(pool_size=1, seed=0)
        model.compile(SGD(0.0), SGD(0.01))
        seen = {"old": 0, "fresh": 0}
        for step in range(12):
            a, b = (random_images(1, 4, 1, seed=2 * step + i) for i in (0, 1))
            lines = lines_of(model)
            (w, v), (u, t) = lines["generator_ab"], lines["generator_ba"]
            kept = {
                "a": model.pool_a.images.numpy().astype("float64"),
                "b": model.pool_b.images.numpy().astype("float64"),
            }
            model.train_on_batch(a, b)
            for domain, true, fake, pool in (
                ("a", a, u * b + t, model.pool_a),
                ("b", b, w * a + v, model.pool_b),
            ):
                took_it = np.allclose(pool.images, fake, atol=1e-6)
                given = kept[domain] if took_it and step > 0 else fake
                seen["old" if given is not fake else "fresh"] += 1
                slope, offset = before = np.array(lines[f"discriminator_{domain}"])
                on_true, on_fake = slope * true + offset - 1, slope * given + offset
                gradient = [
                    np.mean(on_true * true) + np.mean(on_fake * given),
                    np.mean(on_true) + np.mean(on_fake),
                ]
                after = lines_of(model)[f"discriminator_{domain}"]
                np.testing.assert_allclose((before - after) / 0.01, gradient, atol=1e-4)
        assert min(seen.values()) > 5, seen

    def test_pools_hold_translated_images(self):
        model = straight_lines(pool_size=2, seed=0)
        model.compile(SGD(0.0), SGD(0.0))
        a, b = random_images(2, 4, 1, seed=1), random_images(2, 4, 1, seed=2)
        model.train_on_batch(a, b)
        np.testing.assert_allclose(model.pool_a.images, model.generator_ba(b))
        np.testing.assert_allclose(model.pool_b.images, model.generator_ab(a))


class TestLosses:
    def test_are_the_paper_s(self):
        model = straight_lines(pool_size=0)
        model.compile(SGD(0.0), SGD(0.0))
        a, b = random_images(2, 4, 1, seed=1), random_images(2, 4, 1, seed=2)
        want = hand_losses(lines_of(model), a, b)
        want["generators"] = (
            want["validity_ab"]
            + want["validity_ba"]
            + 10 * (want["reconstruction_a"] + want["reconstruction_b"])
            + 2 * (want["identity_a"] + want["identity_b"])
        )
        assert one_step(model, a, b) == pytest.approx(want, rel=1e-5)
        assert model.test_on_batch(a, b, return_dict=True) == pytest.approx(want)

    def test_batches_of_different_sizes(self):
        model = straight_lines(pool_size=0)
        model.compile(SGD(0.0), SGD(0.0))
        a, b = random_images(3, 4, 1, seed=1), random_images(1, 4, 1, seed=2)
        want = hand_losses(lines_of(model), a, b)
        got = one_step(model, a, b)
        assert {name: got[name] for name in want} == pytest.approx(want, rel=1e-5)

    def test_evaluate_changes_nothing_and_averages(self):
        model = small(pool_size=2)
        model.compile(SGD(0.1), SGD(0.1))
        a, b = random_images(4, 8, seed=1), random_images(4, 8, seed=2)
        before = weights_of(model.generator_ab, model.discriminator_a, model.pool_a)
        got = model.evaluate(a, b, batch_size=1, verbose=0, return_dict=True)
        after = weights_of(model.generator_ab, model.discriminator_a, model.pool_a)
        assert all_equal(before, after) and int(model.steps_done) == 0
        each = []
        for i in range(4):
            model.reset_metrics()
            each.append(
                model.test_on_batch(a[i : i + 1], b[i : i + 1], return_dict=True)
            )
        assert got == pytest.approx(
            {name: np.mean([one[name] for one in each]) for name in got}, rel=1e-5
        )

    def test_fit_counts_steps_and_reports_every_loss(self):
        model = straight_lines(pool_size=3, seed=0)
        model.compile(SGD(1e-3), SGD(1e-3), steps_per_execution=2)
        a, b = random_images(6, 4, 1, seed=1), random_images(6, 4, 1, seed=2)
        history = model.fit(a, b, batch_size=1, epochs=2, verbose=0).history
        assert int(model.steps_done) == 12
        assert set(history) == {
            *("validity_ab", "validity_ba", "reconstruction_a", "reconstruction_b"),
            *("identity_a", "identity_b", "generators"),
            *("discriminator_a", "discriminator_b"),
        }
        assert np.all(np.isfinite([*history.values()]))

    def test_training_lowers_the_reconstruction(self):
        model = small()
        model.compile(keras.optimizers.Adam(1e-2, beta_1=0.5))
        # Squares of 2 x 2 pixels: what a network that halves the image can keep.
        a, b = (
            np.kron(random_images(1, 4, seed=i), np.ones((1, 2, 2, 1))) for i in (1, 2)
        )
        first = one_step(model, a, b)
        for _ in range(40):
            last = one_step(model, a, b)
        for name in ("reconstruction_a", "reconstruction_b", "discriminator_a"):
            assert last[name] < 0.9 * first[name]


class TestTranslate:
    @pytest.fixture(scope="class")
    def model(self):
        return small(16)

    @pytest.mark.parametrize("dtype", ["uint8", "float32"])
    @pytest.mark.parametrize("shape", [(2, 16, 16, 3), (16, 16, 3)])
    def test_keeps_shape_and_kind(self, model, shape, dtype):
        images = np.zeros(shape, dtype)
        got = model.translate(images, "ba")
        assert isinstance(got, np.ndarray)
        assert got.shape == shape and got.dtype == dtype

    @pytest.mark.parametrize("direction", ["ab", "ba"])
    def test_is_the_generator_s_answer(self, model, direction):
        x = random_images(2)
        generator = getattr(model, f"generator_{direction}")
        want = np.asarray(generator(x))
        got = model.translate(x, direction)
        np.testing.assert_allclose(got, want, atol=1e-5)
        whole = np.rint((x + 1) * 127.5).astype("uint8")
        want = (np.asarray(generator(whole / np.float32(127.5) - 1)) + 1) * 127.5
        got = model.translate(whole, direction)
        np.testing.assert_allclose(got, want, atol=0.51)

    @pytest.mark.parametrize("direction", ["a", "AB", None, 1])
    def test_refuses_other_directions(self, model, direction):
        with pytest.raises(ValueError, match="direction is .*'ab' or 'ba'"):
            model.translate(random_images(), direction)


class TestArguments:
    def test_compile_refuses_one_optimizer_for_both(self):
        optimizer = SGD(0.1)
        with pytest.raises(ValueError, match="one object.*Make two"):
            straight_lines().compile(optimizer, optimizer)

    def test_compile_takes_names(self):
        model = straight_lines()
        model.compile("adam", "adam")
        assert model.generator_optimizer is not model.discriminator_optimizer

    def test_defaults_are_the_paper_s(self):
        model = straight_lines()
        model.compile()
        for optimizer in (model.generator_optimizer, model.discriminator_optimizer):
            assert isinstance(optimizer, keras.optimizers.Adam)
            assert float(optimizer.learning_rate) == pytest.approx(2e-4)
            assert optimizer.beta_1 == 0.5
        assert model.pool_size == 50 and model.identity_weight == 2
        assert model.reconstruction_weight == 10 and model.validity_weight == 1

    @pytest.mark.parametrize(
        "name", ["validity_weight", "reconstruction_weight", "identity_weight"]
    )
    @pytest.mark.parametrize("weight", [-1, "10", None, float("nan")])
    def test_refuses_other_weights(self, name, weight):
        with pytest.raises(ValueError, match=f"CycleGAN: {name}"):
            straight_lines(**{name: weight})

    @pytest.mark.parametrize("size", [-1, 1.5])
    def test_refuses_other_pool_sizes(self, size):
        with pytest.raises(ValueError, match="pool_size"):
            straight_lines(pool_size=size)

    def test_refuses_other_seeds(self):
        with pytest.raises(ValueError, match="seed"):
            straight_lines(seed="one")

    def test_refuses_what_is_no_model(self):
        model = straight_lines()
        with pytest.raises(ValueError, match="generator_ba"):
            CycleGAN(model.g_AB, None, model.d_A, model.d_B)

    def test_refuses_one_generator_for_both_directions(self):
        model = straight_lines()
        with pytest.raises(
            ValueError, match="generator_ba is .*another model than generator_ab"
        ):
            CycleGAN(model.g_AB, model.g_AB, model.d_A, model.d_B)

    def test_refuses_a_discriminator_of_open_size_with_a_pool(self):
        generators = [unet_generator((16, 16, 3), 2, name=n) for n in "ab"]
        critics = [patch_discriminator((None, None, 3), 2, name=n) for n in "cd"]
        with pytest.raises(ValueError, match="fixed height"):
            CycleGAN(*generators, *critics)
        CycleGAN(*generators, *critics, pool_size=0)

    def test_fit_refuses_single_batches(self):
        model = straight_lines()
        model.compile()
        with pytest.raises(ValueError, match=r"pair \(a, b\)"):
            model.fit(random_images(1, 4, 1), verbose=0)

"""The step under mixed precision and compiled by XLA, beside plain float32."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.cyclegans import (
    NETWORKS,
    SGD,
    all_equal,
    one_step,
    random_images,
    real,
    small,
    straight_lines,
    weights_of,
)

from gan_style import CycleGAN, samples
from gan_style.models import (
    patch_discriminator,
    resnet_generator,
    unet_generator,
)

HALVES = ("generator_optimizer", "discriminator_optimizer")


@pytest.fixture
def float16(policy):
    policy("mixed_float16")


def scaled_sgd(rate, scale=1024.0):
    return keras.optimizers.LossScaleOptimizer(SGD(rate), initial_scale=scale)


@functools.cache
def fruit(size, first, batch=1):
    """A pair of batches, drawn once for all precisions."""
    return [
        np.stack(
            [samples.fruit(kind, first + offset + i, size) for i in range(batch)]
        ).astype("float32")
        / 127.5
        - 1
        for offset, kind in ((0, "apple"), (1000, "orange"))
    ]


class TestBfloat16:
    """A step's losses depend on those before in a chaotic way: Adam's first steps are
    as long for a tiny gradient as for a large one, so that a rounding that turns its
    sign moves a weight as far as it goes. Float32 itself, with weights off by 0.1 %,
    is 10 % and more away from float32 in single losses after a few steps of batch 1. So
    rounding is tested along one path, and two paths by what `fit` shows: means.
    """

    @pytest.mark.slow
    def test_losses_at_each_of_20_steps_are_those_of_float32(self, policy):
        models = []
        for name in ("float32", "mixed_bfloat16"):
            policy(name)
            models.append(real(size=64, filters=4))
            models[-1].compile()
        path, beside = models
        for step in range(20):
            a, b = fruit(64, step)
            beside.set_weights(path.get_weights())
            want, got = (losses_at(model, a, b) for model in models)
            assert got == pytest.approx(want, rel=0.05), f"step {step}"
            assert got != want
            path.train_on_batch(a, b)

    @pytest.mark.parametrize(
        "build",
        [
            functools.partial(resnet_generator, filters=64, blocks=1),
            functools.partial(unet_generator, filters=32),
        ],
        ids=["resnet", "unet"],
    )
    def test_losses_are_those_of_float32_where_layers_are_wide(self, policy, build):
        # Of 256 channels: on a CPU, these multiply less in both precisions.
        models = []
        for name in ("float32", "mixed_bfloat16"):
            policy(name)
            generators = [build((32, 32, 3), name=name) for name in ("ab", "ba")]
            discriminators = [
                patch_discriminator((32, 32, 3), 32, name=name) for name in "ab"
            ]
            models.append(
                CycleGAN(*generators, *discriminators, seed=0, average_decay=None)
            )
            models[-1].compile()
        path, beside = models
        losses_of = [
            tf.function(lambda a, b, m=m: m.generator_losses(a, b, training=True)[0])
            for m in models
        ]
        for step in range(20):
            a, b = fruit(32, step)
            beside.set_weights(path.get_weights())
            want, got = (
                {name: float(loss) for name, loss in losses(a, b).items()}
                for losses in losses_of
            )
            assert got == pytest.approx(want, rel=0.05), f"step {step}"
            assert got != want
            path.train_on_batch(a, b)

    @pytest.mark.slow
    def test_the_mean_losses_of_20_steps_are_those_of_float32(self, policy):
        want, got = [], []
        for name, means in (("float32", want), ("mixed_bfloat16", got)):
            policy(name)
            model = real(size=64, filters=8)
            model.compile()
            beginning = state_of(model)
            # A single way through 20 steps is up to 8 % off; so four, of both
            # directions each, from the same beginning.
            for first in (0, 100, 200, 300):
                bring_back(model, beginning)
                for step in range(20):
                    losses = model.train_on_batch(
                        *fruit(64, first + 4 * step, 4), return_dict=True
                    )
                means.append(losses)  # of all the steps, as `fit` shows them
        want, got = by_kind(want), by_kind(got)
        assert got == pytest.approx(want, rel=0.05)
        assert got != want


def state_of(model):
    optimizers = [getattr(model, half) for half in HALVES]
    return [
        (variable, variable.numpy())
        for owner in (model, *optimizers)
        for variable in owner.variables
    ]


def bring_back(model, state):
    model.reset_metrics()
    for variable, value in state:
        variable.assign(value)


def by_kind(runs):
    """The losses' means over runs and directions."""
    kinds = sorted({name.rpartition("_")[0] or name for name in runs[0]})
    return {
        kind: np.mean([v for run in runs for k, v in run.items() if k.startswith(kind)])
        for kind in kinds
    }


def losses_at(model, a, b):
    model.reset_metrics()
    losses = model.test_on_batch(a, b, return_dict=True)
    model.reset_metrics()
    return {name: float(loss) for name, loss in losses.items()}


class TestFloat16:
    def test_scales_both_losses_by_default(self, float16):
        model = small()
        model.compile()
        for name in HALVES:
            optimizer = getattr(model, name)
            assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
            assert isinstance(optimizer.inner_optimizer, keras.optimizers.Adam)

    def test_an_optimizer_that_scales_is_left_as_it_is(self, float16):
        scaling = scaled_sgd(0.1)
        model = small()
        model.compile(scaling, SGD(0.1))
        assert model.generator_optimizer is scaling

    def test_what_is_applied_is_unscaled(self, policy):
        a, b = random_images(1, 8, seed=1), random_images(1, 8, seed=2)
        changes = []
        for name in ("float32", "mixed_float16"):
            policy(name)
            model = small(pool_size=0)
            if name == "float32":
                model.compile(SGD(0.1), SGD(0.1))
            else:
                # Two scales, so that a mix-up of the two would show.
                model.compile(scaled_sgd(0.1, 256.0), scaled_sgd(0.1, 4.0))
            networks = [getattr(model, n) for n in NETWORKS]
            before = weights_of(*networks)
            model.train_on_batch(a, b)
            after = weights_of(*networks)
            changes.append([y - x for x, y in zip(before, after, strict=True)])
        for want, got in zip(*changes, strict=True):
            assert np.abs(want).max() > 1e-5
            np.testing.assert_allclose(got, want, atol=0.02 * np.abs(want).max())

    def test_an_overflow_reaches_neither_losses_nor_pools(self, float16):
        model = small(pool_size=2)
        # A scale past what 16 bits hold: gradients of infinities and of no numbers.
        model.compile(scaled_sgd(0.1, 2.0**60), scaled_sgd(0.1))
        before = weights_of(model.generator_ab, model.generator_ba)
        losses = one_step(
            model, random_images(1, 8, seed=1), random_images(1, 8, seed=2)
        )
        after = weights_of(model.generator_ab, model.generator_ba)
        assert all_equal(before, after), "there was an overflow"
        assert np.isfinite(list(losses.values())).all()
        for pool in (model.pool_a, model.pool_b):
            assert np.isfinite(pool.images).all()

    @pytest.mark.parametrize("at", [0, 1])
    def test_an_overflow_skips_the_step_of_that_optimizer_only(self, float16, at):
        model = small()
        model.compile(scaled_sgd(0.1), scaled_sgd(0.1))
        over, fine = (getattr(model, name) for name in (HALVES[at], HALVES[1 - at]))
        model.train_on_batch(random_images(1, 8), random_images(1, 8))
        over.dynamic_scale.assign(1e30)
        networks = [[getattr(model, n) for n in pair] for pair in _pairs(at)]
        before = [weights_of(*pair) for pair in networks]
        model.train_on_batch(random_images(1, 8), random_images(1, 8))
        after = [weights_of(*pair) for pair in networks]
        assert all_equal(before[0], after[0]) and not all_equal(before[1], after[1])
        assert all(np.all(np.isfinite(w)) for w in after[1])
        assert float(over.dynamic_scale) == pytest.approx(5e29)
        assert int(over.inner_optimizer.iterations) == 1
        assert float(fine.dynamic_scale) == 1024
        assert int(fine.inner_optimizer.iterations) == 2
        assert int(model.steps_done) == 2


def _pairs(first):
    pairs = (NETWORKS[:2], NETWORKS[2:])
    return pairs[first], pairs[1 - first]


class TestXla:
    def test_gives_the_same_losses(self):
        a, b = random_images(1, 4, 1, seed=1), random_images(1, 4, 1, seed=2)
        runs = []
        for jit_compile in (False, True):
            # Twenty steps and a pool of three: old images are seen in both.
            model = straight_lines(pool_size=3, seed=5)
            adams = (keras.optimizers.Adam(1e-2, beta_1=0.5) for _ in HALVES)
            model.compile(*adams, jit_compile=jit_compile)
            runs.append(
                [one_step(model, (a + i / 20) / 2, (b - i / 20) / 2) for i in range(20)]
            )
        for compiled, plain in zip(*runs, strict=True):
            assert compiled == pytest.approx(plain, rel=1e-4)

    @pytest.mark.parametrize(
        "build", [unet_generator, resnet_generator, patch_discriminator]
    )
    def test_gives_the_same_gradients_of_the_real_networks(self, build):
        keras.utils.set_random_seed(0)
        blocks = {"blocks": 2} if build is resnet_generator else {}
        network = build((16, 16, 3), 2, **blocks)
        weights = [w.value for w in network.weights]

        def gradients(x):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(network(x) - 1))
            return tape.gradient(loss, weights)

        plain, compiled = (
            tf.function(gradients, jit_compile=jit_compile)(random_images())
            for jit_compile in (False, True)
        )
        for want, got in zip(plain, compiled, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-4 * np.abs(want).max())

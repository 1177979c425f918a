"""What a saved CycleGAN keeps: all that training goes on from."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers.cyclegans import all_equal, one_step, random_images, small, weights_of

from gan_style.cyclegan import CycleGAN
from gan_style.training.schedules import constant_then_linear


class TestSaving:
    @staticmethod
    def train():
        model = small(
            pool_size=2, validity_weight=1.5, reconstruction_weight=8, identity_weight=3
        )
        rate = constant_then_linear(1e-3, 4, 8)
        model.compile(
            keras.optimizers.Adam(rate, beta_1=0.5),
            keras.optimizers.Adam(2e-3, beta_1=0.4),
        )
        for i in range(5):
            model.train_on_batch(
                random_images(1, 8, seed=2 * i), random_images(1, 8, seed=2 * i + 1)
            )
        return model

    @pytest.fixture(scope="class")
    def trained(self):
        return self.train()

    def test_saves_everything(self, trained, tmp_path):
        model = trained
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        assert isinstance(again, CycleGAN)
        names = [w.path for w in model.variables]
        assert len(names) == len(again.variables)
        for name, old, new in zip(names, model.variables, again.variables, strict=True):
            np.testing.assert_array_equal(old, new, err_msg=name)
        for name in ("generator_optimizer", "discriminator_optimizer"):
            old, new = getattr(model, name), getattr(again, name)
            assert old.get_config() == new.get_config()
            assert all_equal(
                [v.numpy() for v in old.variables], [v.numpy() for v in new.variables]
            )
            assert int(new.iterations) == 5
        assert int(again.steps_done) == 5
        for setting in (
            *("validity_weight", "reconstruction_weight", "identity_weight"),
            *("pool_size", "seed", "name"),
        ):
            assert getattr(again, setting) == getattr(model, setting)

    def test_goes_on_as_if_nothing_had_happened(self, tmp_path):
        model = self.train()
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        for i in range(4):
            batch = random_images(1, 8, seed=50 + i), random_images(1, 8, seed=60 + i)
            assert one_step(model, *batch) == one_step(again, *batch)

    def test_keeps_compile_s_arguments(self, tmp_path):
        model = small()
        model.compile(steps_per_execution=3)
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        assert again.steps_per_execution == 3
        assert again.jit_compile is False

    def test_saves_a_loss_scale(self, policy, tmp_path):
        policy("mixed_float16")
        model = self.train()
        model.generator_optimizer.dynamic_scale.assign(1024.0)
        model.save(tmp_path / "model.keras")
        policy("float32")
        again = keras.models.load_model(tmp_path / "model.keras")
        assert float(again.generator_optimizer.dynamic_scale) == 1024
        assert int(again.generator_optimizer.inner_optimizer.iterations) == 5
        assert again.generator_ab.layers[1].compute_dtype == "float16"

    def test_an_uncompiled_model(self, tmp_path):
        model = small()
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        assert not again.compiled
        assert all_equal(weights_of(model.generator_ab), weights_of(again.generator_ab))

    def test_from_config_builds_anew(self):
        model = small(pool_size=7)
        again = CycleGAN.from_config(model.get_config())
        assert again.pool_size == 7 and again.seed == model.seed
        assert again.generator_ab is not model.generator_ab
        assert again.generator_ab.name == "generator_ab"

    def test_networks_are_reachable_by_name(self):
        model = small()
        assert model.g_AB is model.generator_ab and model.g_BA is model.generator_ba
        assert model.d_A is model.discriminator_a and model.d_B is model.discriminator_b
        a, b = random_images(1, 8, seed=1), random_images(1, 8, seed=2)
        got = model((a, b))
        np.testing.assert_array_equal(got[0], model.generator_ab(a))
        np.testing.assert_array_equal(got[1], model.generator_ba(b))

    def test_loads_where_nothing_but_the_package_was_imported(self, trained, tmp_path):
        trained.save(tmp_path / "model.keras")
        program = (
            "import keras, sys, gan_style; "
            "print(type(keras.saving.load_model(sys.argv[1])).__name__)"
        )
        command = [sys.executable, "-c", program, tmp_path / "model.keras"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.stdout.strip() == "CycleGAN", done.stderr

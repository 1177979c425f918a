"""What people do with any Keras model works, or is refused before the first step."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.cyclegans import SGD, one_step, random_images, small, straight_lines

from gan_style import (
    CycleGAN,
    Pix2Pix,
    datasets,
    patch_discriminator,
    unet_generator,
)
from gan_style.training import constant_then_linear, guards, train


def compiled(rate=1e-3, **options):
    model = small(pool_size=2, **options)
    model.compile(SGD(rate), SGD(2 * rate), run_eagerly=True)
    return model


def paired(rate=1e-3):
    """A Pix2Pix of networks that are quick to trace."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(n, 1, activation="tanh") for n in (3, 1)]
    networks = [
        keras.Sequential([keras.Input((8, 8, channels)), layer])
        for channels, layer in zip((3, 6), layers, strict=True)
    ]
    model = Pix2Pix(*networks)
    model.compile(SGD(rate), SGD(2 * rate), run_eagerly=True)
    return model


def images(count=2, seed=0):
    return random_images(count, 8, seed=seed)


def dataset(change=lambda x: x, batch=1):
    pairs = (change(images(2, 1)), change(images(2, 2)))
    return tf.data.Dataset.from_tensor_slices(pairs).batch(batch)


class Pairs(keras.utils.PyDataset):
    """One batch of pairs, as users write their own data."""

    def __init__(self, images):
        super().__init__()
        self.images = images

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.images, self.images


class TestData:
    @pytest.mark.filterwarnings("error:.*from_generator")
    def test_a_generator_whose_memory_costs_time_is_mentioned(self):
        made = tf.data.Dataset.from_generator(
            lambda: zip(images(2, 1), images(2, 2), strict=True),
            output_signature=(tf.TensorSpec((8, 8, 3)), tf.TensorSpec((8, 8, 3))),
        )
        with pytest.warns(UserWarning, match="from_generator.*numpy_function"):
            compiled().fit(made.batch(1).prefetch(1), verbose=0)
        compiled().fit(dataset(), verbose=0)  # says nothing

    @pytest.mark.parametrize("door", ["fit", "validation_data", "evaluate"])
    def test_a_dataset_of_uint8_is_refused_at_every_door(self, door):
        model, wrong = compiled(), dataset(lambda x: (127 * x + 127).astype("uint8"))
        with pytest.raises(ValueError, match=rf"{door}.*uint8.*127\.5 - 1"):
            if door == "fit":
                model.fit(wrong, verbose=0)
            elif door == "evaluate":
                model.evaluate(wrong, verbose=0)
            else:
                model.fit(dataset(), validation_data=wrong, verbose=0)

    def test_a_dataset_of_other_images_is_refused(self):
        with pytest.raises(
            ValueError, match=r"None, 4, 8, 3.*must be float32.*8, 8, 3"
        ):
            compiled().fit(dataset(lambda x: x[:, ::2]), verbose=0)

    def test_a_dataset_without_batches_is_refused(self):
        with pytest.raises(ValueError, match=r"\(8, 8, 3\).*Batch"):
            compiled().fit(dataset().unbatch(), verbose=0)

    def test_a_dataset_of_single_images_is_refused(self):
        one = tf.data.Dataset.from_tensor_slices(images()).batch(1)
        with pytest.raises(ValueError, match=r"pair \(a, b\).*zip"):
            compiled().fit(one, verbose=0)

    @pytest.mark.parametrize("door", ["train_on_batch", "test_on_batch", "evaluate"])
    def test_arrays_out_of_range_are_refused_at_every_door(self, door):
        with pytest.raises(ValueError, match=rf"CycleGAN\.{door}: x .*\[-1, 1\]"):
            getattr(compiled(), door)(100 * images(), images())

    def test_validation_arrays_are_looked_at(self):
        with pytest.raises(ValueError, match=r"validation_data.*\[-1, 1\]"):
            compiled().fit(
                images(), images(), validation_data=(images(), 9 * images()), verbose=0
            )

    def test_what_fits_is_accepted(self):
        model = compiled()
        model.fit(dataset(), validation_data=dataset(), verbose=0)
        assert int(model.steps_done) == 2

    @pytest.mark.parametrize("call", ["fit", "evaluate", "predict_on_batch"])
    def test_whole_numbers_are_refused_wherever_they_come_from(self, call):
        model, wrong = compiled(), np.full((2, 8, 8, 3), 200, "uint8")
        given = (wrong, wrong) if call == "predict_on_batch" else Pairs(wrong)
        with pytest.raises(ValueError, match=r"uint8.*must be.*in \[-1, 1\]"):
            getattr(model, call)(given)

    def test_floats_of_a_py_dataset_are_looked_at(self):
        with pytest.raises(ValueError, match="fit: x holds numbers from 200"):
            compiled().fit(Pairs(np.full((2, 8, 8, 3), 200.0)), verbose=0)

    def test_images_of_a_python_generator_are_looked_at_in_the_step(self):
        wrong = np.full((2, 8, 8, 3), 200, "uint8")
        with pytest.raises(ValueError, match="dtype of a batch is 'uint8'"):
            compiled().fit((p for p in [(wrong, wrong)]), verbose=0)

    @pytest.mark.parametrize("wrap", [lambda x: x[0], list])
    def test_arrays_of_single_images_are_refused(self, wrap):
        with pytest.raises(ValueError, match="images for x is .*first axis counts"):
            compiled().fit(wrap(images()), wrap(images()), verbose=0)

    def test_a_source_without_test_images_is_said(self):
        data = datasets.load("samples/fruit", 8, train_count=2, test_count=0)
        with pytest.raises(ValueError, match="predict: x has 0 batches"):
            compiled().predict(data.test)

    def test_predict_accepts_a_dataset_of_pairs(self):
        model = compiled()
        like_b, like_a = model.predict(dataset(), verbose=0)
        np.testing.assert_allclose(like_b, model.g_AB(images(2, 1)), atol=1e-5)
        np.testing.assert_allclose(like_a, model.g_BA(images(2, 2)), atol=1e-5)

    @pytest.mark.parametrize("build", [compiled, paired])
    def test_predict_looks_at_its_images(self, build):
        model = build()
        with pytest.raises(ValueError, match=r"predict: x .*\[-1, 1\].*x / 127\.5"):
            model.predict(100 * images(), verbose=0)
        data = dataset(lambda x: x.astype("uint8"))
        with pytest.raises(ValueError, match=r"predict: the dataset x .*uint8"):
            model.predict(data, verbose=0)

    def test_predict_of_one_domain_names_the_way(self):
        with pytest.raises(ValueError, match=r"need a pair \(a, b\).*translate"):
            compiled().predict(images(), verbose=0)

    @pytest.mark.parametrize("name", ["sample_weight", "class_weight"])
    def test_weights_of_images_are_refused(self, name):
        options = {"sample_weight": np.ones(2), "class_weight": {0: 2.0}}
        with pytest.raises(ValueError, match=f"fit: {name} must be None"):
            compiled().fit(images(), images(), verbose=0, **{name: options[name]})

    def test_images_that_are_read_when_asked_for_are_refused(self):
        data = datasets.load("samples/fruit", 16, train_count=2, test_count=2)
        with pytest.raises(ValueError, match=r"fit: x .*x / 127\.5 - 1"):
            compiled().fit(data.train_a, data.train_b, verbose=0)


class TestMeans:
    @pytest.mark.parametrize("build", [compiled, paired])
    @pytest.mark.parametrize("batch_size", [4, 5])
    def test_do_not_depend_on_the_batch_size(self, batch_size, build):
        model, a, b = build(), images(5, 1), images(5, 2)
        want = model.evaluate(a, b, batch_size=1, verbose=0, return_dict=True)
        got = model.evaluate(a, b, batch_size=batch_size, verbose=0, return_dict=True)
        assert got == pytest.approx(want, rel=1e-5)


REPLICAS = """
import sys, json
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
import keras
from helpers.cyclegans import SGD, random_images, small
from gan_style import Pix2Pix
a, b = random_images(5, 8, seed=1), random_images(5, 8, seed=2)

def lines():
    keras.utils.set_random_seed(0)
    networks = [
        keras.Sequential([keras.Input((8, 8, c)), keras.layers.Conv2D(n, 1)])
        for c, n in ((3, 3), (6, 1))
    ]
    return Pix2Pix(*networks)

result = {}
for name, strategy in (
    ("one", tf.distribute.get_strategy()),
    ("two", tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])),
):
    for build in (lambda: small(pool_size=0), lines):
        with strategy.scope():
            model = build()
            model.compile(SGD(1e-2), SGD(1e-2))
        losses = model.evaluate(a, b, batch_size=4, verbose=0, return_dict=True)
        model.fit(a, b, batch_size=4, epochs=2, shuffle=False, verbose=0)
        weights = [w.tolist() for w in model.get_weights()]
        result[f"{name} {type(model).__name__}"] = losses, weights
one = tf.data.Dataset.from_tensor_slices((a, b)).batch(1)
result["refusals"] = []
for call in (
    lambda: model.fit(a, b, batch_size=1, verbose=0),
    lambda: model.evaluate(one, verbose=0),
    lambda: model.fit(a, b, batch_size=4, validation_data=one, verbose=0),
):
    try:
        call()
    except ValueError as error:
        result["refusals"].append(str(error))
print(json.dumps(result))
"""


def test_an_uneven_last_batch_on_two_replicas_counts_images():
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    for name in ("CycleGAN", "Pix2Pix"):
        losses, weights = result[f"two {name}"]
        expected_losses, expected_weights = result[f"one {name}"]
        assert losses == pytest.approx(expected_losses, rel=1e-5)
        for got, expected in zip(weights, expected_weights, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5)
    assert len(result["refusals"]) == 3
    for refusal in result["refusals"]:
        assert "batch_size is 1, but must be a multiple of the 2 replicas" in refusal


class TestCallbacks:
    def test_a_plateau_lowers_both_rates(self):
        model = compiled()
        plateau = keras.callbacks.ReduceLROnPlateau(
            "generators", factor=0.5, patience=1, min_delta=1e9, mode="min"
        )
        model.fit(images(), images(), epochs=3, callbacks=plateau, verbose=0)
        rates = [float(o.learning_rate) for o in model.optimizer.both]
        assert rates[1] == pytest.approx(2 * rates[0]) and rates[0] < 1e-3

    def test_a_scheduler_sets_the_rates(self):
        model = compiled()
        halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
        model.fit(images(), images(), epochs=2, callbacks=[halve], verbose=0)
        rates = [float(o.learning_rate) for o in model.optimizer.both]
        assert rates == pytest.approx([2.5e-4, 5e-4])

    def test_a_warm_up_keeps_the_ratio_of_the_rates(self):
        model = compiled()
        warm_up = keras.callbacks.LearningRateScheduler(lambda epoch: 4e-4 * epoch)
        model.fit(images(), images(), epochs=2, callbacks=[warm_up], verbose=0)
        rates = [float(o.learning_rate) for o in model.optimizer.both]
        assert rates == pytest.approx([4e-4, 8e-4])

    def test_a_rate_of_0_stays_0(self):
        model = small()
        model.compile(SGD(0.0), SGD(1e-3))
        both = keras.callbacks.LearningRateScheduler(lambda epoch: 1e-4)
        model.fit(images(), images(), callbacks=[both], verbose=0)
        rates = [float(o.learning_rate) for o in model.optimizer.both]
        assert rates == pytest.approx([0.0, 1e-3])

    def test_tensorboard_finds_a_rate(self):
        board = keras.callbacks.TensorBoard()
        board.set_model(compiled(2e-4))
        (rate,) = board._collect_learning_rate({}).values()
        assert float(rate) == pytest.approx(2e-4)

    def test_a_schedule_under_loss_scaling_is_seen(self):
        model = small()
        schedule = constant_then_linear(1e-3, 1, 1)
        model.compile(
            *(keras.optimizers.LossScaleOptimizer(SGD(schedule)) for _ in range(2))
        )
        plateau = keras.callbacks.ReduceLROnPlateau("generators")
        with pytest.raises(ValueError, match="a callback is .*ReduceLROnPlateau"):
            model.fit(images(), images(), callbacks=plateau, verbose=0)
        model.generator_optimizer.iterations.assign(2)
        with pytest.warns(UserWarning, match="generator_optimizer has ended"):
            guards.warn_of_ended(model)

    @pytest.mark.parametrize(
        "callback",
        [
            keras.callbacks.ReduceLROnPlateau("generators"),
            keras.callbacks.LearningRateScheduler(lambda epoch: 0.1),
            keras.callbacks.SwapEMAWeights(),
        ],
        ids=lambda callback: type(callback).__name__,
    )
    def test_what_cannot_work_is_refused_at_the_start(self, callback):
        model = small()
        rate = constant_then_linear(1e-3, 5, 5)
        model.compile(SGD(rate), SGD(rate))
        with pytest.raises(
            ValueError, match=f"a callback is .*{type(callback).__name__}"
        ):
            model.fit(images(), images(), callbacks=callback, verbose=0)
        assert int(model.steps_done) == 0

    @pytest.mark.parametrize("build", [compiled, paired])
    def test_early_stopping_leaves_steps_and_optimizers_together(self, build):
        model = build()
        stop = keras.callbacks.EarlyStopping(
            *(model.metrics_names[-1], 1e9, 2), mode="min", restore_best_weights=True
        )
        model.fit(images(), images(), batch_size=1, epochs=9, callbacks=stop, verbose=0)
        done = int(model.steps_done)
        assert done == 2  # those of the first epoch, the best
        assert [int(o.iterations) for o in model.optimizer.both] == [done] * 2

    def test_steps_that_a_loss_scale_skipped_stay_skipped(self, policy):
        policy("mixed_float16")
        model = compiled()
        model.generator_optimizer.dynamic_scale.assign(1e30)  # overflows: no step
        model.fit(images(), images(), batch_size=1, verbose=0)
        first, second = (
            int(o.inner_optimizer.iterations)
            for o in (model.generator_optimizer, model.discriminator_optimizer)
        )
        assert first < second == int(model.steps_done) == 2

    def test_restored_weights_leave_no_negative_count_of_steps(self, policy):
        policy("mixed_float16")
        model = compiled()
        model.generator_optimizer.dynamic_scale.assign(1e30)  # overflows: no step
        stop = keras.callbacks.EarlyStopping(
            *(model.metrics_names[-1], 1e9, 2), mode="min", restore_best_weights=True
        )
        model.fit(images(), images(), batch_size=1, epochs=9, callbacks=stop, verbose=0)
        made = [int(o.iterations) for o in model.optimizer.both]
        assert int(model.steps_done) == 2 and made == [0, 2]

    def test_averages_that_nothing_would_use_are_refused(self):
        adam = keras.optimizers.Adam(use_ema=True)
        for one in adam, keras.optimizers.LossScaleOptimizer(adam):
            with pytest.raises(ValueError, match=r"compile: use_ema.*average_decay"):
                small().compile(one)
        small().compile(keras.optimizers.Adam(use_ema=True, ema_overwrite_frequency=9))

    def test_a_schedule_that_has_ended_is_mentioned(self):
        model = small()
        model.compile(
            *(SGD(constant_then_linear(1e-3, 1, 1)) for _ in range(2)), run_eagerly=True
        )
        model.fit(images(), images(), batch_size=1, verbose=0)
        with pytest.warns(UserWarning, match="of generator_optimizer has ended at 0"):
            model.fit(images(), images(), batch_size=1, epochs=2, verbose=0)

    def test_the_end_of_one_schedule_of_two_is_mentioned(self):
        model = small()
        model.compile(SGD(constant_then_linear(1e-3, 1, 1)), SGD(1e-3))
        model.generator_optimizer.iterations.assign(2)
        with pytest.warns(UserWarning, match="generator_optimizer has ended"):
            guards.warn_of_ended(model)

    @pytest.mark.filterwarnings("error")
    def test_a_warm_up_from_0_is_no_end(self):
        model = small()
        warm_up = keras.optimizers.schedules.CosineDecay(
            0.0, 9, warmup_target=0.1, warmup_steps=5
        )
        model.compile(SGD(warm_up), SGD(0.0))
        guards.warn_of_ended(model)

    def test_what_reads_the_optimizer_is_told_that_there_are_two(self):
        both = compiled(1e-3).optimizer
        both.learning_rate.assign(5e-4)
        rates = [float(o.learning_rate) for o in both.both]
        assert rates == pytest.approx([5e-4, 1e-3])
        with pytest.raises(AttributeError, match=r"no iterations.*generator_optimizer"):
            both.iterations  # noqa: B018

    def test_a_mistaken_compile_leaves_the_model_as_it_was(self):
        model = compiled()
        with pytest.raises(ValueError, match="compile: got 'mse'.*two optimizers"):
            model.compile("adam", "mse")
        model.fit(images(), images(), verbose=0)


class TestAveragesFollow:
    @pytest.fixture
    def model(self):
        model = straight_lines(average_decay=0.9, pool_size=2, seed=1)
        model.compile(SGD(0.05), SGD(0.05))
        for i in range(3):
            one_step(model, *(random_images(1, 4, 1, seed=i + j) for j in (0, 9)))
        return model

    WEIGHTS = (np.full((1, 1, 1, 1), 0.5), np.zeros(1))
    X = 0.1 * random_images(1, 4, 1)

    def test_weights_that_are_set(self, model):
        model.generator_ab.set_weights(self.WEIGHTS)
        np.testing.assert_allclose(model.translate(self.X), 0.5 * self.X, atol=1e-6)

    def test_one_weight_that_is_assigned(self, model):
        model.generator_ab.layers[-1].bias.assign([0.25])
        raw = np.asarray(model.generator_ab(self.X))
        np.testing.assert_allclose(model.translate(self.X), raw, atol=1e-6)

    def test_weights_loaded_from_a_file(self, model, tmp_path):
        other = straight_lines(average_decay=None)
        other.generator_ab.set_weights(self.WEIGHTS)
        other.generator_ab.save_weights(tmp_path / "ab.weights.h5")
        model.generator_ab.load_weights(tmp_path / "ab.weights.h5")
        np.testing.assert_allclose(model.translate(self.X), 0.5 * self.X, atol=1e-6)

    def test_weights_set_after_loading_a_model(self, model, tmp_path):
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        want = model.translate(self.X)
        assert np.abs(want - np.asarray(model.generator_ab(self.X))).max() > 1e-4
        np.testing.assert_array_equal(loaded.translate(self.X), want)
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        loaded.generator_ab.set_weights(self.WEIGHTS)
        np.testing.assert_allclose(loaded.translate(self.X), 0.5 * self.X, atol=1e-6)

    @pytest.mark.parametrize("moment", ["on_epoch_end", "on_train_end"])
    def test_weights_that_a_callback_sets(self, model, moment):
        callback = keras.callbacks.Callback()
        setattr(
            callback,
            moment,
            lambda *_, **__: model.generator_ab.set_weights(self.WEIGHTS),
        )
        pair = (random_images(2, 4, 1, seed=i) for i in (5, 6))
        model.fit(*pair, batch_size=1, callbacks=callback, verbose=0)
        np.testing.assert_allclose(model.translate(self.X), 0.5 * self.X, atol=1e-6)

    def test_what_early_stopping_restores_keeps_its_averages(self, model):
        stop = keras.callbacks.EarlyStopping(
            "generators", min_delta=1e9, mode="min", restore_best_weights=True
        )
        pair = [random_images(2, 4, 1, seed=i) for i in (5, 6)]
        model.fit(*pair, batch_size=1, epochs=3, callbacks=stop, verbose=0)
        raw = np.asarray(model.generator_ab(self.X))
        assert np.abs(model.translate(self.X) - raw).max() > 1e-4

    def test_weights_in_another_order(self):
        model = compiled()
        model.fit(images(), images(), verbose=0)
        turned = [w[..., ::-1] for w in model.generator_ab.get_weights()]
        model.generator_ab.set_weights(turned)
        raw = np.asarray(model.generator_ab(images()))
        np.testing.assert_allclose(model.translate(images()), raw, atol=1e-5)

    def test_weights_set_after_train(self):
        data = datasets.load("samples/fruit", 16, train_count=2, test_count=0)
        model = small(16)
        model.compile()
        train(model, data.train, steps=2)
        other = small(16, seed=5).generator_ab
        model.generator_ab.set_weights(other.get_weights())
        x = random_images(1)
        np.testing.assert_allclose(model.translate(x), np.asarray(other(x)), atol=1e-5)

    def test_weights_set_before_more_training(self, model):
        model.generator_ab.set_weights(self.WEIGHTS)
        one_step(model, *(random_images(1, 4, 1, seed=i) for i in (5, 6)))
        raw, averaged = (
            np.ravel(network.get_weights()[0])
            for network in (model.generator_ab, model.averaged_ab)
        )
        assert np.abs(averaged - 0.5) < np.abs(raw - 0.5) + 1e-6

    def test_a_loop_of_ones_own_keeps_its_averages(self, model):
        before = model.averaged_ab.get_weights()
        step = tf.function(model.train_step)
        step((random_images(1, 4, 1, seed=1), random_images(1, 4, 1, seed=2)))
        model.translate(self.X)
        raw, averaged = (
            network.get_weights()[0]
            for network in (model.generator_ab, model.averaged_ab)
        )
        assert np.abs(averaged - raw).max() > 1e-4
        assert np.abs(averaged - before[0]).max() > 0

    def test_have_names_of_their_own(self, model, tmp_path):
        assert model.averaged_ab.name == f"{model.generator_ab.name}_average"
        model.save(tmp_path / "model.h5")
        assert (tmp_path / "model.h5").stat().st_size > 0


class TestConstruction:
    def test_grey_and_colour_with_an_identity_loss(self):
        def build(**options):
            return CycleGAN(
                keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Conv2D(3, 1)]),
                keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(1, 1)]),
                patch_discriminator((16, 16, 1), 2),
                patch_discriminator((16, 16, 3), 2),
                **options,
            )

        with pytest.raises(ValueError, match=r"for B is .*16, 3\).*identity_weight=0"):
            build()
        build(identity_weight=0)

    def test_domains_of_two_sizes_with_an_identity_loss(self):
        def build(**options):
            line = {"filters": 3, "kernel_size": 2, "strides": 2}
            smaller = keras.layers.Conv2D(**line)
            larger = keras.layers.Conv2DTranspose(**line)
            return CycleGAN(
                keras.Sequential([keras.Input((32, 32, 3)), smaller]),
                keras.Sequential([keras.Input((16, 16, 3)), larger]),
                patch_discriminator((32, 32, 3), 2),
                patch_discriminator((16, 16, 3), 2),
                **options,
            )

        with pytest.raises(ValueError, match=r"for B is .*16, 3\).*identity_weight=0"):
            build()
        build(identity_weight=0)

    def test_networks_of_open_size_with_a_pool(self):
        def build(**options):
            shape = (None, None, 3)
            generators = [unet_generator(shape, 2) for _ in range(2)]
            discriminators = [patch_discriminator(shape, 2) for _ in range(2)]
            return CycleGAN(*generators, *discriminators, **options)

        with pytest.raises(ValueError, match=r"images are \(None.*pool_size=0"):
            build()
        model = build(pool_size=0)
        model.compile(run_eagerly=True)
        for size in (16, 32):
            model.fit(random_images(1, size), random_images(1, size), verbose=0)
        assert int(model.steps_done) == 2

    def test_discriminators_of_another_size(self):
        generators = [unet_generator((16, 16, 3), 2) for _ in range(2)]
        discriminators = [patch_discriminator((32, 32, 3), 2) for _ in range(2)]
        with pytest.raises(ValueError, match=r"discriminator_a .*32, 3\), but must"):
            CycleGAN(*generators, *discriminators)
        with pytest.raises(ValueError, match=r"discriminator .*but must .*16, 16, 6"):
            Pix2Pix(generators[0], patch_discriminator((32, 32, 6), 2))

    def test_a_discriminator_of_another_number_of_channels(self):
        generators = [unet_generator((16, 16, 3), 2) for _ in range(2)]
        discriminators = [patch_discriminator((16, 16, c), 2) for c in (3, 1)]
        with pytest.raises(ValueError, match=r"discriminator_b .*16, 1\), but must"):
            CycleGAN(*generators, *discriminators)

    def test_compile_with_one_optimizer_and_a_loss(self):
        with pytest.raises(ValueError, match="loss, optimizer.*generator_optimizer"):
            small().compile(optimizer="adam", loss="mse")

    def test_frozen_generators(self):
        model = small()
        model.g_AB.trainable = model.g_BA.trainable = False
        with pytest.raises(ValueError, match="no generator has a trainable weight"):
            model.compile()
        model.g_AB.trainable = True
        model.compile()

    def test_frozen_after_compile(self):
        model = compiled()
        model.trainable = False
        with pytest.raises(ValueError, match="fit: no generator has a trainable"):
            model.fit(images(), images(), verbose=0)

    @pytest.mark.parametrize("name", ["bfloat16", "float16"])
    def test_policies_under_which_no_weight_moves(self, policy, name):
        policy(name)
        with pytest.raises(ValueError, match=f"is '{name}'.*mixed_{name}"):
            small().compile()

    def test_fit_before_compile(self):
        with pytest.raises(ValueError, match="CycleGAN.fit: .* not compiled"):
            small().fit(images(), images(), verbose=0)

    def test_another_backend_is_refused_at_once(self, monkeypatch):
        model = small()
        monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
        with pytest.raises(ValueError, match="backend is 'jax'.*KERAS_BACKEND"):
            Pix2Pix(model.g_AB, model.d_A)

    def test_export_names_the_way(self, tmp_path):
        with pytest.raises(ValueError, match="export_savedmodel"):
            compiled().export(tmp_path / "model")

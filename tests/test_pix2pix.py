"""Pix2Pix against the paper's losses, written out by hand in float64."""

import keras
import numpy as np
import pytest
from helpers.cyclegans import SGD, all_equal, one_step, random_images, weights_of

from gan_style import Pix2Pix, datasets, samples
from gan_style.models import patch_discriminator, unet_generator
from gan_style.training import SaveAndResume


def lines(l1_weight=100.0):
    """y = slope * x + offset for both networks, on one channel of 4 x 4 pixels."""
    rng = np.random.default_rng(0)
    networks = []
    for name, channels in (("generator", 1), ("discriminator", 2)):
        line = keras.layers.Conv2D(1, 1, name="line")
        network = keras.Sequential([keras.Input((4, 4, channels)), line], name=name)
        kernel = rng.normal(0.7, 0.3, (1, 1, channels, 1))
        network.set_weights([kernel, rng.normal(0, 0.3, 1)])
        networks.append(network)
    return Pix2Pix(*networks, l1_weight=l1_weight)


def numbers_of(model):
    (slope, offset), (d, e) = (
        [np.ravel(w).astype("float64") for w in network.get_weights()]
        for network in (model.generator, model.discriminator)
    )
    return slope[0], offset[0], d, e[0]


def hand_losses(model, x, y):
    x, y = x.astype("float64"), y.astype("float64")
    slope, offset, d, e = numbers_of(model)
    fake = slope * x + offset
    real_logit, fake_logit = (d[0] * x + d[1] * z + e for z in (y, fake))
    validity = np.mean(np.log1p(np.exp(-fake_logit)))
    reconstruction = np.mean(np.abs(fake - y))
    return {
        "validity": validity,
        "reconstruction": reconstruction,
        "generator": validity + model.l1_weight * reconstruction,
        "discriminator": 0.5 * np.mean(np.log1p(np.exp(-real_logit)))
        + 0.5 * np.mean(np.log1p(np.exp(fake_logit))),
    }


@pytest.fixture
def batch():
    return random_images(2, 4, 1, seed=1), random_images(2, 4, 1, seed=2)


def small(**options):
    keras.utils.set_random_seed(0)
    return Pix2Pix(
        unet_generator((16, 16, 3), 4), patch_discriminator((16, 16, 6), 4), **options
    )


class TestLosses:
    def test_are_the_paper_s(self, batch):
        model = lines()
        model.compile(SGD(0.0), SGD(0.0))
        want = hand_losses(model, *batch)
        assert one_step(model, *batch) == pytest.approx(want, rel=1e-5)
        got = model.test_on_batch(*batch, return_dict=True)
        assert got == pytest.approx(want, rel=1e-5)

    @pytest.mark.parametrize("weight", [0.0, 7.0])
    def test_weight_of_the_l1_distance(self, batch, weight):
        model = lines(weight)
        model.compile(SGD(0.0), SGD(0.0))
        want = hand_losses(model, *batch)["generator"]
        assert one_step(model, *batch)["generator"] == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("run_eagerly", [True, False])
class TestStep:
    def test_generator_descends_its_loss_and_leaves_the_discriminator(
        self, batch, run_eagerly
    ):
        model = lines()
        model.compile(SGD(1.0), SGD(0.0), run_eagerly=run_eagerly)
        x, y = (z.astype("float64") for z in batch)
        slope, offset, d, e = numbers_of(model)
        fake = slope * x + offset
        logit = d[0] * x + d[1] * fake + e
        upstream = -d[1] / (1 + np.exp(logit)) + 100 * np.sign(fake - y)
        before = weights_of(model.discriminator)
        one_step(model, *batch)
        assert all_equal(before, weights_of(model.discriminator))
        new_slope, new_offset, *_ = numbers_of(model)
        assert slope - new_slope == pytest.approx(np.mean(upstream * x), rel=1e-4)
        assert offset - new_offset == pytest.approx(np.mean(upstream), rel=1e-4)

    def test_discriminator_descends_its_loss_and_leaves_the_generator(
        self, batch, run_eagerly
    ):
        model = lines()
        model.compile(SGD(0.0), SGD(1.0), run_eagerly=run_eagerly)
        x, y = (z.astype("float64") for z in batch)
        slope, offset, d, e = numbers_of(model)
        fake = slope * x + offset
        real_error = -0.5 / (1 + np.exp(d[0] * x + d[1] * y + e))
        fake_error = 0.5 / (1 + np.exp(-(d[0] * x + d[1] * fake + e)))
        want = [
            np.mean((real_error + fake_error) * x),
            np.mean(real_error * y + fake_error * fake),
        ]
        before = weights_of(model.generator)
        one_step(model, *batch)
        assert all_equal(before, weights_of(model.generator))
        np.testing.assert_allclose(d - numbers_of(model)[2], want, rtol=1e-4)


def test_learns_a_pairing():
    model = small()
    model.compile(*(keras.optimizers.Adam(2e-3, beta_1=0.5) for _ in range(2)))
    x, y = (
        np.stack([samples.fruit(kind, seed, 16) for seed in range(4)]) / 127.5 - 1
        for kind in ("apple", "orange")
    )
    history = model.fit(x, y, batch_size=1, epochs=30, verbose=0).history
    assert history["reconstruction"][-1] < 0.6 * history["reconstruction"][0]


def test_saved_and_loaded_continues_as_if_nothing_had_happened(tmp_path):
    model = small(l1_weight=50)
    model.compile()
    for i in range(2):
        one_step(model, random_images(1, seed=i), random_images(1, seed=9 + i))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(again, Pix2Pix) and again.l1_weight == 50
    assert int(again.steps_done) == 2
    batch = random_images(1, seed=20), random_images(1, seed=21)
    assert one_step(model, *batch) == one_step(again, *batch)


def test_resumes_bit_for_bit(tmp_path):
    train = datasets.load(
        "samples/fruit", 16, seed=1, train_count=3, test_count=0
    ).train
    straight = small()
    straight.compile()
    straight.fit(train, epochs=2, verbose=0)
    for epochs in (1, 2):
        model = small()
        model.compile()
        saving = SaveAndResume(tmp_path / "training.keras")
        model.fit(train, epochs=epochs, callbacks=[saving], verbose=0)
    assert all_equal(weights_of(straight), weights_of(model))


def test_compiled_by_xla_gives_the_same_losses():
    losses = []
    for jit_compile in (False, True):
        model = small()
        model.compile(jit_compile=jit_compile)
        batch = random_images(1, seed=1), random_images(1, seed=2)
        losses.append([one_step(model, *batch) for _ in range(2)])
    for plain, compiled in zip(*losses, strict=True):
        assert compiled == pytest.approx(plain, rel=1e-3)


def test_translates_uint8_to_uint8():
    image = samples.fruit("apple", 0, 40)
    translated = small().translate(image)
    assert translated.shape == image.shape and translated.dtype == np.uint8


class TestArguments:
    def test_refuses_a_discriminator_of_other_channels(self):
        with pytest.raises(ValueError, match=r"16, 3\), but must be \(16, 16, 6\)"):
            Pix2Pix(unet_generator((16, 16, 3), 2), patch_discriminator((16, 16, 3), 2))

    def test_refuses_what_is_no_model(self):
        with pytest.raises(ValueError, match="Pix2Pix: generator is None"):
            Pix2Pix(None, patch_discriminator((16, 16, 6), 2))

    def test_refuses_other_weights(self):
        with pytest.raises(ValueError, match="Pix2Pix: l1_weight is -1"):
            lines(-1)

    def test_fit_refuses_single_batches(self):
        model = lines()
        model.compile()
        with pytest.raises(ValueError, match=r"Pix2Pix: .* pair"):
            model.fit(random_images(1, 4, 1), verbose=0)

"""What fit shows and keeps: the same images every time, files always whole."""

import math
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.cyclegans import random_images
from PIL import Image, ImageSequence

from gan_style import Pix2Pix, patch_discriminator, unet_generator
from gan_style.evaluation import plotting
from gan_style.training import LossCurves, TranslationGrid
from gan_style.training.callbacks import Film
from gan_style.utils.images import read_image


class Fake(keras.Model):
    """Trains nothing, but shows its step: every translation adds it to all levels."""

    def __init__(self):
        super().__init__()
        self.steps_done = self.add_weight(shape=(), dtype="int64", name="steps_done")
        self.steps_done.assign(0)
        self.asked = []
        self.built = True

    def train_step(self, data):
        self.steps_done.assign_add(1)
        return {"validity_ab": tf.cast(self.steps_done, "float32")}

    def test_step(self, data):
        return {"validity_ab": -tf.cast(self.steps_done, "float32")}

    def translate(self, images, direction):
        self.asked.append((direction, images.copy()))
        sign = 1 if direction == "ab" else 2
        return images + np.uint8(sign * int(self.steps_done))


@pytest.fixture
def model():
    fake = Fake()
    fake.compile(run_eagerly=True)
    return fake


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 99, (2, 2, 16, 16, 3), "uint8")


@pytest.fixture
def displayed(monkeypatch):
    """What a notebook would show: a list of the figures of each place."""
    places = []

    class Handle:
        def update(self, figure):
            places[-1].append(figure)

    def display(figure, display_id):
        places.append([figure])
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    return places


def train(model, *given, epochs=2, steps=3, **options):
    data = tf.data.Dataset.from_tensors((0.0, 0.0)).repeat(steps)
    return model.fit(data, epochs=epochs, callbacks=list(given), verbose=0, **options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def film_steps(folder):
    return [int(name.removesuffix(".png")) for name in names(folder / "film")]


def frames_of(path):
    """The frames of a GIF."""
    with Image.open(path) as film:
        return [np.array(f.convert("RGB")) for f in ImageSequence.Iterator(film)]


def shown(figure):
    """The images of a figure, row by row."""
    return [np.asarray(axes.get_images()[0].get_array()) for axes in figure.axes]


def test_a_row_is_original_translated_reconstructed_and_identity(
    model, images, displayed
):
    model.steps_done.assign(1)
    train(model, TranslationGrid(*images, show=True))
    got = shown(displayed[0][0])
    a, b = images
    for row, (image, forward, inverse) in enumerate(
        [(a[0], 1, 2), (a[1], 1, 2), (b[0], 2, 1), (b[1], 2, 1)]
    ):
        for column, more in enumerate((0, forward, forward + inverse, inverse)):
            assert np.array_equal(got[4 * row + column], image + np.uint8(more))


def test_draws_every_so_many_epochs_and_at_both_ends(model, images, tmp_path):
    train(model, TranslationGrid(*images, every=2, folder=tmp_path), epochs=5)
    grids = [name for name in names(tmp_path) if name.startswith("epoch")]
    assert grids == [f"epoch_{n:04}.png" for n in (0, 2, 4, 5)]


def test_always_shows_the_same_images(model, images):
    given = images.copy()
    grid = TranslationGrid(*images)
    images[:] = 0  # what the caller does afterwards makes no difference
    train(model, grid)
    originals = [seen for _, seen in model.asked if len(seen)][::6]
    assert len(originals) > 1
    for original in originals:
        assert np.array_equal(original, given[0])


def test_the_file_holds_the_grid_to_the_pixel(model, images, tmp_path):
    train(model, TranslationGrid(*images, folder=tmp_path), epochs=1)
    image = read_image(tmp_path / "epoch_0001.png")
    translated = images[0][0] + np.uint8(3)
    corners = np.argwhere((image == translated[0, 0]).all(-1))
    assert any(
        np.array_equal(image[y : y + 16, x : x + 16], translated) for y, x in corners
    )


def test_no_unfinished_file_is_left(model, images, tmp_path):
    train(model, TranslationGrid(*images, folder=tmp_path), LossCurves(tmp_path))
    assert not list(tmp_path.rglob("*.part"))
    assert {"film.gif", "losses.csv", "losses.png"} < set(names(tmp_path))


def test_one_place_in_the_notebook_holds_the_newest(model, images, displayed):
    train(model, TranslationGrid(*images, show=True), epochs=3)
    assert [len(figures) for figures in displayed] == [4]
    train(model, TranslationGrid(*images, show=True), epochs=1)
    assert [len(figures) for figures in displayed] == [4, 2]


def test_shows_nothing_outside_a_notebook(model, images, displayed, monkeypatch):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    train(model, TranslationGrid(*images), LossCurves())
    assert displayed == []


def test_shows_in_a_notebook_by_default(model, images, displayed, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    train(model, LossCurves(), epochs=2)
    assert [len(figures) for figures in displayed] == [2]


def test_the_film_has_a_frame_for_every_grid(model, images, tmp_path):
    train(model, TranslationGrid(*images, folder=tmp_path), epochs=4)
    frames = frames_of(tmp_path / "film.gif")
    assert len(frames) == 5
    assert len({frame.tobytes() for frame in frames}) == 5


def test_a_grid_and_its_frame_translate_once(model, images, tmp_path):
    train(model, TranslationGrid(*images, folder=tmp_path), epochs=2)
    assert len(names(tmp_path / "film")) == 3
    assert (
        len(model.asked) == 3 * 6
    )  # two directions; translated, reconstructed, identity


def test_an_interrupted_training_leaves_a_whole_film(model, images, tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(model, TranslationGrid(*images, folder=tmp_path), Interrupt(), epochs=9)
    assert len(frames_of(tmp_path / "film.gif")) == 4


def test_a_restarted_training_goes_on_with_the_film(model, images, tmp_path):
    train(model, TranslationGrid(*images, folder=tmp_path), epochs=3)
    # Back to the last state that was saved, after the second epoch.
    model.steps_done.assign(6)
    grid = TranslationGrid(*images, folder=tmp_path)
    train(model, grid, epochs=4, initial_epoch=2)
    assert film_steps(tmp_path) == [0, 3, 6, 9, 12]
    assert len(frames_of(tmp_path / "film.gif")) == 5


def test_a_training_from_the_start_begins_a_film_of_its_own(images, tmp_path):
    for epochs in (3, 1):
        model = Fake()
        model.compile(run_eagerly=True)
        grid = TranslationGrid(*images, folder=tmp_path)
        train(model, grid, epochs=epochs)
    assert film_steps(tmp_path) == [0, 3]


def test_waits_for_a_callback_that_restores_a_training(model, images, tmp_path):
    class Restore(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.model.steps_done.assign(6)

    train(model, TranslationGrid(*images, folder=tmp_path))
    grid = TranslationGrid(*images, folder=tmp_path)
    train(model, grid, Restore(), epochs=3, initial_epoch=2)
    assert film_steps(tmp_path) == [0, 3, 6, 9]


def test_a_long_film_is_not_written_anew_at_every_frame(tmp_path):
    class Counting(Film):
        writes = 0

        def write(self):
            self.writes += 1
            super().write()

    film = Counting(tmp_path)
    for step in range(200):
        film.add(step, np.full((2, 2, 3), step, "uint8"))
    assert 20 < film.writes < 100


def test_a_long_film_shows_frames_from_the_first_to_the_last(tmp_path):
    class Unwritten(Film):
        def write(self):
            pass

    film = Unwritten(tmp_path)
    for step in range(1000):
        film.add(step, np.full((2, 2, 3), (step // 256, step % 256, 0), "uint8"))
    Film(tmp_path).write()
    red, green, _ = np.array(frames_of(film.path))[:, 0, 0].T.astype(int)
    shown = 256 * red + green
    assert (shown[0], shown[-1]) == (0, 999)
    assert len(shown) == len(set(shown)) == 160
    assert set(np.diff(shown)) == {6, 7}
    with Image.open(film.path) as gif:
        times = [frame.info["duration"] for frame in ImageSequence.Iterator(gif)]
    assert times == [50] * 159 + [2000]


def test_no_folder_no_film_no_files(model, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(model, TranslationGrid(*images), LossCurves())
    assert names(tmp_path) == []


def test_keeps_the_losses_of_every_epoch(model, tmp_path):
    curves = LossCurves(tmp_path)
    history = train(model, curves, epochs=3)
    assert curves.history["epoch"] == [1, 2, 3]
    assert curves.history["validity_ab"] == history.history["validity_ab"]
    assert (tmp_path / "losses.csv").read_text().splitlines()[0] == "epoch,validity_ab"


def test_a_restarted_training_goes_on_with_the_losses(model, tmp_path):
    before = LossCurves(tmp_path)
    train(model, before, epochs=3)
    curves = LossCurves(tmp_path)
    train(model, curves, epochs=4, initial_epoch=2)
    assert curves.history["epoch"] == [1, 2, 3, 4]
    assert curves.history["validity_ab"][:2] == before.history["validity_ab"][:2]
    assert LossCurves(tmp_path).history == {}


def without_nan(history):
    return {
        name: [None if math.isnan(value) else value for value in values]
        for name, values in history.items()
    }


def test_losses_that_an_epoch_lacks_are_empty(model, tmp_path):
    data = tf.data.Dataset.from_tensors((0.0, 0.0))
    curves = LossCurves(tmp_path)
    options = {"validation_data": data, "validation_freq": 2}
    history = train(model, curves, epochs=3, **options).history
    assert without_nan(curves.history) == {
        "epoch": [1, 2, 3],
        "validity_ab": history["validity_ab"],
        "val_validity_ab": [None, *history["val_validity_ab"], None],
    }
    lines = (tmp_path / "losses.csv").read_text().splitlines()
    assert [line.split(",")[2] for line in lines[1:]] == ["", "-6.0", ""]


def test_a_restart_may_add_and_drop_losses(tmp_path):
    def end(curves, epoch, **losses):
        curves.on_epoch_end(epoch, losses)
        return curves

    curves = LossCurves(tmp_path)
    end(end(curves, 0, validity_ab=0.5), 1, validity_ab=0.4, identity_a=0.2)
    end(LossCurves(tmp_path), 2, validity_ab=0.3, identity_b=math.nan)
    again = end(LossCurves(tmp_path), 3, validity_ab=0.1)
    assert without_nan(again.history) == {
        "epoch": [1, 2, 3, 4],
        "validity_ab": [0.5, 0.4, 0.3, 0.1],
        "identity_a": [None, 0.2, None, None],
        "identity_b": [None, None, None, None],
    }
    assert (tmp_path / "losses.csv").read_text().splitlines()[1:] == [
        *("1,0.5,,", "2,0.4,0.2,", "3,0.3,,nan", "4,0.1,,")
    ]
    assert (tmp_path / "losses.png").exists()


def test_draws_the_losses_every_so_many_epochs(model, displayed):
    train(model, LossCurves(every=2, show=True), epochs=5)
    ends = [figure.axes[0].get_lines()[0].get_xdata()[-1] for figure in displayed[0]]
    assert ends == [2, 4, 5]


def test_the_film_is_of_the_translations(model, images, tmp_path):
    train(model, TranslationGrid(*images, folder=tmp_path), epochs=1)
    last = read_image(tmp_path / "film" / "00000003.png")
    expected = plotting.rendered(
        plotting.image_grid(
            [(a, a + np.uint8(3)) for a in images[0]]
            + [(b, b + np.uint8(6)) for b in images[1]],
            title="epoch 1, step 3",
            zoom=1,
        )
    )
    assert np.array_equal(last, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_a": []}, r"test_a is .*\(0,\), but must be .* of one size"),
        (
            {"test_b": [np.zeros((8, 8, 3)), np.zeros((9, 9, 3))]},
            "test_b is .* of one size",
        ),
        ({"every": 0}, "every is 0"),
        ({"names": ["A"]}, "names has 1 items, but must have 2"),
    ],
)
def test_says_what_it_cannot_show(options, message):
    images = {name: np.zeros((1, 8, 8, 3), "uint8") for name in ("test_a", "test_b")}
    with pytest.raises(ValueError, match=message):
        TranslationGrid(**{**images, **options})


def test_a_pix2pix_is_shown_beside_its_ground_truth(tmp_path, displayed):
    model = Pix2Pix(unet_generator((16, 16, 3), 2), patch_discriminator((16, 16, 6), 2))
    model.compile(run_eagerly=True)
    x, y = random_images(2, seed=1), random_images(2, seed=2)
    curves = LossCurves(tmp_path, show=True)
    grid = TranslationGrid(x, y, folder=tmp_path, show=True)
    model.fit(x, y, callbacks=[grid, curves], verbose=0)
    want = [model.translate(x)[1], y[1]]
    for got, image in zip(shown(displayed[0][-1])[-2:], want, strict=True):
        np.testing.assert_allclose(got, np.rint((image + 1) * 127.5), atol=1)
    assert {"epoch_0001.png", "film.gif", "losses.png"} < set(names(tmp_path))
    labels = [axes.get_legend_handles_labels()[1] for axes in displayed[1][-1].axes]
    assert sorted(labels) == [
        [name] for name in ("discriminator", "generator", "reconstruction", "validity")
    ]


def test_paths_begin_at_home(model, images, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    train(model, TranslationGrid(*images, folder="~/grids"), LossCurves("~/curves"))
    assert names(tmp_path) == ["curves", "grids"]
    assert "film.gif" in names(tmp_path / "grids")
    assert names(tmp_path / "curves") == ["losses.csv", "losses.png"]

"""A training that was interrupted equals one that was not, bit for bit."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import resume_script
from helpers.resume_script import make_images

from gan_style import datasets
from gan_style.training import SaveAndResume
from gan_style.utils.images import UnreadableImage

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def folder(tmp_path):
    return make_images(tmp_path)


@pytest.fixture(scope="module")
def straight(tmp_path_factory, fresh):
    """The states of one training without interruption, after 7, 14 and 15 steps."""
    folder = make_images(tmp_path_factory.mktemp("straight"))
    wanted, states = (7, 14, 15), {}

    class Note(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            step = int(self.model.steps_done)
            if step in wanted:
                states[step] = resume_script.state(self.model)

    train = resume_script.load(folder).train
    fresh().fit(train, epochs=3, verbose=0, callbacks=[Note()])
    return states


def run(folder, what):
    """Trains in another process; returns its exit code and what it printed."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, resume_script.__file__, what, folder],
        env=environment,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def resumed(tmp_path_factory, straight, fresh):
    """What a new process made of the state of this one and of one that was killed."""
    folder = make_images(tmp_path_factory.mktemp("resumed"))
    model = fresh()
    model.fit(resume_script.load(folder).train, steps_per_epoch=7, verbose=0)
    assert_same(resume_script.state(model), straight[7])
    model.save(folder / "half.keras")
    code, output = run(folder, "killed")
    assert code == -signal.SIGKILL, output
    code, output = run(folder, "resumed")
    assert code == 0, output
    notes = json.loads((folder / "notes.json").read_text())

    def of(kind):
        with np.load(folder / f"{kind}.npz") as file:
            return dict(file), notes[kind]

    return of


def assert_same(state, expected):
    assert list(state) == list(expected)
    different = [key for key in state if not np.array_equal(state[key], expected[key])]
    assert not different


@pytest.mark.slow
def test_half_saved_loaded_in_a_new_process_and_the_other_half(resumed, straight):
    state, notes = resumed("load")
    assert notes["steps"] == [*range(7, 14)]  # from the middle of an epoch
    assert_same(state, straight[14])


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "saved"), [("every", 8), ("batches", 6)])
def test_killed_in_the_middle_of_an_epoch(resumed, straight, kind, saved):
    state, notes = resumed(kind)
    assert notes == {"steps": [*range(saved, 15)], "epochs": [1, 2]}
    assert_same(state, straight[15])


class Stop(Exception):
    pass


class StopBefore(resume_script.Seen):
    """Breaks off before a certain step, without a new process."""

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.steps_done) == self.kill_at:
            raise Stop
        super().on_train_batch_begin(batch, logs)


@pytest.mark.parametrize("kind", ["every", "ours", "batches", "epochs"])
def test_interrupted_twice(folder, straight, fresh, kind):
    train = resume_script.load(folder).train
    for at in (4, 8):
        callbacks = [resume_script.callback(folder, kind), StopBefore(at)]
        with pytest.raises(Stop):
            fresh().fit(train, epochs=3, verbose=0, callbacks=callbacks)
    callbacks = [resume_script.callback(folder, kind)]
    model = fresh()
    model.fit(train, epochs=3, verbose=0, callbacks=callbacks)
    assert_same(resume_script.state(model), straight[15])


def test_a_rerun_of_the_same_model_goes_on_from_the_file(folder, straight, fresh):
    model, train = fresh(), resume_script.load(folder).train
    with pytest.raises(Stop):
        callbacks = [resume_script.callback(folder, "every"), StopBefore(8)]
        model.fit(train, epochs=3, verbose=0, callbacks=callbacks)
    callbacks = [resume_script.callback(folder, "every")]
    model.fit(train, epochs=3, verbose=0, callbacks=callbacks)
    assert_same(resume_script.state(model), straight[15])
    history = model.fit(train, epochs=3, verbose=0, callbacks=callbacks)
    assert history.epoch == []
    assert_same(resume_script.state(model), straight[15])


def test_the_file_is_a_whole_model_and_no_other_is_left(folder, straight, fresh):
    train = resume_script.load(folder).train
    callbacks = [resume_script.callback(folder, "every")]
    fresh().fit(train, epochs=3, verbose=0, callbacks=callbacks)
    model = keras.models.load_model(folder / "every.keras")
    assert_same(resume_script.state(model), straight[15])
    assert sorted(os.listdir(folder)) == ["every.keras", "images"]


def test_a_save_that_breaks_off_leaves_the_file_before(folder, monkeypatch, fresh):
    model, train = fresh(), resume_script.load(folder).train
    callback = resume_script.callback(folder, "every")
    model.fit(train, epochs=1, verbose=0, callbacks=[callback])
    before = (folder / "every.keras").read_bytes()

    def half(path):
        Path(path).write_bytes(before[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "save", half)
    with pytest.raises(KeyboardInterrupt):
        model.fit(train, epochs=2, verbose=0, callbacks=[callback])
    assert (folder / "every.keras").read_bytes() == before


def test_a_training_that_saves_often_builds_nothing_each_time(
    folder, monkeypatch, fresh
):
    # What Keras alone builds and TensorFlow then keeps: two optimizers at each saving.
    # The memory itself tells only after hundreds, when the room that the compiling
    # of the step left is filled up.
    model, built = fresh(), []
    optimizer = keras.optimizers.Optimizer
    begin = optimizer.__init__

    def noted(self, *args, **kwargs):
        built.append(self)
        begin(self, *args, **kwargs)

    monkeypatch.setattr(optimizer, "__init__", noted)
    callbacks = [
        SaveAndResume(folder / "it.keras", every=1),
        keras.callbacks.ModelCheckpoint(
            folder / "it.weights.h5", save_weights_only=True
        ),
    ]
    keras.utils.clear_session()  # what an earlier training found is not there
    model.fit(
        resume_script.load(folder).train, epochs=1, verbose=0, callbacks=callbacks
    )
    assert len(built) == 1


def test_weights_that_are_not_finite_are_not_saved(folder, fresh):
    model, train = fresh(), resume_script.load(folder).train
    callback = resume_script.callback(folder, "ours")
    model.fit(train, epochs=1, verbose=0, callbacks=[callback])
    model.trainable_weights[0].assign(model.trainable_weights[0] * np.nan)
    callback.on_epoch_begin(1)
    model.steps_done.assign(9)
    with pytest.warns(UserWarning, match="not finite at step 9"):
        callback.on_epoch_end(1)
    again = keras.models.load_model(folder / "ours.keras")
    assert int(again.steps_done) == 5


def test_steps_together_that_do_not_fit_a_cut_epoch_are_refused(folder, fresh):
    for together, message in ((1, None), (4, "3 steps are left of this epoch")):
        if together == 1:
            model = fresh()
        else:
            model = resume_script.build()
            model.compile(steps_per_execution=together)
        with pytest.raises(Stop if together == 1 else ValueError, match=message):
            model.fit(
                resume_script.load(folder).train,
                epochs=3,
                verbose=0,
                callbacks=[SaveAndResume(folder / "x.keras", 2), StopBefore(2)],
            )


def test_another_training_is_refused(folder, fresh):
    model = fresh()
    images = np.zeros((1, 16, 16, 3), "float32")
    with pytest.raises(
        ValueError, match=r"CycleGAN.fit on a .* of gan_style\.datasets"
    ):
        model.fit(
            images, images, verbose=0, callbacks=[SaveAndResume(folder / "x.keras")]
        )


def test_another_suffix_is_refused():
    with pytest.raises(ValueError, match=r"must be a \.keras file"):
        SaveAndResume("training.h5")


def test_a_broken_image_ends_training_by_its_name(folder, fresh):
    path = folder / "images" / "trainB" / "4.png"
    path.write_bytes(path.read_bytes()[:-200])
    data = datasets.load(folder / "images", 16)
    with pytest.raises(UnreadableImage, match=r"trainB.4\.png"):
        fresh().fit(data.train, verbose=0)

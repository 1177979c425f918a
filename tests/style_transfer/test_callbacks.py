"""Keras callbacks in a run of style transfer: honoured, or refused by name."""

import csv

import keras
import numpy as np
import pytest
from helpers.style_runs import transfer

from gan_style.training import LossCurves


def run(made, steps=1, **options):
    return made.run(steps, [16, 32], **{"progress": False, **options})


def test_a_bar_is_drawn_only_where_wanted(capfd):
    run(transfer())
    assert "painting" not in capfd.readouterr().err
    run(transfer(), progress=True)
    assert "painting" in capfd.readouterr().err


class Watch(keras.callbacks.Callback):
    """Writes down what it is told, and stops or fails after some steps."""

    def __init__(self, stop_after=99, error=None):
        super().__init__()
        self.told, self.stop_after, self.error = [], stop_after, error

    def on_train_begin(self, logs=None):
        self.told.append("begin")

    def on_epoch_begin(self, epoch, logs=None):
        self.told.append(f"scale {epoch} of {self.params['epochs']}")

    def on_train_batch_begin(self, batch, logs=None):
        self.told.append(f"step {batch} of {self.params['steps']}")

    def on_train_batch_end(self, batch, logs=None):
        self.told.append(self.model.image().shape[:2])
        assert logs["total"] == logs["loss"] == self.model.history["total"][-1]
        if len(self.model.history["total"]) == self.stop_after:
            if self.error:
                raise self.error
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        self.told.append(f"end {sorted(logs)[0]}")

    def on_train_end(self, logs=None):
        self.told.append("over")


def test_callbacks_are_told_everything_and_see_the_image():
    watch = Watch()
    run(transfer(), [1, 2], callbacks=[watch])
    assert watch.told == [
        *("begin", "scale 0 of 2", "step 0 of 1", (12, 16), "end content"),
        *("scale 1 of 2", "step 0 of 2", (24, 32), "step 1 of 2", (24, 32)),
        *("end content", "over"),
    ]


def test_a_callback_stops_the_run_and_the_image_is_there():
    watch = Watch(stop_after=2)
    result = run(transfer(), 5, callbacks=watch)
    assert len(result.history["total"]) == 2 and watch.told[-1] == "over"
    assert result.image.shape == (12, 16, 3)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyboardInterrupt()])
def test_callbacks_are_told_when_an_error_or_the_user_ends_the_run(error):
    first, second = Watch(), Watch(stop_after=2, error=error)
    made = transfer()
    with pytest.raises(type(error)):
        run(made, 5, callbacks=[first, second])
    assert first.told[-1] == second.told[-1] == "over"
    assert made.image().shape == (12, 16, 3)


def test_keras_history_has_an_entry_per_scale_and_leaves_the_run_s_own():
    history, watch, made = keras.callbacks.History(), Watch(), transfer()
    result = run(made, 2, callbacks=[history, watch])
    assert history.epoch == [0, 1]
    assert history.history["total"] == result.history["total"][1::2]
    assert made.history is result.history


def test_keras_callbacks_write_stop_and_print(tmp_path, capsys):
    path = tmp_path / "losses.csv"
    callbacks = [
        keras.callbacks.CSVLogger(path),
        keras.callbacks.EarlyStopping("loss", min_delta=1e30, patience=1),
        keras.callbacks.ProgbarLogger(),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.LambdaCallback(on_train_end=lambda logs: print("the end")),
    ]
    result = transfer().run(2, [8, 16, 24, 32], callbacks=callbacks, progress=False)
    assert result.image.shape == (12, 16, 3)  # stopped after the second scale
    rows = list(csv.DictReader(path.open()))
    assert [float(row["total"]) for row in rows] == result.history["total"][1::2]
    assert "2/2" in (printed := capsys.readouterr().out) and "the end" in printed


@pytest.mark.parametrize("assign", [True, False])
def test_callbacks_set_the_learning_rate_of_adam(assign):
    rates = []

    class Halve(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))
            assert self.params["steps"] == 1 and self.model.image().shape[0] == 12

        def on_train_batch_end(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))
            half = rates[-1] / 2
            if assign:
                self.model.optimizer.learning_rate.assign(half)
            else:
                self.model.optimizer.learning_rate = half

    options = {"optimizer": "adam", "callbacks": [Halve()]}
    halved = run(transfer(), [1, 3], **options).image
    # The second scale goes on with the first's.
    assert rates == [5, 5, 2.5, 1.25, 0.625]
    assert (
        halved != run(transfer(), [1, 3], **{**options, "callbacks": []}).image
    ).any()


def test_keras_own_callbacks_set_the_learning_rate_of_adam():
    adam, made = {"optimizer": "adam"}, transfer()
    schedule = keras.callbacks.LearningRateScheduler(lambda scale, rate: rate / 4)
    run(made, callbacks=[schedule], **adam)
    assert float(made.optimizer.learning_rate) == 5 / 16
    plateau = keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=1e9)
    result = run(made, callbacks=[plateau], **adam)
    assert float(made.optimizer.learning_rate) == 2.5
    assert len(result.history["total"]) == 2
    with pytest.raises(ValueError, match="ReduceLROnPlateau.*must monitor content"):
        run(made, callbacks=[keras.callbacks.ReduceLROnPlateau()], **adam)


def test_tensorboard_logs_each_scale(tmp_path):
    pytest.importorskip("tensorboard")
    board = keras.callbacks.TensorBoard(tmp_path, write_graph=False, update_freq=1)
    run(transfer(), 2, callbacks=[board])
    assert any(path.is_file() for path in tmp_path.rglob("events*"))


def test_a_loss_that_is_not_finite_ends_the_run():
    made = transfer()
    loss = made.objective(16, margin=8)
    made.objective = lambda *_: lambda x, tile_size: (loss(x)[0] * np.nan, loss(x)[1])
    result = run(made, 5, callbacks=[keras.callbacks.TerminateOnNaN()])
    assert len(result.history["total"]) == 1


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (keras.callbacks.ModelCheckpoint("x.keras"), "ModelCheckpoint.*checkpoint="),
        (keras.callbacks.BackupAndRestore("x"), "BackupAndRestore.*checkpoint="),
        (keras.callbacks.ReduceLROnPlateau("loss"), "Plateau.*optimizer='adam'"),
        (keras.callbacks.LearningRateScheduler(abs), "Scheduler.*optimizer='adam'"),
        (keras.callbacks.SwapEMAWeights(), "SwapEMAWeights.*'adam'"),
        (
            keras.callbacks.EarlyStopping("loss", restore_best_weights=True),
            "EarlyStopping.*restore_best_weights=False",
        ),
        (keras.callbacks.EarlyStopping(), "EarlyStopping.*monitor content.*'min'"),
        (keras.callbacks.EarlyStopping("total"), "EarlyStopping.*mode='min'"),
        (keras.callbacks.TensorBoard("x"), "TensorBoard.*write_graph=False"),
        (LossCurves(show=False), "LossCurves.*CycleGAN"),
        (print, "must have Keras callbacks, not <built-in function print>"),
    ],
)
def test_what_cannot_work_is_refused_by_name_before_anything_is_told(
    callback, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    watch = Watch()
    with pytest.raises(ValueError, match=message):
        run(transfer(), callbacks=[watch, callback])
    assert watch.told == [] and list(tmp_path.iterdir()) == []

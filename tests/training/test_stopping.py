"""StopAtBest keeps the best state, says why it stops, and continues when resumed."""

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

from gan_style import datasets
from gan_style.training import SaveAndResume, StopAtBest
from gan_style.training.stopping import best

A, B = random_images(6, 4, 1, seed=1) / 4, random_images(6, 4, 1, seed=2) / 4 + 0.5


def moments(images):
    """Features that tell dark images from light ones."""
    images = np.asarray(images)
    return np.stack([images.mean((1, 2, 3)), images.std((1, 2, 3))], axis=1)


def stop_at_best(folder, **options):
    options = {"every": 1, "patience": 2, "extractor": moments, **options}
    return StopAtBest(folder / "best.keras", A, B, **options)


class Course(keras.callbacks.Callback):
    """After each step, sets how far A is moved towards B, and B towards A."""

    def __init__(self, course):
        super().__init__()
        self.course = course

    def on_train_batch_end(self, batch, logs=None):
        share = self.course[int(self.model.steps_done) - 1]
        for name, sign in zip(NETWORKS[:2], (1, -1), strict=True):
            weights = np.ones((1, 1, 1, 1)), np.full(1, sign * share * 0.5)
            getattr(self.model, name).set_weights(weights)


@pytest.fixture(scope="module")
def lines():
    model = straight_lines(pool_size=0, average_decay=None)
    model.compile(SGD(0.0), SGD(0.0))
    return model


def trained(model, course, stop):
    """Follow a course, a step each; return the step at which training ended."""
    model.steps_done.assign(0)
    data = tf.data.Dataset.from_tensors((A[:1], B[:1])).repeat(len(course))
    steps = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(batch)
    )
    callbacks = [count, Course(course), stop]
    model.fit(data, callbacks=callbacks, shuffle=False, verbose=0)
    return len(steps)


def offset(model):
    return float(model.generator_ab.get_weights()[1][0])


class TestScore:
    def test_is_1_for_nothing_and_0_for_the_other_domain(self, lines, tmp_path):
        stop = stop_at_best(tmp_path, patience=9)
        trained(lines, [0.0, 0.5, 1.0], stop)
        scores = [check.score for check in stop.checks]
        assert scores[0] == pytest.approx(1, abs=0.05)
        assert 0.1 < scores[1] < 0.5 and abs(scores[2]) < 0.05
        assert all(check.error > 0 for check in stop.checks)


class TestStop:
    def test_gives_the_model_the_best_state(self, lines, tmp_path, capsys):
        stop = stop_at_best(tmp_path)
        assert trained(lines, [0.0, 1.0, 0.5, 0.2, 0.8, 1.0], stop) == 4
        assert best(stop.checks).step == 2 and int(lines.steps_done) == 2
        assert offset(lines) == 0.5
        said = capsys.readouterr().out
        assert "Step 4: no check of the last 2 was better by a standard error" in said
        assert "The model is that of step 2" in said

    def test_waits_while_the_distance_falls(self, lines, tmp_path, capsys):
        stop = stop_at_best(tmp_path)
        assert trained(lines, [0.0, 0.2, 0.4, 0.6, 0.8], stop) == 5
        assert offset(lines) == pytest.approx(0.4)
        assert "Step 5: training has ended" in capsys.readouterr().out

    def test_keeps_a_file_that_keras_loads(self, lines, tmp_path):
        trained(lines, [1.0, 0.0], stop_at_best(tmp_path))
        model = keras.saving.load_model(tmp_path / "best.keras")
        assert int(model.steps_done) == 1 and offset(model) == 0.5

    def test_says_what_diagnosis_finds(self, lines, tmp_path, capsys):
        stop = stop_at_best(tmp_path, patience=4)
        trained(lines, [0.0] * 5, stop)
        assert {"unchanged"} <= {finding.kind for finding in stop.findings}
        assert "images come out as they are" in capsys.readouterr().out

    def test_leaves_optimizers_at_the_step_of_the_best_state(self, tmp_path):
        model = straight_lines(pool_size=0, average_decay=None)
        model.compile()
        trained(model, [0.0, 1.0, 0.5, 0.2, 0.8, 1.0], stop_at_best(tmp_path))
        made = [int(o.iterations.numpy()) for o in model.optimizer.both]
        assert made == [2, 2] == 2 * [int(model.steps_done)]

    def test_says_that_there_was_no_check(self, lines, tmp_path, capsys):
        trained(lines, [1.0, 0.0], stop_at_best(tmp_path, every=3))
        assert "no check, as 3 steps were not made" in capsys.readouterr().out


class TestResume:
    @pytest.fixture(scope="class")
    def data(self):
        return datasets.load("samples/fruit", 16, seed=1, train_count=3, test_count=4)

    def run(self, data, folder, epochs, stop_after=99):
        model = small(16, pool_size=2)
        model.compile()
        mean = lambda images: np.mean(images, (1, 2))  # noqa: E731
        stop = StopAtBest(
            *(folder / "best.keras", data.test_a, data.test_b),
            every=3, patience=stop_after, extractor=mean,
        )  # fmt: skip
        # The state where it was interrupted, and only then the best.
        callbacks = [SaveAndResume(folder / "training.keras"), stop]
        model.fit(data.train, epochs=epochs, callbacks=callbacks, verbose=0)
        return stop, model

    def test_continues_the_checks_and_the_choice(self, data, tmp_path):
        straight, model = self.run(data, tmp_path / "straight", 4)
        for epochs in 2, 4:
            resumed, again = self.run(data, tmp_path / "resumed", epochs)
        assert len(straight.checks) == 4
        assert resumed.checks == straight.checks and best(resumed.checks) == best(
            straight.checks
        )
        assert (
            int(again.steps_done) == int(model.steps_done) == best(straight.checks).step
        )
        assert all_equal(*(m.generator_ab.get_weights() for m in (model, again)))

    def test_the_same_script_again_gives_the_best_state_again(self, data, tmp_path):
        first, _ = self.run(data, tmp_path, 4)
        again, model = self.run(data, tmp_path, 4)
        assert again.checks == first.checks
        assert int(model.steps_done) == best(first.checks).step

    def test_checks_fall_on_the_same_steps(self, data, tmp_path):
        """Whatever step the training resumes at: here 4, of epochs of 3 steps."""
        model = small(16, pool_size=2)
        model.compile()
        saving = SaveAndResume(tmp_path / "training.keras", every=4)

        class PowerCut(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                if int(self.model.steps_done) == 5:
                    raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            callbacks = [saving, PowerCut()]
            model.fit(data.train, epochs=4, callbacks=callbacks, verbose=0)
        resumed, _ = self.run(data, tmp_path, 4)
        straight, _ = self.run(data, tmp_path / "straight", 4)
        assert [check.step for check in resumed.checks] == [6, 9, 12]
        assert resumed.checks == straight.checks[1:]

    def test_a_check_that_lies_ahead_does_not_end_it(self, lines, tmp_path):
        course = [0.0, 0.1, 0.2, 0.3, 1.0, 0.5, 0.4]
        straight = stop_at_best(tmp_path / "straight", patience=3)
        (tmp_path / "straight").mkdir()
        trained(lines, [*course, 0.3], straight)
        # Killed after step 5, the best, and resumed from step 1.
        trained(lines, course[:5], stop_at_best(tmp_path, patience=3))
        lines.steps_done.assign(1)
        resumed = stop_at_best(tmp_path, patience=3)
        data = tf.data.Dataset.from_tensors((A[:1], B[:1])).repeat(7)
        lines.fit(data, callbacks=[Course([*course, 0.3]), resumed], verbose=0)
        assert resumed.checks == straight.checks

    def test_the_state_reported_is_that_of_the_file(self, lines, tmp_path, capsys):
        # Killed at step 4 and resumed from 1, on a machine that rounds otherwise.
        trained(lines, [0.0, 0.2, 0.9, 0.3], stop_at_best(tmp_path, patience=9))
        lines.steps_done.assign(1)
        resumed = stop_at_best(tmp_path, patience=9)
        data = tf.data.Dataset.from_tensors((A[:1], B[:1])).repeat(2)
        course = Course([0.0, 0.1, 0.5])
        lines.fit(data, callbacks=[course, resumed], verbose=0)
        assert [check.step for check in resumed.checks] == [1, 3, 2, 3]
        assert "that of step 3: 0%" in capsys.readouterr().out.splitlines()[-1]
        assert resumed.checks[1].score < 0.1 < resumed.checks[3].score
        assert offset(lines) == pytest.approx(0.45)

    def test_a_training_from_the_start_forgets_the_checks(self, data, tmp_path):
        self.run(data, tmp_path, 1)
        (tmp_path / "training.keras").unlink()
        stop, _ = self.run(data, tmp_path, 2)
        assert [check.step for check in stop.checks] == [3, 6]

    def test_refuses_notes_that_are_not_its_own(self, data, tmp_path):
        self.run(data, tmp_path, 1)
        for text in "{", "[[3, 1]]", '{"a": 1}':
            (tmp_path / "best.json").write_text(text)
            with pytest.raises(ValueError, match="best.json.*written by StopAtBest"):
                self.run(data, tmp_path, 2)


def test_refuses_another_suffix(tmp_path):
    with pytest.raises(ValueError, match="path is best.h5, but must be a .keras file"):
        StopAtBest("best.h5", A, B)


@pytest.mark.parametrize("name", ["every", "patience"])
def test_refuses_other_numbers(name, tmp_path):
    with pytest.raises(ValueError, match=f": {name} is 0"):
        stop_at_best(tmp_path, **{name: 0})

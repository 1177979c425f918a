"""Several steps in one call of TensorFlow are the same steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.cyclegans import random_images, straight_lines
from helpers.resume_script import build, load, make_images, state

from gan_style.training import SaveAndResume


def both_ways(build, train):
    """Trains twenty steps, one at a time and four, and compares all there is."""
    runs = []
    for together in (1, 4):
        model = build()
        adams = (keras.optimizers.Adam(0.01, beta_1=0.5, name=name) for name in "gd")
        model.compile(*adams, steps_per_execution=together)
        history = train(model).history
        runs.append((state(model), history, int(model.steps_done)))
    (one, history, steps), (four, history_of_four, steps_of_four) = runs
    assert steps == steps_of_four == 20
    assert list(one) == list(four)
    assert not [name for name in one if not np.array_equal(one[name], four[name])]
    assert history_of_four.keys() == history.keys()
    for name, means in history.items():
        assert history_of_four[name] == pytest.approx(means, rel=1e-5), name


def test_in_fit():
    # Ten steps an epoch: the last call of each has two left.
    a, b = random_images(10, 4, 1, seed=1), random_images(10, 4, 1, seed=2)
    data = tf.data.Dataset.from_tensor_slices((a, b)).batch(1)
    both_ways(
        lambda: straight_lines(pool_size=3, seed=5, average_decay=0.9, name="cyclegan"),
        lambda model: model.fit(data, epochs=2, shuffle=False, verbose=0),
    )


def test_in_a_training_that_can_resume(tmp_path):
    train = load(make_images(tmp_path)).train  # five steps an epoch

    def fit(model):
        path = tmp_path / f"{model.steps_per_execution}.keras"
        callbacks = [SaveAndResume(path, every=3)]
        return model.fit(train, epochs=4, callbacks=callbacks, verbose=0)

    both_ways(build, fit)

"""CycleGAN's learning rate."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_style.training import constant_then_linear


def test_hits_its_end_points_exactly():
    rate = constant_then_linear(2e-4, 100, 50)
    assert [float(rate(step)) for step in (0, 1, 99, 100)] == [
        float(np.float32(2e-4))
    ] * 4
    assert float(rate(125)) == pytest.approx(1e-4)
    assert [float(rate(step)) for step in (150, 151, 10**9)] == [0.0] * 3


def test_counts_beyond_what_float32_can():
    start = 2**25 + 1  # float32 has no such number
    rate = constant_then_linear(1.0, start, 4)
    steps = tf.range(start - 1, start + 6, dtype="int64")
    assert [float(rate(step)) for step in steps] == [1, 1, 0.75, 0.5, 0.25, 0, 0]


def test_falls_evenly_over_many_steps():
    rate = constant_then_linear(1.0, 0, 2**26)
    assert float(rate(2**26 - 1)) == 2.0**-26


def test_drives_an_optimizer_and_ends_in_rest():
    variable = keras.Variable(0.0)
    optimizer = keras.optimizers.SGD(constant_then_linear(1.0, 2, 4))
    path = [0.0]
    for _ in range(8):
        optimizer.apply([tf.constant(-1.0)], [variable])
        path.append(float(variable))
    assert np.diff(path).tolist() == [1, 1, 1, 0.75, 0.5, 0.25, 0, 0]


def test_config_survives():
    rate = constant_then_linear(0.5, 3, 7)
    optimizer = keras.optimizers.Adam(rate, beta_1=0.5)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert float(again._learning_rate(5)) == float(rate(5)) < 0.5


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((-1.0, 1, 1), "learning_rate"),
        (("fast", 1, 1), "learning_rate"),
        ((1.0, -1, 1), "constant_steps"),
        ((1.0, 1, 0), "decay_steps"),
        ((1.0, 1, 2.5), "decay_steps"),
    ],
)
def test_refuses_other_arguments(arguments, word):
    with pytest.raises(ValueError, match=f"constant_then_linear: {word}"):
        constant_then_linear(*arguments)

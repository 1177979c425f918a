"""Random numbers from counters."""

import numpy as np
from keras import ops

from gan_style.utils.counter_random import uniform


def counter(number):
    return ops.convert_to_tensor(number, "uint32")


def test_numbers_are_even():
    drawn = np.concatenate([uniform(2000, counter(0), counter(i)) for i in range(5)])
    counts, _ = np.histogram(drawn, bins=10, range=(0, 1))
    # Binomial(10000, 1/10): five standard deviations are 150.
    assert drawn.min() >= 0 and drawn.max() < 1
    assert np.all(np.abs(counts - 1000) < 150)
    pairs = np.corrcoef(drawn[:-1], drawn[1:])[0, 1]
    assert abs(pairs) < 0.05


def test_every_counter_changes_them():
    runs = [(0, 0), (0, 1), (1, 0), (1, 1)]
    drawn = [np.asarray(uniform(4, *map(counter, run))) for run in runs]
    assert len({tuple(numbers) for numbers in drawn}) == 4

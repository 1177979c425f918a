"""How far are two paintings of one scene apart, whose strokes lie elsewhere?

    python benchmarks/quality/repainted.py

Paints every drawn test landscape again, with the same palette and the same dabs, but
other places of the strokes, and prints the distance to the ground truth in levels of
255; that of the mean of many paintings, which is a blur; and that of the best baseline.
The first is what a perfect painter is to expect of the paired error.
"""

import argparse

import numpy as np

from gan_style import datasets, evaluation
from gan_style.datasets.samples.canvas import SampleRNG, finish
from gan_style.datasets.samples.landscapes import Landscape, paint_strokes


def repaintings(seed, size, count):
    for turn in range(count):
        view = Landscape(size, 11, seed)
        yield finish(paint_strokes(view, SampleRNG(12, seed, 1 + turn)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=80)
    parser.add_argument("--test", type=int, default=48)
    parser.add_argument("--times", type=int, default=16)
    options = parser.parse_args()
    counts = {"train_count": 100, "test_count": options.test}
    data = datasets.load("samples/landscape", options.size, seed=1, **counts)
    truth = np.asarray(data.truth_ab, "float64")
    seeds = [source.seed for source in data.test_a.sources]
    again = [[*repaintings(s, options.size, options.times)] for s in seeds]
    again = np.array(again, "float64")
    shifted = evaluation.baselines(data.test_a[:], data.train_a[:], data.train_b[:])
    best = min(abs(images - truth).mean() for images in shifted.values())
    for name, error in (
        ("painted again", abs(again[:, 0] - truth).mean()),
        (f"the mean of {options.times} paintings", abs(again.mean(1) - truth).mean()),
        ("the best baseline", best),
    ):
        print(f"{name:26}{error:6.1f} levels, relative {error / best:.2f}")


if __name__ == "__main__":
    main()

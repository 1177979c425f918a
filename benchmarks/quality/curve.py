"""Draws quality over time, from the runs of compare.py: a line for each method.

    python benchmarks/quality/compare.py --results outputs/speed --steps 8 --methods ...
    python benchmarks/quality/curve.py outputs/quality outputs/speed curve.png

A point is a training of its own on drawn fruit of 128 pixels, at its last state. Its
seconds are its steps times the seconds per step of a run in the second folder, which
was made alone on the machine. So the trainings themselves may share it. Several seeds
are one point, their mean, with their deviation; one seed has the error of the choice
of images.
"""

import argparse
import re
import statistics
from pathlib import Path

from compare import BASELINES, best_paired, read
from matplotlib import colormaps
from matplotlib.figure import Figure

DATA = {"data": "samples/fruit", "size": 128, "train": 100}
MEASURES = {  # a label, and how many times the best baseline the axis shows
    "paired": ("levels from the ground truth", 1.6),
    "vgg16": ("1000 x KID (VGG16)", 1.6),
    "lite1 deep": ("1000 x KID (EfficientNet-Lite1, deep)", 2.8),
}


def points(runs, speed, measure):
    """Lists of (seconds, value, error) by method."""
    timed = (run for run in speed if run["run"]["method"] != BASELINES)
    seconds = {run["run"]["method"]: run["seconds_per_step"] for run in timed}
    found = {}
    for run in runs:
        method, steps = run["run"]["method"], run["run"]["steps"]
        if steps and method in seconds and "ab" in run["judged"]:
            time = steps * sum(seconds[method].values())
            value = run["judged"]["ab"]["translated"][measure]
            found.setdefault(method, {}).setdefault(time, []).append(value)
    return {
        method: sorted((time, *summary(values)) for time, values in times.items())
        for method, times in found.items()
    }


def summary(values):
    """The mean over seeds and their deviation, or one seed's value and its error."""
    pairs = [(v, 0.0) if isinstance(v, float) else v for v in values]
    if len(pairs) == 1:
        return pairs[0]
    values = [value for value, _ in pairs]
    return statistics.mean(values), statistics.stdev(values)


def label(method):
    """A method's name, with the options of chapter 1's generator in words."""
    name = re.sub(r"\+(filters|rate|blocks)=[^+]*", "", method)
    return name.replace("+network=unet", ", our U-Net")


def best_baseline(base, measure):
    if measure == "paired":
        return best_paired(base, "ab")
    untaught = base[0]["judged"]["ab"].items()
    return min(value[measure][0] for name, value in untaught if "real" not in name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("speed", type=Path)
    parser.add_argument("figure", type=Path)
    options = parser.parse_args()
    runs, speed = (
        [
            run
            for run in read(folder / "runs.jsonl").values()
            if DATA.items() <= run["run"].items()
        ]
        for folder in (options.results, options.speed)
    )
    base = [run for run in runs if run["run"]["method"] == BASELINES]
    figure = Figure((11.5, 4.4), dpi=110, layout="constrained")
    for place, (measure, (name, top)) in enumerate(MEASURES.items(), 1):
        best = best_baseline(base, measure)
        axes = figure.add_subplot(1, 3, place, xlabel="seconds of training, two cores")
        axes.set_ylabel(name)
        drawn = sorted(points(runs, speed, measure).items())
        for number, (method, line) in enumerate(drawn):
            times, values, errors = zip(*line, strict=True)
            style = {"marker": "osD^v"[number // 10], "ms": 4, "capsize": 2}
            style["color"] = colormaps["tab20"].colors[2 * number % 20 + number // 10]
            axes.errorbar(times, values, errors, label=label(method), **style)
            print(measure, method, [(round(t), round(v, 1)) for t, v, _ in line])
        axes.axhline(best, color="#555555", ls="--", lw=1, label="best baseline")
        axes.set(xlim=(0, None), ylim=(0, top * best))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    lines = figure.axes[0].get_legend_handles_labels()
    figure.legend(*lines, frameon=False, loc="outside lower center", ncols=4)
    figure.suptitle("Apples to oranges, drawn fruit, 128 pixels: quality over time")
    figure.savefig(options.figure)


if __name__ == "__main__":
    main()

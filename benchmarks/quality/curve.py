"""Draws quality over time, from the runs of compare.py: a line for each method.

    python benchmarks/quality/compare.py --results outputs/speed --steps 8 --methods ...
    python benchmarks/quality/curve.py outputs/quality outputs/speed curve.png

A point is a training of its own, at its last state; its seconds are its steps times the
seconds per step of a run in the second folder, which was made alone on the machine. So
the trainings themselves may share it. Several seeds are one point, their mean.
"""

import argparse
import statistics
from pathlib import Path

from compare import BASELINES, best_paired, read
from matplotlib.figure import Figure


def points(runs, speed, measure):
    """Lists of (seconds, value) by method."""
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
        method: sorted((time, mean(values)) for time, values in times.items())
        for method, times in found.items()
    }


def mean(values):
    return statistics.mean(v if isinstance(v, float) else v[0] for v in values)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("speed", type=Path)
    parser.add_argument("figure", type=Path)
    options = parser.parse_args()
    runs, speed = (
        [*read(folder / "runs.jsonl").values()]
        for folder in (options.results, options.speed)
    )
    base = [run for run in runs if run["run"]["method"] == BASELINES]
    untaught = {k: v for k, v in base[0]["judged"]["ab"].items() if "real" not in k}
    kid = min(v["vgg16"][0] for v in untaught.values())
    figure = Figure((9, 3.8), dpi=110, layout="constrained")
    for place, (measure, name, best) in enumerate(
        (
            ("paired", "levels from the ground truth", best_paired(base, "ab")),
            ("vgg16", "1000 x KID (VGG16)", kid),
        ),
        1,
    ):
        axes = figure.add_subplot(1, 2, place, xlabel="seconds of training, two cores")
        axes.set_ylabel(name)
        for method, line in sorted(points(runs, speed, measure).items()):
            axes.plot(*zip(*line, strict=True), marker="o", ms=4, label=method)
            print(measure, method, [(round(t), round(v, 1)) for t, v in line])
        axes.axhline(best, color="#555555", ls="--", lw=1, label="best baseline")
        axes.set(xlim=(0, None), ylim=(0, 1.6 * best))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    lines = figure.axes[0].get_legend_handles_labels()
    figure.legend(*lines, frameon=False, loc="outside right upper", fontsize=9)
    figure.suptitle("Apples to oranges, drawn fruit, 128 pixels: quality over time")
    figure.savefig(options.figure)


if __name__ == "__main__":
    main()

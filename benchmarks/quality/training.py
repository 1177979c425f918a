"""One run: trains one contender, judges its last state, and writes what was found.

    python training.py RUN.json FOLDER    (called by compare.py)

`RUN.json` holds the dictionary `run`; FOLDER gets result.json and sheet.png.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import contenders
import keras
import numpy as np
import tensorflow as tf
from rulers import Judge, load_rulers

from gan_style import datasets, evaluation, samples
from gan_style.hardware.memory import resident_memory

WARM_UP = 3  # steps at the beginning of a program, which are slow: it is being compiled
BASELINES = "baselines"
SHOWN = 8  # images in a row of the sheet


class Clock:
    """The seconds of training: every step, and the first ones as the average later one.

    Compiling is not training, and a teacher's second run does not wait for it. But its
    steps count as steps: each of them at the mean of those after it.
    """

    def __init__(self):
        self.phases = {}

    def add(self, phase, seconds):
        self.phases.setdefault(phase, []).append(seconds)

    def total(self):
        return sum(self.step(phase) * len(t) for phase, t in self.phases.items())

    def step(self, phase):
        """Seconds per step of one program, or 0 before one is known."""
        later = self.phases[phase][WARM_UP:]
        return sum(later) / len(later) if later else 0.0


def load(run):
    return datasets.load(
        run["data"],
        run["size"],
        seed=run["seed"],
        train_count=run["train"],
        test_count=run["test"],
    )


def forever(data):
    """Training batches without end; all images are read, or drawn, beforehand."""
    for _ in data.train:
        pass
    data.train.cursor.step = 0
    while True:
        yield from data.train


def pairs_forever(data, run):
    """Both images of a scene, cropped and mirrored alike: for the paired ceiling."""
    if data.truth_ab is None:
        raise SystemExit(f"{run['data']} has no pairs, which pix2pix needs.")
    draw = getattr(samples, run["data"].split("/")[1])
    larger, size = round(run["size"] * 286 / 256), run["size"]
    seeds = range(10**6, 10**6 + len(data.train_a))  # those of training images A
    scenes = [np.stack([draw(k, s, size=larger) for k in data.names]) for s in seeds]
    rng = np.random.default_rng(run["seed"])
    while True:
        for index in rng.permutation(len(scenes)):
            top, left = rng.integers(0, larger - size + 1, 2)
            pair = scenes[index][:, top : top + size, left : left + size]
            pair = pair[:, :, ::-1] if rng.random() < 0.5 else pair
            a, b = tf.constant(pair[:, None] / np.float32(127.5) - 1, tf.float32)
            yield a, b


def train(contender, batches, progress, steps, seconds):
    """Trains for so many steps or seconds; returns a dict of what it took."""
    clock, cpu, losses, done = Clock(), Clock(), [], 0
    while (share := done / steps if steps else clock.total() / seconds) < 1:
        progress.assign(share)
        begun, cpu_begun = time.perf_counter(), time.process_time()
        step = contender.train_step(*next(batches))
        step = {name: float(loss) for name, loss in step.items()}  # waits for the step
        clock.add(contender.phase, time.perf_counter() - begun)
        cpu.add(contender.phase, time.process_time() - cpu_begun)
        done += 1
        # The means since a multiple of 25 steps, where they are means.
        if done % 25 == 0 or done in (1, steps):
            losses.append([done, {k: round(v, 4) for k, v in step.items()}])
        if not all(map(np.isfinite, step.values())):
            losses.append([done, "diverged"])
            break
    return {
        "steps_done": done,
        "training_seconds": round(clock.total(), 3),
        "cpu_seconds": round(cpu.total(), 3),  # of all cores: hardly varies with load
        "seconds_per_step": {p: round(clock.step(p), 4) for p in clock.phases},
        "peak_memory_gb": round(resident_memory(peak=True) / 1e9, 3),
        "losses": losses,
    }


def parts_of(run, data, direction):
    """The images to translate, the real ones, training images of both, the truth."""
    given, real = (getattr(data, f"test_{domain}") for domain in direction)
    source, target = (getattr(data, f"train_{domain}") for domain in direction)
    truth, skip = getattr(data, f"truth_{direction}"), run.get("skip", 0)
    real = target[:] if run.get("against") == "train" else real[skip:]
    truth = truth if truth is None else truth[skip:]
    return given[skip:], real, source, target, truth


def judge(run, data, translate, directions):
    """Numbers by direction and by what was judged, and the rows of the sheet."""
    rulers, found, rows = load_rulers(run["rulers"]), {}, {}
    for direction in directions:
        given, real, source, target, truth = parts_of(run, data, direction)
        measure = Judge(rulers, real, truth)
        start, end = (data.names["ab".index(domain)] for domain in direction)
        rows |= {start: given, f"real {end}": real}
        if truth is not None:
            rows[f"true {end}"] = truth
        if translate is None:
            images = evaluation.baselines(given, source[:], target[:])
            found[direction] = {name: measure(i) for name, i in images.items()}
            # How far two samples of the real thing are apart: about 0.
            images["real, for training"] = target[: len(real)]
            of_real = measure(images["real, for training"], paired=False)
            found[direction]["real, for training"] = of_real
            rows |= {f"{k} {direction}": v for k, v in images.items()}
            continue
        made = translate(given, direction)
        found[direction] = {"translated": measure(made)}
        rows[f"to {end}"] = made
        if truth is not None:
            found[direction]["translated"]["paired_by_image"] = [
                round(evaluation.paired_error([x], [y]), 3)
                for x, y in zip(made, truth, strict=True)
            ]
        back = direction[::-1]
        if back in directions:
            rows[f"and back to {start}"] = again = translate(made, back)
            error = evaluation.paired_error(again, given)
            found[direction]["translated"]["reconstruction"] = error
    return found, rows


def sheet(rows, title, path):
    """Writes rows of images as a PNG, their pixels doubled below 100."""
    rows = {name: images[:SHOWN] for name, images in rows.items()}
    size = next(iter(rows.values())).shape[1]
    figure = evaluation.image_grid(
        [list(images) for images in rows.values()],
        row_titles=list(rows),
        title=title,
        zoom=1 if size >= 100 else 2,
    )
    figure.savefig(path, dpi=figure.dpi)


def main(run, folder):
    data = load(run)
    result = {"run": run}
    if run["method"] == BASELINES:
        found, rows = judge(run, data, None, ("ab", "ba"))
    else:
        progress = tf.Variable(0.0)
        shape, method = (run["size"], run["size"], 3), run["method"]
        keras.config.set_dtype_policy(run.get("precision", "float32"))
        chapter = {}
        if contenders.parse(method)[0] == "ours":
            painted = any(word in run["data"] for word in ("landscape", "monet"))
            chapter = {"chapter": 2 if painted else 1}
        contender = contenders.build(method, shape, run["seed"], progress, **chapter)
        batches = pairs_forever(data, run) if contender.pairs else forever(data)
        result |= train(contender, batches, progress, run["steps"], run["seconds"])
        found, rows = judge(run, data, contender.translate, contender.directions)
    result["judged"] = found
    named = ("train_a", "train_b", "test_a", "test_b")
    result["counts"] = {part: len(getattr(data, part)) for part in named}
    title = f"{run['method']}, {run['data']}, seed {run['seed']}"
    sheet(rows, title, folder / "sheet.png")
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))

"""Which way of learning gives the best images after so many seconds, or steps?

    python benchmarks/quality/compare.py --data samples/fruit \\
        --methods ours keras-io fastcut ours+features --seeds 1 2 3 --seconds 150
    python benchmarks/quality/compare.py --data ../shared/data/fruit --steps 1000 ...
    python benchmarks/quality/compare.py --table          # of what has been run

Every run is a process of its own, judged at its last state, on test images, in every
direction that the method learns. A line of JSON each goes to RESULTS/runs.jsonl (a run
that is there is not repeated), a sheet of images to RESULTS/sheets, the table to
RESULTS/table.md. Methods are described in contenders/__init__.py, levers in
contenders/ours.py; `--lever features augment` adds levers to every `ours`.

What counts as training: every step, including the wait for its batch; not reading the
images into memory before, and not compiling: the first three steps of a program count
as much as the mean of those after them. With `--steps`, the same command gives the same
numbers on the same machine; with `--seconds`, a busy machine makes fewer steps, so
compare only what ran on an equally busy one, or CPU seconds. A curve over time is
several budgets (`--seconds 30 60 150`), each a training of its own, as the learning
rate falls to 0 at the end of each. Memory is the peak of the process in training,
TensorFlow (0.5 GB) included.

Less is better in every column. KID is times 1000, against the real test images; of
one seed it stands with its standard error, of several with the standard deviation over
them. "relative" is the paired error divided by that of the best baseline, "back" the
reconstruction error. Errors are in levels of 0 to 255.
"""

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

HERE = Path(__file__).resolve().parent
RULERS = ("vgg16", "lite1 shallow", "lite1 deep")
BASELINES = "baselines"


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", nargs="+", default=["samples/fruit"], help="sources of datasets.load")
    add("--methods", nargs="+", default=["ours"])
    add("--lever", nargs="+", default=[], help="added to every method `ours`")
    add("--seeds", nargs="+", type=int, default=[1])
    add("--size", type=int, default=128)
    add("--steps", nargs="+", type=int, help="one or several budgets")
    add("--seconds", nargs="+", type=float, help="the same in seconds")
    add("--train", type=int, help="training images; 100 of drawn data, else all")
    add("--test", type=int, help="test images; 48 of drawn data, else all")
    add("--skip", type=int, default=0, help="the first test images, not to be judged")
    add("--against", choices=("test", "train"), default="test", help="the real images")
    add("--precision", choices=("float32", "mixed_bfloat16"), default="float32")
    add("--rulers", nargs="+", default=list(RULERS), choices=RULERS)
    add("--results", type=Path, default=Path("outputs/quality"))
    add("--table", action="store_true", help="only write the table")
    return parser.parse_args()


def runs_of(options):
    """The dictionaries of all runs that the command line asks for."""
    for data in options.data:
        drawn = data.startswith("samples/")
        common = {
            "data": data,
            "size": options.size,
            "train": options.train or (100 if drawn else None),
            "test": options.test or (48 if drawn else None),
            "rulers": options.rulers,
        }
        # Named only where they are not the default, so that earlier runs still count.
        rare = {"skip": 0, "against": "test", "precision": "float32"}
        given = {name: getattr(options, name) for name in rare}
        common |= {k: v for k, v in given.items() if v != rare[k]}
        # Of drawn data, the seed chooses no images: baselines are the same for all.
        yield {**common, "method": BASELINES, "seed": 0, "steps": None, "seconds": None}
        budgets = [{"steps": n, "seconds": None} for n in options.steps or ()]
        budgets += [{"steps": None, "seconds": s} for s in options.seconds or ()]
        for seed, method, budget in product(options.seeds, options.methods, budgets):
            if method.split("+")[0] == "ours":
                method = "+".join([method, *options.lever])
            yield {**common, "method": method, "seed": seed, **budget}


def key(run):
    return json.dumps(run, sort_keys=True)


def read(path):
    lines = path.read_text().splitlines() if path.exists() else []
    return {key(found["run"]): found for found in map(json.loads, lines)}


def execute(run, results):
    """Trains and judges in another process; returns what it found."""
    name = "-".join(str(run[k]) for k in ("data", "method", "size", "seed"))
    name = "".join(c if c.isalnum() or c in "-+=." else "_" for c in name)
    name += f"-{hashlib.sha256(key(run).encode()).hexdigest()[:8]}"
    folders = [str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders))}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "run.json").write_text(json.dumps(run))
        program = [
            sys.executable,
            str(HERE / "training.py"),
            f"{folder}/run.json",
            folder,
        ]
        done = subprocess.run(
            program, env=environment, stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            print(done.stderr[-3000:], file=sys.stderr)
            return None
        sheets = results / "sheets"
        sheets.mkdir(parents=True, exist_ok=True)
        (sheets / f"{name}.png").write_bytes(Path(folder, "sheet.png").read_bytes())
        found = json.loads(Path(folder, "result.json").read_text())
    return {**found, "sheet": f"sheets/{name}.png", "machine": machine()}


def machine():
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
    return f"{os.cpu_count()} x {model}, {time.strftime('%Y-%m-%d %H:%M')}"


def groups_of(found):
    """Results by what may be compared, and within by method."""
    groups = {}
    for result in found.values():
        run = result["run"]
        shared = (run["data"], run["size"], run["train"], run["test"])
        shared += tuple(run.get(name) for name in ("skip", "against", "precision"))
        groups.setdefault((*shared, tuple(run["rulers"])), []).append(result)
    return groups


def table(found):
    """Markdown: a table for every data set and direction."""
    lines = []
    for (data, size, *_, rulers), results in groups_of(found).items():
        base = [r for r in results if r["run"]["method"] == BASELINES]
        counts = results[-1]["counts"]
        for direction in ("ab", "ba"):
            rows = rows_of(results, direction, rulers)
            if not rows:
                continue
            run = results[-1]["run"]
            given, skip = counts[f"test_{direction[0]}"], run.get("skip", 0)
            real = f"{run.get('against', 'test')}_{direction[1]}"
            real = counts[real] - skip * real.startswith("test")
            lines += [
                f"### {data}, {size} px, {' to '.join(direction.upper())}",
                "",
                f"{counts['train_a']} and {counts['train_b']} images for training; "
                f"{given - skip} translated, judged against {real} real ones.",
                "",
            ]
            heads = ["method", "seeds", "steps", "s", "s/step", "CPU s/step", "GB"]
            heads += [f"KID {ruler}" for ruler in rulers]
            heads += ["paired", "relative", "back"]
            lines += [
                "| " + " | ".join(heads) + " |",
                "|---" + "|---:" * (len(heads) - 1) + "|",
            ]
            best = best_paired(base, direction)
            lines += [line_of(name, rows[name], rulers, best) for name in rows]
            lines.append("")
    return "\n".join(lines)


def rows_of(results, direction, rulers):
    """Lists of (result, numbers) by the name of a row; baselines come first."""
    rows = {}
    order = sorted(results, key=lambda r: r["run"]["method"] != BASELINES)
    for result in order:
        run = result["run"]
        for what, numbers in result["judged"].get(direction, {}).items():
            budget = run["seconds"] and f" ({run['seconds']:g} s)"
            budget = budget or f" ({run['steps']} steps)"
            name = what if what != "translated" else run["method"] + budget
            rows.setdefault(name, []).append((result, numbers))
    return rows


def best_paired(base, direction):
    """The paired error of the best baseline, or None."""
    errors = [
        numbers["paired"]
        for result in base
        for numbers in result["judged"][direction].values()
        if "paired" in numbers
    ]
    return min(errors, default=None)


def line_of(name, row, rulers, best):
    def over(values, form, errors=None):
        values = [value for value in values if value is not None]
        if not values:
            return ""
        text = format(statistics.fmean(values), form)
        if len(values) > 1:
            return f"{text} ± {statistics.stdev(values):{form}}"
        return f"{text} ± {errors[0]:{form}}" if errors else text

    results, numbers = zip(*row, strict=True)
    trained = "steps_done" in results[0]
    cells = [name, str(len(row)) if trained else ""]
    if trained:
        seconds = [r["training_seconds"] for r in results]
        steps = [r["steps_done"] for r in results]
        cpu = [r["cpu_seconds"] for r in results if "cpu_seconds" in r]
        cells += [
            f"{statistics.fmean(steps):.0f}",
            f"{statistics.fmean(seconds):.0f}",
            f"{statistics.fmean(seconds) / statistics.fmean(steps):.3f}",
            f"{statistics.fmean(cpu) / statistics.fmean(steps):.3f}" if cpu else "",
            f"{max(r['peak_memory_gb'] for r in results):.2f}",
        ]
    else:
        cells += [""] * 5
    for ruler in rulers:
        kids, errors = zip(*(n[ruler] for n in numbers), strict=True)
        cells.append(over(kids, ".1f", errors))
    paired = [n.get("paired") for n in numbers]
    cells.append(over(paired, ".1f"))
    known = best is not None and paired[0] is not None
    cells.append(over([p / best for p in paired], ".2f") if known else "")
    cells.append(over([n.get("reconstruction") for n in numbers], ".1f"))
    return "| " + " | ".join(cells) + " |"


def main():
    options = arguments()
    results = options.results
    results.mkdir(parents=True, exist_ok=True)
    path, failed = results / "runs.jsonl", []
    if not options.table:
        if not (options.steps or options.seconds):
            raise SystemExit("Give --seconds, such as 150, or --steps.")
        for run in runs_of(options):
            if key(run) in read(path):
                continue
            print(f"{run['data']}: {run['method']}, seed {run['seed']} ...", flush=True)
            found = execute(run, results)
            if found is None:
                failed.append(run["method"])
                continue
            with path.open("a") as file:
                file.write(json.dumps(found) + "\n")
    text = table(read(path))
    (results / "table.md").write_text(text)
    print(text)
    if failed:
        raise SystemExit(f"Failed: {', '.join(failed)}.")


if __name__ == "__main__":
    main()

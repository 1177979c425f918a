"""Kills work at random moments, again and again, and looks at how it ends.

    python benchmarks/interruptions.py                    # 25 kills of each of 4 jobs
    python benchmarks/interruptions.py --kills 5 training

Each job runs once without interruption. Then it is started, killed (SIGKILL) after a
random time and started again, until it is through, and once more from the beginning
until there were enough kills. What it leaves has to equal the uninterrupted run's to
the bit. A job that stops with an error, such as one that read a half-written file, ends
the whole with that error.

- training: CycleGAN, `SaveAndResume` every 3 steps; weights, optimizers and pools;
- style: a style transfer with a checkpoint every 2 steps; its picture;
- download: 4 MB from a server on loopback that takes its time; the file;
- folder: `translate_folder` on 40 pictures; the 40 files.
"""

import argparse
import hashlib
import http.server
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

CONTENT = np.random.default_rng(0).bytes(4_000_000)
EVERY = 3  # steps between two savings of the training
# What the jobs keep beside their results, which tells when they ran.
RECORDS = ("steps.log", "training.keras", "run.npz", "painted/.translated.jsonl")


def training(folder, begin):
    import keras

    from gan_style import CycleGAN, datasets, patch_discriminator, resnet_generator
    from gan_style.checkpoints import SaveAndResume

    class Log(keras.callbacks.Callback):
        """Which steps were begun, over all processes."""

        def on_train_batch_begin(self, batch, logs=None):
            with open(folder / "steps.log", "a") as file:
                file.write(f"{int(self.model.steps_done.numpy())}\n")

        def on_train_batch_end(self, batch, logs=None):
            pass  # else Keras begins batches in another thread

    keras.utils.set_random_seed(3)
    shape = (16, 16, 3)
    networks = [resnet_generator(shape, 2, 1, name=name) for name in ("ab", "ba")]
    networks += [patch_discriminator(shape, 2, name=name) for name in ("a", "b")]
    model = CycleGAN(*networks, pool_size=9, seed=5, average_decay=0.9)
    model.compile()
    data = datasets.load("samples/fruit", 16, seed=7, train_count=10, test_count=0)
    save = SaveAndResume(folder / "training.keras", every=EVERY)
    begin()
    model.fit(data.train, epochs=9, verbose=0, callbacks=[save, Log()])
    variables = [*model.variables, *model.generator_optimizer.variables]
    variables += model.discriminator_optimizer.variables
    means = {id(v) for metric in model.metrics for v in metric.variables}
    np.savez(folder / "end.npz", *(v.numpy() for v in variables if id(v) not in means))


def style(folder, begin):
    import keras

    from gan_style import StyleTransfer, samples

    keras.utils.set_random_seed(0)
    transfer = StyleTransfer(
        samples.photograph(96),
        samples.painting(96),
        content_layers=["relu2_1"],
        style_layers=["relu1_1", "relu2_1"],
        features={"weights": None, "backbone": "vgg16"},
    )
    begin()
    checkpoint = folder / "run.npz"
    result = transfer.run(40, [48, 96], checkpoint=checkpoint, save_every=2)
    np.save(folder / "end.npy", result.image)


def download(folder, begin):
    from gan_style import downloads

    begin()
    digest = hashlib.sha256(CONTENT).hexdigest()
    url = f"http://127.0.0.1:{os.environ['GAN_STYLE_PORT']}/file"
    downloads.download(url, folder / "file", len(CONTENT), digest)


def folder(folder, begin):
    import keras

    from gan_style import resnet_generator, samples
    from gan_style.folders import translate_folder
    from gan_style.pictures import save_picture

    originals = folder.parent / "originals"
    if not originals.exists():
        for seed in range(40):
            save_picture(originals / f"{seed}.png", samples.fruit("apple", seed, 96))
    keras.utils.set_random_seed(0)
    generator = resnet_generator((None, None, 3), 8, 2)
    begin()
    translate_folder(generator, originals, folder / "painted", progress=False)


JOBS = {job.__name__: job for job in (training, style, download, folder)}


class SlowServer(http.server.BaseHTTPRequestHandler):
    """Sends `CONTENT`, also from its middle on, at about 3 MB a second."""

    def do_GET(self):
        first = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        if first:
            span = f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}"
            self.send_header("Content-Range", span)
        self.end_headers()
        try:
            for start in range(first, len(CONTENT), 30_000):
                self.wfile.write(CONTENT[start : start + 30_000])
                time.sleep(0.01)
        except OSError:
            pass  # the other side was killed

    def log_message(self, *_):
        pass


def start(job, place, environment):
    """Starts a job in a process of its own, and waits until its work begins."""
    place.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, "--run", job, str(place)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=environment, **options)
    if process.stdout.readline().strip() != "begin":
        raise RuntimeError(f"{job} did not begin:\n{process.communicate()[1]}")
    return process


def finish(job, process):
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{job} failed:\n{errors}")


def contents(place):
    """What a job left: file names and digests; arrays by their bytes."""
    found = {}
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        if name == "end.npz":
            with np.load(path) as file:
                found[name] = [file[key].tobytes() for key in file]
        elif path.is_file() and name not in RECORDS:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def repeated(place):
    """The most steps that one interruption made the training do again."""
    steps = [int(line) for line in (place / "steps.log").read_text().split()]
    backwards = [a - b + 1 for a, b in zip(steps, steps[1:], strict=False) if b <= a]
    return max(backwards, default=0)


def torment(job, kills, home, environment, chance):
    process = start(job, home / "straight", environment)
    begun = time.perf_counter()
    finish(job, process)
    length = time.perf_counter() - begun
    want = contents(home / "straight")
    done = ends = most = 0
    while done < kills:
        place = home / f"tormented_{ends}"
        while True:
            process = start(job, place, environment)
            try:
                # Often early: a restart that does the rest undisturbed tells little.
                process.wait(chance.uniform(0, 1.1) * length * chance.random())
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                done += 1
                continue
            finish(job, process)
            break
        ends += 1
        got = contents(place)
        if got != want:
            names = [n for n in {*got, *want} if got.get(n) != want.get(n)]
            raise RuntimeError(f"{job}: not as without interruption: {names}")
        if job == "training":
            most = max(most, repeated(place))
    note = f"; at most {most} steps done again, of {EVERY}" if most else ""
    print(
        f"{job:9} {done:4} kills, {ends:3} ends, all as without any{note}", flush=True
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=", ".join(JOBS))
    parser.add_argument("--kills", type=int, default=25, help="of each job")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        job, place = arguments.run
        JOBS[job](Path(place), lambda: print("begin", flush=True))
        return
    if unknown := set(arguments.jobs) - set(JOBS):
        parser.error(f"no job {sorted(unknown)}; there are {', '.join(JOBS)}")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SlowServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {**os.environ, "GAN_STYLE_PORT": str(server.server_port)}
    chance = random.Random(arguments.seed)
    for job in arguments.jobs or JOBS:
        with tempfile.TemporaryDirectory() as home:
            torment(job, arguments.kills, Path(home), environment, chance)


if __name__ == "__main__":
    main()

"""Kills work at random moments, again and again, and looks at how it ends.

    python benchmarks/reliability/interruptions.py      # 16 kills of each of 7 jobs
    python benchmarks/reliability/interruptions.py --kills 5 training

Each job runs once without interruption. Then it is started, killed (SIGKILL) after a
random time and started again, until it is through, and once more from the beginning
until there were enough kills. What it leaves must equal the uninterrupted run's bit
for bit. A job that stops with an error, such as one that read a half-written file, ends
the whole with that error.

- training: CycleGAN, `SaveAndResume` every 3 steps; weights, optimizers and pools;
- saving: the same, killed as soon as a file is being written;
- style: a style transfer with a checkpoint every 2 steps; its image;
- style_saving: the same, killed as soon as a file is being written;
- download: 4 MB from a server on loopback that takes its time; the file;
- folder: `translate_folder` on 40 images; the 40 files;
- workers: CycleGAN on two worker processes, saved every 3 steps; both are killed, the
  second a little later, and started again; weights, optimizers and pools of both.
"""

import argparse
import fnmatch
import hashlib
import http.server
import json
import os
import random
import socket
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
RECORDS = (
    *("steps.log", "training.keras", "run.npz", "painted/.translated.jsonl"),
    "states/worker_*",
)


def cyclegan():
    import keras

    from gan_style import CycleGAN, patch_discriminator, resnet_generator

    keras.utils.set_random_seed(3)
    shape = (16, 16, 3)
    networks = [resnet_generator(shape, 2, 1, name=name) for name in ("ab", "ba")]
    networks += [patch_discriminator(shape, 2, name=name) for name in ("a", "b")]
    model = CycleGAN(*networks, pool_size=9, seed=5, average_decay=0.9)
    model.compile()
    return model


def save_state(path, model, value):
    """Writes all that a training resumes from."""
    variables = [*model.variables, *model.generator_optimizer.variables]
    variables += model.discriminator_optimizer.variables
    means = {id(v) for metric in model.metrics for v in metric.variables}
    np.savez(path, *(value(v) for v in variables if id(v) not in means))


def training(folder, begin):
    import keras

    from gan_style import datasets
    from gan_style.training import SaveAndResume

    class Log(keras.callbacks.Callback):
        """Which steps were begun, over all processes."""

        def on_train_batch_begin(self, batch, logs=None):
            with open(folder / "steps.log", "a") as file:
                file.write(f"{int(self.model.steps_done.numpy())}\n")

        def on_train_batch_end(self, batch, logs=None):
            pass  # else Keras begins batches in another thread

    model = cyclegan()
    data = datasets.load("samples/fruit", 16, seed=7, train_count=10, test_count=0)
    save = SaveAndResume(folder / "training.keras", every=EVERY)
    begin()
    model.fit(data.train, epochs=9, verbose=0, callbacks=[save, Log()])
    save_state(folder / "end.npz", model, lambda variable: variable.numpy())


def workers(folder, begin):
    import tensorflow as tf

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    from gan_style import datasets
    from gan_style.training import train

    with strategy.scope():
        model = cyclegan()
    options = {"seed": 7, "train_count": 20, "test_count": 0}
    data = datasets.load("samples/fruit", 16, batch_size=2, **options)
    begin()
    train(model, data.train, 30, folder / "states", EVERY)

    def local(variable):
        return strategy.experimental_local_results(variable.value)[0].numpy()

    number = strategy.cluster_resolver.task_id
    save_state(folder / f"end_{number}.npz", model, local)


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
    from gan_style.utils.download import download

    begin()
    digest = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    url = f"http://127.0.0.1:{os.environ['GAN_STYLE_PORT']}/file"
    download(url, folder / "file", digest, len(CONTENT))


def folder(folder, begin):
    import keras

    from gan_style import resnet_generator, samples
    from gan_style.inference.folders import translate_folder
    from gan_style.utils.images import save_image

    originals = folder.parent / "originals"
    if not originals.exists():
        for seed in range(40):
            save_image(originals / f"{seed}.png", samples.fruit("apple", seed, 96))
    keras.utils.set_random_seed(0)
    generator = resnet_generator((None, None, 3), 8, 2)
    begin()
    translate_folder(generator, originals, folder / "painted", progress=False)


JOBS = {job.__name__: job for job in (training, style, download, folder, workers)}
# Which job is killed while this file of it is being written.
AIMED = {
    "saving": ("training", ".training.part.keras"),
    "style_saving": ("style", ".run.npz.part"),
}
NAMES = ("training", "saving", "style", "style_saving", "download", "folder", "workers")


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


def cluster():
    """What tells each of two workers on this machine about the other."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    tasks = [{"type": "worker", "index": number} for number in range(2)]
    return [
        {"TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": task})}
        for task in tasks
    ]


def start(job, place, environment):
    """Starts a job in processes of its own, and waits until their work begins."""
    place.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, "--run", job, str(place)]
    options = {"stdout": subprocess.PIPE, "text": True}
    processes = []
    for more in cluster() if job == "workers" else [{}]:
        # Into a file: a pipe that nobody reads would fill and hold the job up.
        with open(place.with_name(f"{place.name}.{len(processes)}.err"), "w") as errors:
            process = subprocess.Popen(
                command, env={**environment, **more}, stderr=errors, **options
            )
        process.errors = Path(errors.name)
        processes.append(process)
    for process in processes:
        if process.stdout.readline().strip() != "begin":
            kill(processes)
            raise RuntimeError(f"{job} did not begin:\n{process.errors.read_text()}")
    return processes


def kill(processes, pause=0.0):
    for process in processes:
        process.kill()
        time.sleep(pause)
    for process in processes:
        process.communicate()


def finish(job, processes):
    for process in processes:
        process.communicate()
    for process in processes:
        if process.returncode:
            raise RuntimeError(f"{job} failed:\n{process.errors.read_text()}")


def wait_for(partial, processes, times, pause):
    """Waits until a file is being written for so many times, and a little longer.

    Returns:
        Whether that came before the job was through.
    """
    there = False
    while processes[0].poll() is None:
        before, there = there, partial.exists()
        times -= there and not before
        if not times:
            time.sleep(pause)
            return True
        time.sleep(0.0003)
    return False


def contents(place):
    """What a job left: file names and digests; arrays by their bytes."""
    found = {}
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        if name.startswith("end") and name.endswith(".npz"):
            with np.load(path) as file:
                found[name] = [file[key].tobytes() for key in file]
        elif path.is_file() and not any(fnmatch.fnmatch(name, r) for r in RECORDS):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def repeated(place):
    """The most steps that one interruption made the training do again."""
    steps = [int(line) for line in (place / "steps.log").read_text().split()]
    backwards = [a - b + 1 for a, b in zip(steps, steps[1:], strict=False) if b <= a]
    return max(backwards, default=0)


def torment(name, kills, home, environment, chance):
    job, partial = AIMED.get(name, (name, None))
    processes = start(job, home / "straight", environment)
    begun = time.perf_counter()
    finish(job, processes)
    length = time.perf_counter() - begun
    want = contents(home / "straight")
    done = ends = most = hits = 0
    while done < kills:
        place = home / f"tormented_{ends}"
        while True:
            processes = start(job, place, environment)
            if partial:
                # The first saving but seldom: the steps between are to be done, too.
                when = chance.randint(1, 5), chance.uniform(0, 0.02)
                through = not wait_for(place / partial, processes, *when)
            else:
                # Often early: a restart that does the rest undisturbed tells little.
                through = waited(
                    chance.uniform(0, 1.1) * length * chance.random(), processes
                )
            if through:
                finish(job, processes)
                break
            kill(processes, chance.uniform(0, 0.3) if len(processes) > 1 else 0)
            done += 1
            hits += bool(partial) and (place / partial).exists()
        ends += 1
        got = contents(place)
        if got != want:
            names = [n for n in {*got, *want} if got.get(n) != want.get(n)]
            raise RuntimeError(f"{name}: not as without interruption: {names}")
        if job == "training":
            most = max(most, repeated(place))
    note = f"; {hits} left half a file" if partial else ""
    note += f"; at most {most} steps done again, of {EVERY}" if most else ""
    print(
        f"{name:12} {done:4} kills, {ends:3} ends, all as without any{note}", flush=True
    )


def waited(seconds, processes):
    """Waits so long at most; whether the job was through before."""
    try:
        processes[0].wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=", ".join(NAMES))
    parser.add_argument("--kills", type=int, default=16, help="of each job")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        job, place = arguments.run
        JOBS[job](Path(place), lambda: print("begin", flush=True))
        return
    if unknown := set(arguments.jobs) - set(NAMES):
        parser.error(f"no job {sorted(unknown)}; there are {', '.join(NAMES)}")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SlowServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {**os.environ, "GAN_STYLE_PORT": str(server.server_port)}
    chance = random.Random(arguments.seed)
    for job in arguments.jobs or NAMES:
        with tempfile.TemporaryDirectory() as home:
            torment(job, arguments.kills, Path(home), environment, chance)


if __name__ == "__main__":
    main()

"""Runs the chapters and writes them, executed, to a folder, showing how far it is.

python notebooks/run.py [NOTEBOOK ...]    # to GAN_STYLE_OUTPUTS, by default outputs/
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

MINUTES = 5  # per chapter, in the quick profile on two CPU cores
SECONDS = 30  # between two lines, where the output is not a terminal


def run(path, outputs, log):
    """Executes a notebook, and returns why it failed, or None."""
    notebook = nbformat.read(path, as_version=4)
    code = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
    started, begun, shown = [], time.monotonic(), 0.0

    def show(last=False):
        nonlocal shown
        minutes = (time.monotonic() - begun) / 60
        line = f"{path.stem}: cell {len(started)} of {len(code)}, {minutes:.1f} minutes"
        if sys.stdout.isatty():
            print(f"\r{line} ", end="\n" if last else "", flush=True)
        elif last or time.monotonic() - shown >= SECONDS:
            print(line, flush=True)
            shown = time.monotonic()

    # What TensorFlow's C++ writes belongs to the log, not to the page.
    client = NotebookClient(notebook, resources={"metadata": {"path": path.parent}})
    client.extra_arguments = ["--IPKernelApp.capture_fd_output=False"]
    client.on_cell_execute = lambda cell, cell_index: started.append(cell_index)
    # In a thread of its own, nbclient leaves Ctrl-C to this one.
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(client.execute, stdout=log, stderr=subprocess.STDOUT)
        try:
            while not future.done():
                show()
                time.sleep(0.5)
        finally:
            while not future.done():  # interrupted
                if client.km and client.km.has_kernel:
                    client.km.provisioner.process.kill()
                time.sleep(0.2)
            show(last=True)
            nbformat.write(notebook, outputs / path.name)
    if (error := future.exception()) is None:
        return None
    log.seek(0)
    words = log.read().decode(errors="replace")  # the last ones of a kernel that died
    text = f"{words}\n{error}" if isinstance(error, DeadKernelError) else str(error)
    lines = re.sub(r"\x1b\[[\d;]*m", "", text).strip().splitlines()
    failed = f"{path.name} failed in code cell {len(started)}:"
    return "\n    ".join([failed, *lines[-12:]])


def main(paths, outputs):
    paths = [Path(path).resolve() for path in paths]
    outputs.mkdir(parents=True, exist_ok=True)
    os.environ["GAN_STYLE_OUTPUTS"] = str(outputs)
    # Below 3, TensorFlow reports a missing GPU as a CUDA error.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print("Running", ", ".join(path.stem for path in paths), flush=True)
    profile = os.environ.get("GAN_STYLE_PROFILE", "quick")
    about = f"about {MINUTES * len(paths)} minutes on two CPU cores"
    print(f"Profile {profile}:", about if profile == "quick" else "longer, on a GPU")
    print(f"The executed notebooks and their images go to {outputs}", flush=True)
    with tempfile.TemporaryFile() as log:
        try:
            for path in paths:
                if failure := run(path, outputs, log):
                    print(failure, file=sys.stderr)
                    return 1
        except KeyboardInterrupt:
            print(f"Stopped; what is finished is in {outputs}")
            return 130
    print(f"Done. See {outputs}")
    return 0


if __name__ == "__main__":
    chapters = sys.argv[1:] or sorted(Path(__file__).parent.glob("*.ipynb"))
    folder = os.environ.get("GAN_STYLE_OUTPUTS", "outputs")
    sys.exit(main(chapters, Path(folder).resolve()))

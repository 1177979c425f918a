"""`make notebooks`: it shows how far it is, and names the cell that fails."""

import functools
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PATH = Path(__file__).parents[1] / "notebooks" / "run.py"


@pytest.fixture
def runner():
    spec = importlib.util.spec_from_file_location("run_notebooks", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with mock.patch.dict(os.environ):  # it sets some of them
        os.environ.pop("GAN_STYLE_PROFILE", None)
        yield module


def write(path, *sources):
    cells = [new_markdown_cell("# A chapter"), *map(new_code_cell, sources)]
    nbformat.write(new_notebook(cells=cells), path)
    return path


def test_writes_the_executed_notebook_and_says_how_far_it_is(runner, tmp_path, capfd):
    write(tmp_path / "a.ipynb", "import os", "print(os.environ['GAN_STYLE_OUTPUTS'])")
    noise = "import os, sys; os.write(2, b'failed call to cuInit'); 6 * 7"
    write(tmp_path / "b.ipynb", noise)
    outputs = tmp_path / "outputs"
    paths = [tmp_path / "a.ipynb", tmp_path / "b.ipynb"]
    assert runner.main(paths, outputs) == 0
    executed = nbformat.read(outputs / "a.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text.strip() == str(outputs)
    executed = nbformat.read(outputs / "b.ipynb", as_version=4)
    assert [o.output_type for o in executed.cells[-1].outputs] == ["execute_result"]
    out, err = capfd.readouterr()
    assert "Running a, b" in out and "about 10 minutes" in out and str(outputs) in out
    assert "a: cell 2 of 2" in out and "b: cell 1 of 1" in out
    assert "\r" not in out and "cuInit" not in out + err


def test_names_the_notebook_and_the_cell_that_fails(runner, tmp_path, capsys):
    path = write(tmp_path / "a.ipynb", "x = 1", "raise ValueError('no oranges')")
    never = write(tmp_path / "b.ipynb", "x = 1")
    assert runner.main([path, never], tmp_path / "outputs") == 1
    error = capsys.readouterr().err
    assert "a.ipynb failed in code cell 2" in error
    assert "ValueError: no oranges" in error and "\x1b" not in error
    assert not (tmp_path / "outputs" / "b.ipynb").exists()


def test_a_dead_kernel_leaves_its_last_words(runner, tmp_path, capsys):
    dies = "import os; os.write(2, b'out of memory\\n'); os._exit(1)"
    assert runner.main([write(tmp_path / "a.ipynb", dies)], tmp_path / "outputs") == 1
    error = capsys.readouterr().err
    assert "a.ipynb failed in code cell 1" in error and "out of memory" in error


@pytest.mark.skipif(os.name == "nt", reason="sends a Unix signal")
def test_ends_on_interrupt_with_one_line(tmp_path):
    started = tmp_path / "started"
    source = f"import time; open({str(started)!r}, 'w').close(); time.sleep(100)"
    path = write(tmp_path / "a.ipynb", source)
    environment = {**os.environ, "GAN_STYLE_OUTPUTS": str(tmp_path / "outputs")}
    process = subprocess.Popen(
        [sys.executable, PATH, path],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts jobs in the background lets them ignore Ctrl-C.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    end = time.monotonic() + 60
    while not started.exists() and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert out.splitlines()[-1].startswith("Stopped")
    assert "Traceback" not in out + err

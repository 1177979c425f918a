"""Runs that are interrupted, resumed and branched."""

import functools
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers.style_runs import OPTIONS, transfer

from gan_style.style_transfer.checkpoints import load_run


@functools.cache
def whole(optimizer="smooth"):
    """A run that is neither saved nor interrupted."""
    return transfer().run(**{**OPTIONS, "optimizer": optimizer})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, and the folder where it was saved."""
    folder = tmp_path_factory.mktemp("finished")
    return transfer().run(checkpoint=folder / "run.npz", **OPTIONS), folder


@pytest.fixture
def saved(finished, tmp_path):
    """The file of the finished run, copied for one test."""
    return Path(shutil.copy(finished[1] / "run.npz", tmp_path))


class StopAfter(keras.callbacks.Callback):
    def __init__(self, count):
        super().__init__()
        self.count = count

    def on_train_batch_end(self, batch, logs=None):
        self.count -= 1
        self.model.stop_training = self.count <= 0


def test_a_killed_run_goes_on_to_the_same_pixels(tmp_path):
    path = tmp_path / "run.npz"
    # It dies at the second step of the second scale.
    code = f"""
import os, signal, sys
import keras
from helpers.style_runs import OPTIONS, transfer

class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if len(self.model.history["total"]) == 6:
            os.kill(os.getpid(), signal.SIGKILL)

transfer().run(checkpoint={str(path)!r}, callbacks=[Kill()], **OPTIONS)
"""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    saved = load_run(path)
    assert len(saved["history_total"]) == 6 and int(saved["scale"]) == 1
    resumed = transfer().run(checkpoint=path, **OPTIONS)
    np.testing.assert_array_equal(resumed.image, whole().image)
    assert len(resumed.history["total"]) == 8
    for name in ("total", "evaluations"):
        assert resumed.history[name] == whole().history[name]


@pytest.mark.parametrize(
    ("optimizer", "stop"), [("smooth", 2), ("lbfgs", 4), ("adam", 5)]
)
def test_a_stopped_run_goes_on_from_any_step(tmp_path, optimizer, stop):
    options = {**OPTIONS, "optimizer": optimizer}
    path = tmp_path / "run.npz"
    transfer().run(checkpoint=path, callbacks=[StopAfter(stop)], **options)
    resumed = transfer().run(checkpoint=path, **options)
    np.testing.assert_array_equal(resumed.image, whole(optimizer).image)
    assert resumed.history["total"] == whole(optimizer).history["total"]


def test_a_finished_run_is_read_not_painted_again(finished, saved):
    first, _ = finished
    again = transfer().run(checkpoint=saved, **OPTIONS)
    np.testing.assert_array_equal(again.image, first.image)
    assert again.history == first.history


@pytest.mark.parametrize("change", [{"strength": 0.7}, {"seed": 3}, {"size": 33}])
def test_a_checkpoint_of_another_run_is_refused(saved, change):
    scales = [16, change.get("size", 32)]
    with pytest.raises(ValueError, match="checkpoint.*branch_from"):
        transfer(**change).run(checkpoint=saved, **{**OPTIONS, "scales": scales})


def test_a_branch_starts_from_the_saved_image_with_other_weights(finished, saved):
    first, _ = finished
    before = saved.read_bytes()
    options = {**OPTIONS, "steps": 1}
    branch = transfer(strength=0.01).run(branch_from=saved, **options)
    assert branch.history["width"] == [32]  # at its scale, not from the coarsest on
    moved = np.abs(branch.image.astype(int) - first.image).mean()
    content = transfer().content
    assert 0 < moved < 0.2 * np.abs(content - first.image).mean()
    assert saved.read_bytes() == before


def test_a_branch_is_resumed_like_any_run(saved):
    other = saved.with_name("branch.npz")
    branch = {**OPTIONS, "branch_from": saved}
    transfer(strength=0.9).run(checkpoint=other, callbacks=[StopAfter(2)], **branch)
    resumed = transfer(strength=0.9).run(checkpoint=other, **branch)
    whole = transfer(strength=0.9).run(**branch)
    np.testing.assert_array_equal(resumed.image, whole.image)


def test_what_is_no_saved_run_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    path.write_bytes(b"no run")
    with pytest.raises(ValueError, match="run.npz, but must be a saved run"):
        transfer().run(checkpoint=path, **OPTIONS)
    np.savez(path, x=np.zeros(3))
    with pytest.raises(ValueError, match="must be a saved run"):
        transfer().run(branch_from=path, **OPTIONS)


def test_saving_leaves_nothing_else_behind(finished):
    assert [path.name for path in finished[1].iterdir()] == ["run.npz"]

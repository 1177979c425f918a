"""Runs that are interrupted, continued and branched; schedules."""

import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from gan_style.style_runs import default_scales, default_steps, load_run
from gan_style.style_transfer import StyleTransfer

OPTIONS = {"steps": 4, "scales": [16, 32], "progress": False, "save_every": 1}


def transfer(**options):
    """A small transfer whose random features come from a seed of their own."""
    rng = np.random.default_rng(0)
    content, style = rng.integers(0, 256, (2, 24, 32, 3), dtype="uint8")
    keras.utils.set_random_seed(0)
    options = {
        "content_layers": ["relu1_2"],
        "style_layers": ["relu1_1"],
        "features": {"weights": None, "backbone": "vgg16"},
        **options,
    }
    return StyleTransfer(content, style, **options)


class StopAfter(keras.callbacks.Callback):
    def __init__(self, count):
        super().__init__()
        self.count = count

    def on_train_batch_end(self, batch, logs=None):
        self.count -= 1
        self.model.stop_training = self.count <= 0


def wait_for_a_step_of_the_second_scale(path, process):
    for _ in range(600):
        if path.exists():
            saved = load_run(path)
            if int(saved["scale"]) == 1 and int(saved["optimizer_steps"]) >= 2:
                return
        if process.poll() is not None:
            pytest.fail(f"the run ended by itself: {process.returncode}")
        time.sleep(0.1)
    pytest.fail("the run did not come to its second scale")


def test_a_killed_run_goes_on_to_the_same_pixels(tmp_path):
    path = tmp_path / "run.npz"
    code = f"""
import sys, time
sys.path[:0] = {[os.path.dirname(__file__)]!r}
import keras
from test_style_runs import OPTIONS, transfer

class Slow(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.5)

transfer().run(checkpoint={str(path)!r}, callbacks=[Slow()], **OPTIONS)
"""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        wait_for_a_step_of_the_second_scale(path, process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    steps = len(load_run(path)["history_total"])
    assert 6 <= steps < 8
    resumed = transfer().run(checkpoint=path, **OPTIONS)
    whole = transfer().run(**OPTIONS)
    np.testing.assert_array_equal(resumed.image, whole.image)
    assert len(resumed.history["total"]) == 8
    assert resumed.history["total"] == whole.history["total"]
    assert resumed.history["evaluations"] == whole.history["evaluations"]


@pytest.mark.parametrize(
    ("optimizer", "stop"), [("lbfgs", 2), ("lbfgs", 4), ("adam", 5)]
)
def test_a_stopped_run_goes_on_from_any_step(tmp_path, optimizer, stop):
    options = {**OPTIONS, "optimizer": optimizer}
    path = tmp_path / "run.npz"
    transfer().run(checkpoint=path, callbacks=[StopAfter(stop)], **options)
    resumed = transfer().run(checkpoint=path, **options)
    whole = transfer().run(**options)
    np.testing.assert_array_equal(resumed.image, whole.image)
    assert resumed.history["total"] == whole.history["total"]


def test_a_finished_run_is_read_not_painted_again(tmp_path):
    path = tmp_path / "run.npz"
    first = transfer().run(checkpoint=path, **OPTIONS)
    again = transfer().run(checkpoint=path, **OPTIONS)
    np.testing.assert_array_equal(again.image, first.image)
    assert again.history == first.history


@pytest.mark.parametrize("change", [{"strength": 0.7}, {"seed": 3}, {"size": 33}])
def test_a_checkpoint_of_another_run_is_refused(tmp_path, change):
    path = tmp_path / "run.npz"
    transfer().run(checkpoint=path, **OPTIONS)
    scales = [16, change.get("size", 32)]
    with pytest.raises(ValueError, match="checkpoint.*branch_from"):
        transfer(**change).run(checkpoint=path, **{**OPTIONS, "scales": scales})


def test_a_branch_starts_from_the_saved_picture_with_other_weights(tmp_path):
    path = tmp_path / "run.npz"
    first = transfer().run(checkpoint=path, **OPTIONS)
    before = path.read_bytes()
    options = {**OPTIONS, "steps": 1}
    branch = transfer(strength=0.01).run(branch_from=path, **options)
    assert branch.history["width"] == [32]  # at its scale, not from the coarsest on
    moved = np.abs(branch.image.astype(int) - first.image).mean()
    content = transfer().content
    assert 0 < moved < 0.2 * np.abs(content - first.image).mean()
    assert path.read_bytes() == before


def test_a_branch_is_resumed_like_any_run(tmp_path):
    path, other = tmp_path / "run.npz", tmp_path / "branch.npz"
    transfer().run(checkpoint=path, **OPTIONS)
    branch = {**OPTIONS, "branch_from": path}
    transfer(strength=0.9).run(checkpoint=other, callbacks=[StopAfter(2)], **branch)
    resumed = transfer(strength=0.9).run(checkpoint=other, **branch)
    whole = transfer(strength=0.9).run(**branch)
    np.testing.assert_array_equal(resumed.image, whole.image)


def test_what_is_no_saved_run_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    path.write_bytes(b"no run")
    with pytest.raises(ValueError, match="run.npz is not a saved run"):
        transfer().run(checkpoint=path, **OPTIONS)
    np.savez(path, x=np.zeros(3))
    with pytest.raises(ValueError, match="not a saved run"):
        transfer().run(branch_from=path, **OPTIONS)


def test_saving_leaves_nothing_else_behind(tmp_path):
    transfer().run(checkpoint=tmp_path / "run.npz", **OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


@pytest.mark.parametrize("size", [64, 100, 384, 512, 2048])
def test_scales_grow_by_about_the_same_to_the_size(size):
    scales = default_scales(size)
    assert scales[-1] == size and scales == sorted(scales)
    ratios = [b / a for a, b in zip(scales, scales[1:], strict=False)]
    assert all(1.3 < ratio < 1.55 for ratio in ratios)
    assert len(default_steps(scales)) == len(scales)

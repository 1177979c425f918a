"""TensorFlow's ways to compute on a CPU agree, and the same way twice is bit-equal."""

import functools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "helpers/cpu_paths_script.py"
WAYS = {
    # name: (oneDNN, threads, enable_op_determinism)
    "first": ("1", "2", "yes"),
    "again": ("1", "2", "yes"),
    "without oneDNN": ("0", "2", "no"),
    "one thread": ("1", "1", "no"),
}


def computed(folder, name):
    """What a process of its own computes in one of the ways."""
    onednn, *arguments = WAYS[name]
    done = subprocess.run(
        [sys.executable, SCRIPT, folder / f"{name}.npz", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(SCRIPT.parents[1]), *sys.path]),
            "TF_ENABLE_ONEDNN_OPTS": onednn,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with np.load(folder / f"{name}.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cpu_paths")
    # Two at a time: most of what they do is to import and trace, on one core each.
    with ThreadPoolExecutor(2) as two:
        found = two.map(functools.partial(computed, folder), WAYS)
        return dict(zip(WAYS, found, strict=True))


def test_the_same_seed_gives_the_same_bits(results):
    first, again = results["first"], results["again"]
    assert [
        name for name in first if not np.array_equal(first[name], again[name])
    ] == []
    assert np.ptp(first["losses"], axis=0).min() > 0  # it has moved


@pytest.mark.parametrize("name", ["without oneDNN", "one thread"])
class TestOtherWays:
    def test_losses_of_four_steps_agree(self, results, name):
        want, got = results["first"]["losses"], results[name]["losses"]
        np.testing.assert_allclose(got, want, rtol=1e-4)

    def test_weights_after_four_steps_agree(self, results, name):
        want, got = results["first"], results[name]
        for key in (key for key in want if key.startswith("weight")):
            np.testing.assert_allclose(got[key], want[key], rtol=1e-4, atol=1e-4)

    def test_a_style_transfer_s_loss_and_gradient_agree(self, results, name):
        want, got = results["first"], results[name]
        np.testing.assert_allclose(got["terms"], want["terms"], rtol=1e-4)
        largest = np.abs(want["gradient"]).max()
        np.testing.assert_allclose(
            got["gradient"], want["gradient"], rtol=0, atol=1e-4 * largest
        )

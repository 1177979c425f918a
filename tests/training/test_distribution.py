"""Training on replicas and on workers, in processes of their own."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_style import datasets
from gan_style.training import train

SCRIPT = Path(__file__).parents[1] / "helpers/distribution_script.py"
pytestmark = pytest.mark.slow


def make_images(folder):
    numbers = np.random.default_rng(0)
    for part, count in (("trainA", 9), ("trainB", 12)):
        (folder / "images" / part).mkdir(parents=True)
        for i in range(count):
            image = numbers.integers(0, 256, (20, 20, 3), "uint8")
            Image.fromarray(image).save(folder / "images" / part / f"{i}.png")
    return folder


def start(folder, mode, **environment):
    return subprocess.Popen(
        [sys.executable, SCRIPT, folder, mode],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(SCRIPT.parents[1]), *sys.path]),
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Outcome:
    """What the processes wrote down."""

    def __init__(self, folder):
        self.folder = folder

    def state(self, name):
        with np.load(self.folder / f"{name}.npz") as file:
            return dict(file)

    def notes(self, name):
        return json.loads((self.folder / f"{name}.json").read_text())


def different(first, second):
    """Names of what is not the same to the bit."""
    assert list(first) == list(second)
    return [name for name in first if not np.array_equal(first[name], second[name])]


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    folder = make_images(tmp_path_factory.mktemp("mirrored"))
    process = start(folder, "mirrored")
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    return Outcome(folder)


class TestTwoReplicas:
    @pytest.mark.parametrize("way", ["two_fit", "two_train"])
    def test_steps_equal_steps_on_the_joined_batch(self, mirrored, way):
        beginning, one = mirrored.state("beginning"), mirrored.state("one")
        two = mirrored.state(way)
        changed = 0
        for name, want in one.items():
            for replica in (0, 1):
                got = two[name[:-1] + str(replica)]
                # Float32 rounds a sum over two halves otherwise than one over all.
                np.testing.assert_allclose(got, want, rtol=1e-3, atol=2e-6)
            changed += not np.allclose(beginning[name], want, rtol=1e-2, atol=1e-4)
        assert changed > 10, "three steps must change the weights by more"

    @pytest.mark.parametrize("way", ["two_fit", "two_train"])
    def test_losses_are_those_of_the_joined_batch(self, mirrored, way):
        assert mirrored.notes(way) == pytest.approx(mirrored.notes("one"), rel=1e-4)

    def test_each_has_a_pool_of_its_own(self, mirrored):
        state = mirrored.state("pools")
        pools = {}
        for name, value in state.items():
            if "/pictures" in name:
                pools.setdefault(name[:-2], []).append(value)
            if "/count" in name:
                assert value == 6  # three steps of two images on each replica
        assert len(pools) == 2
        for pair in pools.values():
            first, second = ({one.tobytes() for one in pool[:6]} for pool in pair)
            # Of one replica, two may agree: the shorter domain repeats.
            assert min(len(first), len(second)) >= 5 and not first & second

    def test_interrupted_equals_straight_pools_included(self, mirrored):
        straight, resumed = mirrored.state("straight"), mirrored.state("resumed")
        assert any(
            not np.array_equal(straight[name], straight[name[:-1] + "1"])
            for name in straight
            if "pool" in name and name.endswith("0")
        ), "pools must differ, or this shows nothing of them"
        assert different(straight, resumed) == []
        assert mirrored.notes("straight") == [0, 1, 2, 3, 4, 5]
        assert mirrored.notes("resumed") == [2, 3, 4, 5], "it began from the file"

    def test_a_process_of_one_replica_loads_the_file(self, mirrored):
        alone, two = mirrored.state("alone"), mirrored.state("resumed")
        # A loaded model's variables have other paths, but the same order.
        first = [value for name, value in two.items() if name.endswith(" 0")]
        assert len(alone) == len(first)
        for got, want in zip(alone.values(), first, strict=True):
            np.testing.assert_array_equal(got, want)

    def test_what_keras_cannot_do_is_refused(self, mirrored):
        refused = mirrored.notes("refused")
        assert set(refused) == {"jit_compile", "steps_per_execution", "batch"}
        assert "on several replicas" in refused["jit_compile"]
        assert "batch_size is 3" in refused["batch"]
        assert "Use 2." in refused["batch"]


def pair(folder, mode):
    """Runs a chief and a worker, both number 0; returns exit codes and output."""
    kinds, workers = ("chief", "worker"), []
    ports = zip(kinds, free_ports(2), strict=True)
    cluster = {kind: [f"127.0.0.1:{port}"] for kind, port in ports}
    for kind in kinds:
        config = {"cluster": cluster, "task": {"type": kind, "index": 0}}
        workers.append(start(folder, mode, TF_CONFIG=json.dumps(config)))
    try:
        outputs = [worker.communicate(timeout=600)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    return [worker.returncode for worker in workers], "\n".join(outputs)


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    folder = make_images(tmp_path_factory.mktemp("workers"))
    codes, output = pair(folder, "first")
    assert codes == [-signal.SIGKILL] * 2, output
    saved = sorted(path.name for path in (folder / "states").iterdir())
    kinds = "chief", "worker"
    assert saved == [f"{kind}_0_step_{s}.keras" for kind in kinds for s in (2, 4)]
    # As if the second had been killed before its last state was there.
    (folder / "states" / "worker_0_step_4.keras").unlink()
    codes, output = pair(folder, "second")
    assert codes == [0, 0], output
    return Outcome(folder)


class TestTwoWorkers:
    def test_end_with_the_same_weights_and_pools_of_their_own(self, workers):
        first, second = (workers.state(f"straight_{w}") for w in (0, 1))
        unlike = different(first, second)
        assert unlike and all("pool" in name for name in unlike)
        assert any("/pictures" in name for name in unlike)

    def test_report_the_means_of_all(self, workers):
        first, second = (workers.notes(f"straight_{w}") for w in (0, 1))
        assert first == second
        assert [step for step, _ in first] == [3, 6]
        assert all(np.isfinite([*losses.values()]).all() for _, losses in first)

    @pytest.mark.parametrize("worker", [0, 1])
    def test_killed_and_started_again_equal_straight(self, workers, worker):
        straight = workers.state(f"straight_{worker}")
        assert different(straight, workers.state(f"resumed_{worker}")) == []
        steps = [step for step, _ in workers.notes(f"resumed_{worker}")]
        assert steps == [4, 6], "it went on from the state that both have"


class TestShares:
    @pytest.fixture
    def position(self, tmp_path):
        return datasets.load(make_images(tmp_path) / "images", 16, 4).train.cursor

    def test_of_two_workers_make_up_the_batch(self, position):
        def taken(*shares):
            position.step = 5
            return [a.numpy() for a, _ in position.dataset(2, *shares)]

        whole = np.stack(taken())
        first, second = (np.stack(taken(worker, 2)) for worker in (0, 1))
        np.testing.assert_array_equal(np.concatenate([first, second], axis=1), whole)

    def test_of_replicas_come_one_after_the_other(self, position):
        position.step = 5
        parts = [a.numpy() for a, _ in position.dataset(2, 1, 2, parts=2)]
        position.step = 5
        share = [a.numpy() for a, _ in position.dataset(2, 1, 2)]
        assert len(parts) == 4 and parts[0].shape[0] == 1
        np.testing.assert_array_equal(np.concatenate(parts), np.concatenate(share))


class TestTrainAlone:
    def test_refuses_a_dataset_without_a_position(self):
        from helpers.cyclegans import straight_lines

        model = straight_lines()
        model.compile()
        with pytest.raises(ValueError, match=r"`train` of gan_style\.datasets"):
            train(model, [1], 1)

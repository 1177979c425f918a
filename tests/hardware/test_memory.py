"""Memory and time: budgets in words, what this machine has, and what waits."""

import functools

import pytest
import tensorflow as tf

from gan_style.hardware import memory
from gan_style.hardware.memory import available_memory, budget, in_turn, say_seconds


@pytest.mark.parametrize(
    ("name", "words", "amount"),
    [
        *(("time", "3 minutes", 180), ("time", "1 minute", 60), ("time", "90 s", 90)),
        *(("time", "1.5h", 5400), ("time", "2 Hours", 7200), ("time", 7, 7)),
        *(("memory", "4 GB", 4e9), ("memory", "512MiB", 2**29), ("memory", 2e9, 2e9)),
    ],
)
def test_budgets_in_words(name, words, amount):
    assert budget(name, words) == amount


@pytest.mark.parametrize("words", ["soon", "3", "4 GB", "-3 s", "0 s", "1.2.3 s", 0])
def test_budgets_that_are_none(words):
    with pytest.raises(
        ValueError, match=r"plan: time is .*, but must be .*'3 minutes'"
    ):
        budget("time", words)
    with pytest.raises(ValueError, match="memory"):
        budget("memory", None if words == "4 GB" else words)


def test_times_in_words():
    said = [say_seconds(s) for s in (0.25, 9.4, 9.96, 59.4, 60, 3599, 3600)]
    assert said == [
        *("0.2 s", "9 s", "10 s", "59 s", "1 min 0 s", "59 min 59 s", "1 h 0 min")
    ]


def test_this_machine_has_memory():
    assert 1e8 < available_memory() < 1e14


def test_a_container_s_files_in_memory_count_as_free(monkeypatch):
    def container(files, path):
        names = {"memory.max": "9000", "memory.current": "8000"}
        names["memory.stat"] = f"anon 1\ninactive_file {files}\nactive_file 5\n"
        return names.get(path.removeprefix("/sys/fs/cgroup/"), "")

    for files, free in (7000, 8000), (0, 1000):
        reads = functools.partial(container, files)
        monkeypatch.setattr(memory, "read_text", reads)
        assert available_memory() == free


def test_small_images_do_not_wait():
    images = tf.zeros((1, 128, 128, 3))
    assert in_turn([tf.ones(3)], images)[0] is images


@pytest.mark.parametrize("shape", [(2, 128, 128, 3), (1, 129, 128, 3), (None, 8, 8, 3)])
def test_images_wait_if_they_are_large_or_of_unknown_size(shape):
    @tf.function(input_signature=[tf.TensorSpec(shape)])
    def graph(images):
        return in_turn([tf.ones(3)], images)

    operations = graph.get_concrete_function().graph.get_operations()
    assert "IsNan" in {operation.type for operation in operations}

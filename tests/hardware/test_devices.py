"""What is recommended for which device."""

import keras
import pytest
import tensorflow as tf

from gan_style.hardware import devices
from gan_style.hardware.devices import choose, cpu_flags, recommend


def gpu(*capability, name="A GPU"):
    return {"device_name": name, "compute_capability": capability}


@pytest.mark.parametrize(
    ("capability", "policy"),
    [
        ((10, 0), "mixed_bfloat16"),  # as a string it would sort below 8.0
        ((9, 0), "mixed_bfloat16"),
        ((8, 0), "mixed_bfloat16"),
        ((7, 5), "mixed_float16"),
        ((7, 0), "mixed_float16"),
        ((6, 1), "float32"),
    ],
)
def test_gpus_by_their_capability(capability, policy):
    got = choose([gpu(*capability)], {"amx_bf16"})
    assert (got.policy, got.jit_compile) == (policy, True)
    assert ".".join(map(str, capability)) in got.reason


@pytest.mark.parametrize(
    ("flags", "policy"),
    [
        ({"avx512_bf16"}, "mixed_bfloat16"),
        ({"avx512f", "amx_bf16"}, "mixed_bfloat16"),
        ({"avx2", "avx512f", "amx_int8"}, "float32"),
        ((), "float32"),
    ],
)
def test_cpus_by_their_instructions(flags, policy):
    got = choose([], flags)
    assert (got.policy, got.jit_compile) == (policy, False)


def test_the_oldest_of_several_gpus_decides():
    assert choose([gpu(9, 0), gpu(7, 5, name="T4")], ()).reason.startswith("T4")


@pytest.mark.parametrize("details", [{}, {"device_name": "METAL"}])
def test_a_gpu_that_says_nothing_gets_the_reference(details):
    got = choose([details, gpu(9, 0)], {"avx512_bf16"})
    assert (got.policy, got.jit_compile) == ("float32", False)


def test_flags_are_read_from_linux_list(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nflags\t\t: fpu avx512_bf16\nvmx flags\t: vnmi\n")
    assert cpu_flags(path) == {"fpu", "avx512_bf16"}
    path.write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n")
    assert cpu_flags(path) == frozenset()
    assert cpu_flags(tmp_path / "missing") == frozenset()


def test_recommends_for_the_visible_devices(monkeypatch, policy):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    monkeypatch.setattr(devices, "cpu_flags", lambda: {"avx512_bf16"})
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [])
    got = recommend()
    assert got == choose([], {"avx512_bf16"})
    policy(got.policy)
    assert keras.config.dtype_policy().compute_dtype == "bfloat16"


def test_bfloat16_without_onednn_is_not_recommended(monkeypatch):
    monkeypatch.setattr(devices, "cpu_flags", lambda: {"avx512_bf16"})
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [])
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert recommend().policy == "float32"


def test_asks_every_visible_gpu(monkeypatch):
    found = {"/gpu:0": gpu(9, 0), "/gpu:1": gpu(7, 0, name="V100")}
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: list(found))
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda device: found[device]
    )
    assert recommend().reason.startswith("V100")

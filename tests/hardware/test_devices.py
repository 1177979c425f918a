"""What is recommended for which device."""

import keras
import pytest
import tensorflow as tf

from gan_style.hardware import devices
from gan_style.hardware.devices import instruction_sets, recommend


def gpu(*capability, name="A GPU"):
    return {"device_name": name, "compute_capability": capability}


@pytest.fixture
def recommended(monkeypatch):
    """Returns what is recommended for visible GPUs and a CPU's instruction sets."""

    def recommended(gpus, flags=()):
        config, found = tf.config, {f"/gpu:{i}": each for i, each in enumerate(gpus)}
        monkeypatch.setattr(config, "get_visible_devices", lambda kind: list(found))
        monkeypatch.setattr(config.experimental, "get_device_details", found.get)
        monkeypatch.setattr(devices, "instruction_sets", lambda: frozenset(flags))
        return recommend()

    return recommended


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
def test_gpus_by_their_capability(recommended, capability, policy):
    got = recommended([gpu(*capability)], {"amx_bf16"})
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
def test_cpus_by_their_instructions(recommended, flags, policy):
    got = recommended([], flags)
    assert (got.policy, got.jit_compile) == (policy, False)
    assert keras.DTypePolicy(got.policy).name == policy


def test_the_oldest_of_several_gpus_decides(recommended):
    assert recommended([gpu(9, 0), gpu(7, 5, name="T4")]).reason.startswith("T4")


@pytest.mark.parametrize("details", [{}, {"device_name": "METAL"}])
def test_a_gpu_that_says_nothing_gets_the_reference(recommended, details):
    got = recommended([details, gpu(9, 0)], {"avx512_bf16"})
    assert (got.policy, got.jit_compile) == ("float32", False)


@pytest.fixture
def cpuinfo(tmp_path, monkeypatch):
    """Writes what Linux says about a CPU that has everything, oneDNN unlimited."""
    for name in ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "cpuinfo"
    flags = "avx2 avx512f avx512_bf16 amx_bf16"
    path.write_text(f"processor\t: 0\nflags\t\t: {flags}\nvmx flags\t: vnmi\n")
    return path


def test_instruction_sets_are_read_from_linux_list(cpuinfo):
    assert instruction_sets(cpuinfo) == {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n")
    assert instruction_sets(cpuinfo) == frozenset()
    assert instruction_sets(cpuinfo.parent / "missing") == frozenset()


@pytest.mark.parametrize(
    ("limit", "most"),
    [
        ("ALL", "amx_bf16"),
        ("default", "amx_bf16"),
        ("AVX512_CORE_AMX", "amx_bf16"),
        ("avx10_1_512_amx", "amx_bf16"),
        ("AVX512_CORE_BF16", "avx512_bf16"),
        ("AVX512_CORE_FP16", "avx512_bf16"),
        ("AVX512_CORE_VNNI", "avx512f"),
        ("AVX2_VNNI", "avx2"),
        ("SSE41", "avx2"),
    ],
)
def test_instruction_sets_follow_onednn_s_limit(monkeypatch, cpuinfo, limit, most):
    ordered = ["avx2", "avx512f", "avx512_bf16", "amx_bf16"]
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert instruction_sets(cpuinfo) == {*ordered[: ordered.index(most) + 1]}


def test_without_onednn_no_instruction_sets_count(monkeypatch, cpuinfo):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert instruction_sets(cpuinfo) == frozenset()


@pytest.mark.parametrize(
    ("name", "value"), [("TF_ENABLE_ONEDNN_OPTS", "0"), ("ONEDNN_MAX_CPU_ISA", "AVX2")]
)
def test_bfloat16_without_its_instructions_is_not_recommended(monkeypatch, name, value):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [])
    monkeypatch.setenv(name, value)
    assert recommend().policy == "float32"

"""Which instructions this machine has, and which precision and compiler suit it."""

import os
import re
from collections import namedtuple

import keras

from gan_style.hardware.memory import read_text, tf

# Which values of ONEDNN_MAX_CPU_ISA allow an instruction set: those with such a word.
_ALLOWED_BY = {
    "avx512_bf16": ("BF16", "FP16", "AMX", "AVX10"),
    "avx512": ("AVX512", "AVX10"),
    "amx": ("AMX",),
}
# (least compute capability, policy, what such a GPU has)
_GPUS = (
    ((8, 0), "mixed_bfloat16", "bfloat16 tensor cores"),
    ((7, 0), "mixed_float16", "tensor cores for float16, which needs loss scaling"),
    ((0, 0), "float32", "no tensor cores"),
)
Recommendation = namedtuple("Recommendation", "policy jit_compile reason")


def recommend():
    """Recommend a precision and a compiler for the device that TensorFlow trains on.

    A mixed policy computes convolutions in 16 bits, faster where the device has
    instructions for it, and keeps the rest in 32. Of several GPUs the oldest decides.

    Returns:
        A named tuple: the `policy` for `keras.config.set_dtype_policy`, `jit_compile`
        for `CycleGAN.compile`, and the `reason`, a sentence.

    >>> recommend().policy in ("float32", "mixed_bfloat16", "mixed_float16")
    True
    """
    details = tf.config.experimental.get_device_details
    gpus = [details(gpu) for gpu in tf.config.get_visible_devices("GPU")]
    if not gpus:
        found = ", ".join(sorted(instruction_sets() & {"avx512_bf16", "amx_bf16"}))
        reason = "The CPU has no bfloat16 instructions, and is slower in 16 bits."
        if found:
            reason = f"The CPU has bfloat16 instructions ({found})."
        return Recommendation("mixed_bfloat16" if found else "float32", False, reason)
    oldest = min(gpus, key=lambda gpu: gpu.get("compute_capability") or (0, 0))
    name = oldest.get("device_name", "The GPU")
    capability = oldest.get("compute_capability")
    if capability is None:  # of Apple's and others' plugins, where XLA is unreliable
        reason = f"{name} reports no compute capability: measure mixed_bfloat16."
        return Recommendation("float32", False, reason)
    level = ".".join(map(str, capability))
    policy, has = next(rest for least, *rest in _GPUS if capability >= least)
    reason = f"{name} (compute capability {level}) has {has}."
    return Recommendation(policy, True, reason)


def instruction_sets(path="/proc/cpuinfo"):
    """Return the CPU's instruction sets that TensorFlow's oneDNN may use.

    As Linux names them, limited by ONEDNN_MAX_CPU_ISA; none on other systems, on ARM,
    whose bfloat16 TensorFlow leaves unused, and with TF_ENABLE_ONEDNN_OPTS=0.
    """
    onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() not in ("0", "false")
    listed = re.search(r"^flags\s*:(.*)", read_text(path), re.M)
    if not (onednn and listed):
        return frozenset()
    limit, refused = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper(), ()
    if limit not in ("", "ALL", "DEFAULT"):
        kinds = _ALLOWED_BY.items()
        refused = tuple(x for x, words in kinds if not any(w in limit for w in words))
    return frozenset(x for x in listed[1].split() if not x.startswith(refused))


def trains_on_cpu():
    """Return whether TensorFlow is Keras' backend and sees no GPU."""
    tensorflow = keras.backend.backend() == "tensorflow"
    return tensorflow and not tf.config.list_logical_devices("GPU")


def replica_id():
    """Return the number of the replica that runs this, a uint32 tensor; 0 for one."""
    tensorflow = keras.backend.backend() == "tensorflow"
    context = tensorflow and tf.distribute.get_replica_context()
    return keras.ops.cast(context.replica_id_in_sync_group if context else 0, "uint32")


class PerReplicaState:
    """Saves and loads the values of a layer's variables on every replica."""

    def save_own_variables(self, store):
        super().save_own_variables(store)
        for name, copy in self._further_copies():
            store[name] = copy.numpy()

    def load_own_variables(self, store):
        names = list(store.keys())
        own = {name: store[name] for name in names if "_on_replica_" not in name}
        super().load_own_variables(own)
        for name, copy in self._further_copies():
            if name in names:  # otherwise there were fewer replicas
                copy.assign(store[name])

    def _further_copies(self):
        for i, variable in enumerate(self.variables):
            strategy = getattr(variable.value, "distribute_strategy", None)
            if strategy is not None:
                copies = strategy.experimental_local_results(variable.value)
                for replica, copy in enumerate(copies[1:], 1):
                    yield f"{i}_on_replica_{replica}", copy

"""Random numbers that are a function of counters, the same on every backend."""

from functools import partial

from keras import ops

_uint32 = partial(ops.convert_to_tensor, dtype="uint32")


def uniform(count, *counters):
    """Return `count` float32 numbers in [0, 1): a hash of their index and the counters.

    The counters are scalar uint32 tensors, such as a seed and the number of a call.
    `keras.random` would draw other numbers under XLA than without from the same seed,
    and the state of its `SeedGenerator` is not saved with a model.
    """
    index = ops.cast(ops.arange(count, dtype="int32"), "uint32")
    key = _uint32(0)
    for counter in counters:
        key = mix_bits(counter + key)
    bits = ops.right_shift(mix_bits(index + key), _uint32(8))
    return ops.cast(bits, "float32") / 2.0**24


def mix_bits(numbers):
    """Hash uint32 numbers, one by one, with the finalizer of MurmurHash3."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        # For PyTorch, whose uint32 is Keras' int64.
        numbers = ops.bitwise_and(numbers, _uint32(2**32 - 1))
        shifted = ops.right_shift(numbers, _uint32(shift))
        numbers = ops.bitwise_xor(numbers, shifted) * _uint32(factor)
    return numbers

"""Whether TensorFlow convolves in bfloat16 here."""

import functools

import pytest
import tensorflow as tf


@functools.cache
def bfloat16_works():
    """False on a CPU with AVX-512 whose oneDNN is limited to AVX2.

    TensorFlow looks at the CPU alone, and calls what oneDNN then refuses. On a CPU
    without AVX-512 it computes without oneDNN.
    """
    images = tf.zeros((1, 16, 16, 16), "bfloat16")
    try:
        tf.nn.conv2d(images, tf.zeros((3, 3, 16, 16), "bfloat16"), 1, "SAME")
    except tf.errors.AbortedError:
        return False
    return True


def skip_without_bfloat16():
    if not bfloat16_works():
        pytest.skip("TensorFlow's bfloat16 fails under this ONEDNN_MAX_CPU_ISA")

"""What several test files share."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest
import tensorflow as tf
from helpers.bfloat16 import skip_without_bfloat16
from hypothesis import settings

# A busy machine is slow, not wrong; and what failed once fails again.
settings.register_profile("gan_style", deadline=None, derandomize=True, database=None)
settings.load_profile("gan_style")

# Tests compare with float64, to float32's own rounding: a GPU's TF32 has less.
tf.config.experimental.enable_tensor_float_32_execution(False)


@pytest.fixture
def policy():
    """Sets the global dtype policy for one test."""
    before = keras.config.dtype_policy()

    def set_policy(name):
        if name == "mixed_bfloat16":
            skip_without_bfloat16()
        keras.config.set_dtype_policy(name)

    yield set_policy
    keras.config.set_dtype_policy(before)


@pytest.fixture(scope="session")
def fresh():
    """Gives the model of resume_script.py, traced once, its first state again."""
    from helpers import resume_script

    return resume_script.begins_again()

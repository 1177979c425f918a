"""CycleGAN's learning rate."""

import keras
from keras import ops

from gan_style.utils.checks import check_int, check_number


@keras.saving.register_keras_serializable(package="gan_style")
class ConstantThenLinear(keras.optimizers.schedules.LearningRateSchedule):
    """CycleGAN's learning rate: constant, then linear to 0.

    Args:
        learning_rate: float from 0, the rate of the first `constant_steps` steps.
        constant_steps: int from 0, steps before the rate begins to fall.
        decay_steps: int from 1, steps in which it falls to 0, where it stays.

    Raises:
        ValueError: for an argument out of its range.

    >>> rate = constant_then_linear(0.5, constant_steps=100, decay_steps=100)
    >>> [float(rate(step)) for step in (0, 100, 150, 200, 300)]
    [0.5, 0.5, 0.25, 0.0, 0.0]
    """

    def __init__(self, learning_rate, constant_steps, decay_steps):
        super().__init__()
        owner = "constant_then_linear"
        self.learning_rate = check_number(owner, "learning_rate", learning_rate)
        self.constant_steps = check_int(owner, "constant_steps", constant_steps, 0)
        self.decay_steps = check_int(owner, "decay_steps", decay_steps)

    def __call__(self, step):
        # Integers until the division: float32 cannot count beyond 2^24 steps.
        done = ops.cast(step, "int64") - self.constant_steps
        left = self.decay_steps - ops.clip(done, 0, self.decay_steps)
        return self.learning_rate * (ops.cast(left, "float32") / self.decay_steps)

    def get_config(self):
        names = ("learning_rate", "constant_steps", "decay_steps")
        return {name: getattr(self, name) for name in names}


constant_then_linear = ConstantThenLinear

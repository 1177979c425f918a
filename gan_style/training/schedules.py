"""CycleGAN's learning rate."""

import keras
from keras import ops

from gan_style.utils.checks import check_int, check_number


@keras.saving.register_keras_serializable(package="gan_style")
class ConstantThenLinear(keras.optimizers.schedules.LearningRateSchedule):
    """See `constant_then_linear`."""

    def __init__(self, learning_rate, constant_steps, decay_steps):
        super().__init__()
        owner = "constant_then_linear"
        self.learning_rate = check_number(owner, "learning_rate", learning_rate)
        self.constant_steps = check_int(
            owner, "constant_steps", constant_steps, minimum=0
        )
        self.decay_steps = check_int(owner, "decay_steps", decay_steps)

    def __call__(self, step):
        # Whole numbers until the division: float32 cannot count beyond 2^24 steps.
        done = ops.cast(step, "int64") - self.constant_steps
        left = self.decay_steps - ops.clip(done, 0, self.decay_steps)
        share = ops.cast(left, "float32") / float(self.decay_steps)
        return self.learning_rate * share

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "constant_steps": self.constant_steps,
            "decay_steps": self.decay_steps,
        }


def constant_then_linear(learning_rate, constant_steps, decay_steps):
    """CycleGAN's learning rate: constant, then in a straight line to 0.

    Args:
        learning_rate: the rate of the first `constant_steps` optimizer steps.
        constant_steps: steps before the fall begins.
        decay_steps: steps that the fall takes; the rate is 0 from
            `constant_steps + decay_steps` on.

    Returns:
        A `keras.optimizers.schedules.LearningRateSchedule`.

    >>> rate = constant_then_linear(0.5, constant_steps=100, decay_steps=100)
    >>> [float(rate(step)) for step in (0, 100, 150, 200, 300)]
    [0.5, 0.5, 0.25, 0.0, 0.0]
    """
    return ConstantThenLinear(learning_rate, constant_steps, decay_steps)

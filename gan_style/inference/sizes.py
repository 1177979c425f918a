"""Makes a generator that was built for one image size accept others."""

import weakref
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from gan_style.utils.checks import refused

_MULTIPLES = sorted(range(1, 65), key=lambda n: n & (n - 1) > 0)  # powers of 2 first

_known = weakref.WeakKeyDictionary()


class SizeRequirements(NamedTuple):
    """A generator's compiled inference, and the image sizes that it accepts."""

    run: object  # from float32 (batch, height, width, channels) to float32
    multiple: int  # of which both sides must be multiples
    minimum: int
    channels: int

    def fit(self, side):
        """Return the smallest accepted side of at least `side` pixels."""
        return max(-(-side // self.multiple) * self.multiple, self.minimum)


def compile_for_any_size(generator, owner="compile_for_any_size"):
    """Compile a generator, and find its `SizeRequirements` by trying.

    Its layers are used themselves: no weight is copied, and later training shows. The
    answer is kept while the generator lives. An error names `owner`.
    """
    if isinstance(generator, keras.Model) and generator in _known:
        return _known[generator]
    shape = getattr(generator, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] is None:
        expected = "(batch, height, width, channels), the channels fixed. Pass a built "
        expected += "keras.Model, such as a CycleGAN's generator_ab"
        raise refused(owner, "generator's input_shape", shape, expected)
    # A strong reference would keep the generator, the key of its own entry, for ever.
    reference, channels = weakref.ref(generator), shape[-1]

    def forward(images):
        model = reference()
        # `__call__` insists on the size that a functional model was built with.
        step = model if shape[1:3] == (None, None) else model.call
        return tf.cast(step(images, training=False), tf.float32)

    def keeps_size(*sides):
        try:
            result = forward(np.zeros((1, *sides, channels), "float32"))
        except (ValueError, tf.errors.InvalidArgumentError):
            return False
        return tuple(result.shape[1:3]) == sides

    # Only a true multiple fits 7 and 11 times, which share no factor.
    multiple = next((n for n in _MULTIPLES if keeps_size(7 * n, 11 * n)), None)
    if multiple is None:
        raise ValueError(
            f"{owner}: generator changes the size of images, or has a model inside, "
            "which accepts one size. Pass a flat one, such as unet_generator's."
        )
    # On fewer pixels, some mirroring paddings and convolutions fail.
    sides = range(multiple, 7 * multiple, multiple)
    minimum = next((side for side in sides if keeps_size(side, side)), 7 * multiple)
    signature = [tf.TensorSpec((None, None, None, channels), tf.float32)]
    run = tf.function(forward, input_signature=signature, autograph=False)
    _known[generator] = found = SizeRequirements(run, multiple, minimum, channels)
    return found

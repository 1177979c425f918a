"""Lets a generator that was built for one image size take any."""

import weakref
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

# Sides that share no factor with each other, so that only a true multiple fits both.
_PROBES = (7, 11)
# The usual ones first.
_MULTIPLES = (1, 2, 4, 8, 16, 32, 64, *sorted({*range(64)} - {0, 1, 2, 4, 8, 16, 32}))

_known = weakref.WeakKeyDictionary()


class SizeRequirements(NamedTuple):
    """A generator's compiled forward pass, and the image sizes that it takes.

    `run` maps float32 `(batch, height, width, channels)` to float32 of the same height
    and width, without training behaviour; both sides have to be a multiple of
    `multiple` and at least `least`.
    """

    run: object
    multiple: int
    least: int
    channels: int


def any_size(generator):
    """Finds out which sizes a generator takes, and compiles it for all of them.

    The fixed size that a model was built with is a note at its door: its layers are
    convolutional. They are used as they are, so no weight is copied and what training
    changes later is seen. The answer is kept for as long as the generator lives.

    Args:
        generator: a `keras.Model` from one batch of images to one batch of images
            of the same height and width.

    Returns:
        An `SizeRequirements`.

    Raises:
        ValueError: when the network's results have another size than its images.

    >>> from gan_style.models import unet_generator
    >>> network = any_size(unet_generator((128, 128, 3), 2))
    >>> network.multiple, network.run(np.zeros((1, 48, 80, 3), "float32")).shape
    (16, TensorShape([1, 48, 80, 3]))
    """
    found = _known.get(generator) if isinstance(generator, keras.Model) else None
    if found is None:
        found = _known[generator] = _examine(generator)
    return found


def _examine(generator):
    shape = getattr(generator, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] is None:
        raise ValueError(
            f"translate: the generator takes inputs of shape {shape}, but must be "
            "a built keras.Model that takes one batch of images (batch, height, "
            "width, channels) with a fixed number of channels."
        )
    channels = shape[-1]
    forward = _forward(generator)
    multiple = _multiple(forward, channels)
    least = _least(forward, multiple, channels)
    signature = [tf.TensorSpec((None, None, None, channels), tf.float32)]
    run = tf.function(forward, input_signature=signature, autograph=False)
    return SizeRequirements(run, multiple, least, channels)


def _forward(generator):
    # A weak reference: a strong one would keep the generator, the key of its own entry,
    # alive for ever.
    reference = weakref.ref(generator)
    is_open = generator.input_shape[1:3] == (None, None)

    def forward(images):
        model = reference()
        # `__call__` of a functional model insists on the size that it was built with,
        # `call` goes straight to its layers.
        step = model if is_open else model.call
        return tf.cast(step(images, training=False), tf.float32)

    return forward


def _multiple(forward, channels):
    """The smallest number whose multiples come out as large as they went in."""
    for multiple in _MULTIPLES:
        if _keeps_size(forward, [multiple * probe for probe in _PROBES], channels):
            return multiple
    raise ValueError(
        "translate: images of no size that was tried come out of the generator as "
        "large as they went in, but a translation has to keep the size."
    )


def _least(forward, multiple, channels):
    """The smallest side that the network's mirrors and convolutions can take."""
    for side in range(multiple, _PROBES[0] * multiple, multiple):
        if _keeps_size(forward, [side, side], channels):
            return side
    return _PROBES[0] * multiple


def _keeps_size(forward, sides, channels):
    try:
        result = forward(np.zeros((1, *sides, channels), "float32"))
    except (ValueError, tf.errors.InvalidArgumentError):
        return False
    return list(result.shape[1:3]) == list(sides)

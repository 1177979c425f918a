"""Averages of a network's weights over its last training steps.

The two networks of a GAN chase each other, so the weights swing around a place where
the images are better than at any one of the steps: Yazici et al., "The Unusual
Effectiveness of Averaging in GAN Training" (2019).
"""

import keras
import tensorflow as tf


def averaged_copy(network):
    """Copies a network, for averages of its weights.

    Args:
        network: a functional or sequential `keras.Model`.

    Returns:
        A `keras.Model` of the same layers and weights, which no optimizer trains.

    Raises:
        ValueError: for a network that Keras cannot copy.

    >>> network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> copy = averaged_copy(network)
    >>> len(copy.weights), len(copy.trainable_weights)
    (2, 0)
    """
    try:
        copy = keras.models.clone_model(network)
        copy.set_weights(network.get_weights())
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(
            f"CycleGAN: averages of weights need a copy of {network.name}, but Keras "
            "cannot copy it; the error above says why. Take a functional model, or "
            "average_decay=None."
        ) from error
    copy.trainable = False
    return copy


def update_averages(averages, networks, decay, step):
    """Takes one step of the weights into their exponential moving averages.

    At step t the average keeps min(decay, t / (t + 9)) of itself: it begins as a copy,
    and is at no time dominated by the random weights of the beginning.

    Args:
        averages: models made by `averaged_copy`.
        networks: the models that are trained, in the same order.
        decay: how much of the average is kept in the long run, below 1.
        step: a scalar tensor, the steps done before this one.
    """
    step = tf.cast(step, tf.float32)
    new = 1.0 - tf.minimum(decay, step / (step + 9.0))
    for copy, network in zip(averages, networks, strict=True):
        for average, weight in zip(copy.weights, network.weights, strict=True):
            average, weight = average.value, weight.value
            # Replicas of a distributed training need not agree on it: each has the
            # same weights to take in.
            if average.dtype.is_floating:
                average.assign_add((weight - average) * tf.cast(new, average.dtype))
            else:
                average.assign(weight)

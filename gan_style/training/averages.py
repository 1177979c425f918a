"""Running averages of the generators' weights, and how they follow new weights.

The networks of a GAN chase each other, and their weights swing around values that give
better images than those of any one step: Yazici et al., "The Unusual Effectiveness of
Averaging in GAN Training" (2019).
"""

import numpy as np
import tensorflow as tf


def averaged_copy(network):
    """Copies a network, for running averages of its weights.

    Args:
        network: a functional or sequential `keras.Model`.

    Returns:
        A `keras.Model` of the same layers and weights, which no optimizer trains.

    Raises:
        ValueError: for a network that Keras cannot copy.

    >>> import keras
    >>> network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> copy = averaged_copy(network)
    >>> len(copy.weights), len(copy.trainable_weights)
    (2, 0)
    """
    try:
        # Another name: a file of the old HDF5 format keeps layers by theirs.
        config = {**network.get_config(), "name": f"{network.name}_average"}
        copy = type(network).from_config(config)
        copy.set_weights(network.get_weights())
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(
            f"CycleGAN: averages of weights need a copy of {network.name}, but Keras "
            "cannot copy it; the error above says why. Use a functional model, or "
            "average_decay=None."
        ) from error
    copy.trainable = False
    return copy


class RunningAverages:
    """What a model with `averages` and `steps_done` does with them.

    Averages follow the weights: where a network was given other weights than training
    gave it, its average becomes a copy of them.
    """

    _trained = None

    def averages(self):
        """Pairs of a network and its `averaged_copy`."""
        # No property: Keras would save what it holds a second time.
        return ()

    def update_average(self, average, network):
        """Moves an `averaged_copy` towards its network's weights after a step.

        At step t the average keeps min(average_decay, t / (t + 9)) of itself, so the
        random weights of the beginning are soon forgotten.
        """
        step = tf.cast(self.steps_done, tf.float32)
        new = 1.0 - tf.minimum(self.average_decay, step / (step + 9.0))
        for kept, weight in zip(average.weights, network.weights, strict=True):
            kept, weight = kept.value, weight.value
            # Replicas hold the same weights, so each updates its copy by itself.
            if kept.dtype.is_floating:
                kept.assign_add((weight - kept) * tf.cast(new, kept.dtype))
            else:
                kept.assign(weight)

    def note_trained_weights(self):
        """Remembers the weights that training gave, by step and sums of their bits."""
        sums = [
            np.sum(np.atleast_1d(w).view(f"u{w.itemsize}"), dtype="uint64")
            for network, _ in self.averages()
            for w in network.get_weights()
        ]
        self._trained = np.array([int(self.steps_done.numpy()), *sums], "uint64")

    def follow_new_weights(self):
        """Starts the averages afresh where weights were set or loaded from outside."""
        known = self._trained
        self.note_trained_weights()
        if known is None or known[0] != self._trained[0]:
            return  # trained on by another loop
        if not np.array_equal(known, self._trained):
            for network, average in self.averages():
                average.set_weights(network.get_weights())

    def save_own_variables(self, store):
        """Saves the step, and with it which weights training gave."""
        super().save_own_variables(store)
        if self._trained is not None:
            store["trained"] = self._trained

    def load_own_variables(self, store):
        """Loads the step; a file of an earlier version lacks the rest."""
        self._trained = None
        own = {name: store[name] for name in store.keys() if name != "trained"}
        if "trained" in store.keys():
            self._trained = np.array(store["trained"], "uint64")
        super().load_own_variables(own)

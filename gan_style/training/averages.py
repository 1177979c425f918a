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
    """What a model with `averages()`, `average_decay` and `steps_done` does with them.

    Averages follow the weights: those that were set or loaded from outside replace the
    average at the next call of `fit`, `train_on_batch` or `translate`.
    """

    _trained = None

    def averages(self):
        """Pairs of a network and its `averaged_copy`."""
        # No property: Keras would save what it holds a second time.
        return ()

    def update_averages(self):
        """Moves each `averaged_copy` towards its network's weights after a step.

        At step t it keeps min(average_decay, t / (t + 9)) of itself, so the random
        weights of the beginning are soon forgotten.
        """
        step = tf.cast(self.steps_done, tf.float32)
        for network, average in self.averages():
            new = 1.0 - tf.minimum(self.average_decay, step / (step + 9.0))
            for kept, weight in zip(average.weights, network.weights, strict=True):
                kept, weight = kept.value, weight.value
                # Replicas hold the same weights, so each updates its copy by itself.
                if kept.dtype.is_floating:
                    kept.assign_add((weight - kept) * tf.cast(new, kept.dtype))
                else:
                    kept.assign(weight)

    def follow_weights(self, trained=False):
        """Notes the weights; starts averages afresh of those that came from outside.

        They are known by the step and sums of their bits. `trained` says that they are
        what training has given.
        """
        sums = [
            np.sum(np.atleast_1d(w).view(f"u{w.itemsize}"), dtype="uint64")
            for network, _ in self.averages()
            for w in network.get_weights()
        ]
        known = self._trained
        self._trained = np.array([int(self.steps_done.numpy()), *sums], "uint64")
        # Of another step, they are from a loop of one's own.
        if not trained and known is not None and known[0] == self._trained[0]:
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
        own = {name: store[name] for name in store.keys()}
        trained = own.pop("trained", None)
        self._trained = None if trained is None else np.array(trained, "uint64")
        super().load_own_variables(own)

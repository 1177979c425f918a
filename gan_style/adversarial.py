"""A model that two optimizers drive: one its generators, one its discriminators."""

from contextlib import contextmanager

import keras
import tensorflow as tf


@contextmanager
def watching(variables):
    """A gradient tape that follows these variables, and no others."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        yield tape


def check_networks(owner, **networks):
    """Holds the networks to be built Keras models, each a model of its own."""
    for name, network in networks.items():
        if not isinstance(network, keras.Model) or not network.built:
            raise ValueError(
                f"{owner}: {name} is {network!r}, but must be a built "
                "keras.Model, such as the ones of gan_style.models.generators."
            )
        twins = [other for other, also in networks.items() if also is network]
        if len(twins) > 1:
            raise ValueError(
                f"{owner}: {' and '.join(twins)} are one model, but each must learn "
                "a task of its own. Build one for each."
            )


class AdversarialModel(keras.Model):
    """What `CycleGAN` needs to be compiled and saved with an optimizer for each side.

    A subclass has `generator_variables` and `discriminator_variables`, two lists, and a
    `train_step`.
    """

    def compile(self, generator_optimizer=None, discriminator_optimizer=None, **kwargs):
        """Takes the two optimizers; Adam with rate 2e-4 and beta_1 0.5 by default.

        Args:
            generator_optimizer: drives both generators.
            discriminator_optimizer: drives both discriminators; another object.
            **kwargs: `jit_compile` (False by default), `run_eagerly`,
                `steps_per_execution`.
        """
        shared = generator_optimizer is discriminator_optimizer
        if shared and isinstance(generator_optimizer, keras.optimizers.Optimizer):
            raise ValueError(
                f"{type(self).__name__}.compile: generator_optimizer and "
                "discriminator_optimizer are one object, but each keeps the moments "
                "of its own networks. Make two."
            )
        kwargs.setdefault("jit_compile", False)
        self._check_replicas(**kwargs)
        super().compile(optimizer=None, loss=None, metrics=None, **kwargs)
        self.generator_optimizer = self._optimizer(generator_optimizer)
        self.discriminator_optimizer = self._optimizer(discriminator_optimizer)
        # Built now, so that loaded weights find their places.
        self.generator_optimizer.build(self.generator_variables)
        self.discriminator_optimizer.build(self.discriminator_variables)

    def _check_replicas(self, jit_compile, steps_per_execution=1, **_):
        # As tried with Keras 3.15 and TensorFlow 2.21, also on a model of one layer.
        replicas = self.distribute_strategy.num_replicas_in_sync
        if replicas > 1 and (jit_compile or steps_per_execution > 1):
            raise ValueError(
                f"{type(self).__name__}.compile: jit_compile is {jit_compile} and "
                f"steps_per_execution {steps_per_execution}, but {replicas} replicas "
                "can train with jit_compile=False and steps_per_execution=1 only."
            )

    def _optimizer(self, optimizer):
        if optimizer is None:
            optimizer = keras.optimizers.Adam(2e-4, beta_1=0.5)
        optimizer = keras.optimizers.get(optimizer)
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if self._uses_float16() and not scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        return optimizer

    def _uses_float16(self):
        return any(
            layer.compute_dtype == "float16"
            for network in self.layers
            for layer in getattr(network, "layers", ())
        )

    def get_compile_config(self):
        if not self.compiled:
            return None
        config = super().get_compile_config()
        kept = ("run_eagerly", "steps_per_execution", "jit_compile")
        return {
            **{key: config[key] for key in kept if key in config},
            **{
                name: keras.optimizers.serialize(getattr(self, name))
                for name in ("generator_optimizer", "discriminator_optimizer")
            },
        }

    def compile_from_config(self, config):
        self.compile(
            **{
                key: keras.optimizers.deserialize(value)
                if key.endswith("_optimizer")
                else value
                for key, value in config.items()
            }
        )

    @staticmethod
    def scaled_loss(loss, optimizer):
        """The loss to differentiate, right for every number of replicas."""
        # Keras sums gradients over replicas, the paper's losses are means.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return optimizer.scale_loss(loss / replicas)

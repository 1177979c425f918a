"""What a GAN needs to be compiled, trained, resumed and saved with two optimizers."""

import zlib
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from gan_style.training import guards
from gan_style.training.checkpoints import patch_keras_saving_leak, resumable
from gan_style.utils.checks import refused

_OPTIONS = ("jit_compile", "run_eagerly", "steps_per_execution")


class AdversarialModel(keras.Model):
    """The parts that `CycleGAN` and `Pix2Pix` share.

    A subclass lists its `NETWORKS`, generators first, and the other arguments of its
    constructor, `OPTIONS`, by name; it calls `build_state` when all else is built, and
    has a `train_step` and `batch_shapes`. All state of a training is in variables.
    """

    NETWORKS = OPTIONS = ()
    _trained = None

    def __init__(self, *networks, **kwargs):
        super().__init__(**kwargs)
        networks = dict(zip(self.NETWORKS, networks, strict=True))
        guards.check_networks(type(self).__name__, networks)
        for name, network in networks.items():
            setattr(self, name, network)

    def build_state(self, losses):
        """Makes the variables that count steps and average the named losses."""
        options = {"trainable": False, "name": "steps_done"}
        self.steps_done = self.add_weight((), "zeros", "int64", **options)
        self.loss_means = {name: keras.metrics.Mean(name=name) for name in losses}
        self.built = True

    def variables_of(self, kind):
        """Trainable variables of the networks of a kind, generator or discriminator."""
        networks = [getattr(self, n) for n in self.NETWORKS if n.startswith(kind)]
        return [v for network in networks for v in network.trainable_variables]

    metrics = property(lambda self: list(self.loss_means.values()))
    generator_variables = property(lambda self: self.variables_of("generator"))
    discriminator_variables = property(lambda self: self.variables_of("discriminator"))

    def compile(self, generator_optimizer=None, discriminator_optimizer=None, **kwargs):
        """Sets the two optimizers.

        Args:
            generator_optimizer: a `keras.optimizers.Optimizer` or its name, for all
                generators; Adam with rate 2e-4 and beta_1 0.5 by default.
            discriminator_optimizer: the same for all discriminators; another object.
            **kwargs: `jit_compile` (False by default), `run_eagerly` and
                `steps_per_execution` of `keras.Model.compile`.

        Raises:
            ValueError: for one optimizer object given twice, networks that cannot
                learn, or options that Keras does not support on several replicas.
        """
        owner = f"{type(self).__name__}.compile"
        options = {"jit_compile": False, **kwargs}
        if unknown := ", ".join(sorted({*options} - {*_OPTIONS})):
            raise ValueError(
                f"{owner}: got {unknown}, but the losses are built in. Pass "
                "generator_optimizer and discriminator_optimizer."
            )
        shared = generator_optimizer is discriminator_optimizer
        if shared and isinstance(generator_optimizer, keras.optimizers.Optimizer):
            raise ValueError(
                f"{owner}: generator_optimizer and discriminator_optimizer are one "
                "object, but each keeps the moments of its own networks. Make two."
            )
        # As tried with Keras 3.15 and TensorFlow 2.21, also on a model of one layer.
        replicas = self.distribute_strategy.num_replicas_in_sync
        several = options["jit_compile"] or options.get("steps_per_execution", 1) > 1
        if replicas > 1 and several:
            expected = "jit_compile=False, steps_per_execution=1 on several replicas"
            raise refused(owner, "options", options, expected)
        guards.check_weights(owner, self)
        both = [*map(self._optimizer, (generator_optimizer, discriminator_optimizer))]
        super().compile(optimizer=None, auto_scale_loss=False, **options)
        self.generator_optimizer, self.discriminator_optimizer = both
        # Built now, so that loaded weights find their places.
        self.generator_optimizer.build(self.generator_variables)
        self.discriminator_optimizer.build(self.discriminator_variables)
        self.optimizer = guards.BothOptimizers(*both)  # for callbacks

    def _optimizer(self, optimizer):
        optimizer = optimizer or keras.optimizers.Adam(2e-4, beta_1=0.5)
        try:
            optimizer = keras.optimizers.get(optimizer)
        except ValueError as error:
            raise ValueError(
                f"{type(self).__name__}.compile: got {optimizer!r}, but must be two "
                "optimizers, one for each kind of network. The losses are built in."
            ) from error
        inner = getattr(optimizer, "inner_optimizer", optimizer)  # if losses are scaled
        if inner.use_ema and not inner.ema_overwrite_frequency:
            owner = f"{type(self).__name__}.compile"
            raise refused(owner, "use_ema", True, "False. Use average_decay instead")
        layers = [x for name in self.NETWORKS for x in getattr(self, name).layers]
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if not scaled and any(layer.compute_dtype == "float16" for layer in layers):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        return optimizer

    def fit(self, *args, **kwargs):
        """Trains on pairs `(a, b)`, with the arguments of `keras.Model.fit`.

        A dataset of `gan_style.datasets` continues where this model stands, so that a
        saved and loaded model sees the images that it would have seen.

        Raises:
            ValueError: for images that are not float, finite and in [-1, 1] (of a
                `tf.data.Dataset`, what its `element_spec` says), or a callback that
                cannot work with two optimizers.
        """
        owner = f"{type(self).__name__}.fit"
        if not self.compiled:
            raise ValueError(f"{owner}: the model is not compiled. Call compile().")
        guards.check_weights(owner, self)  # some may be frozen by now
        options = guards.check_call(self, "fit", args, kwargs)
        callbacks = guards.check_callbacks(self, owner, options.get("callbacks"))
        note = keras.callbacks.LambdaCallback(  # before others may set weights
            on_train_begin=lambda logs: guards.warn_of_ended(self),
            on_epoch_end=lambda epoch, logs: self.follow_weights(trained=True),
        )
        options["callbacks"] = [note, *callbacks, guards.KeepInStep()]
        patch_keras_saving_leak()
        self.follow_weights()
        try:
            with resumable(self, options):
                return super().fit(**options)
        finally:
            self.follow_weights(trained=True)

    def train_on_batch(self, *args, **kwargs):
        """As `keras.Model.train_on_batch`."""
        options = guards.check_call(self, "train_on_batch", args, kwargs)
        self.follow_weights()
        result = super().train_on_batch(**options)
        self.follow_weights(trained=True)
        return result

    def evaluate(self, *args, **kwargs):
        """As `keras.Model.evaluate`, with the weights as last trained."""
        return super().evaluate(**guards.check_call(self, "evaluate", args, kwargs))

    def test_on_batch(self, *args, **kwargs):
        """As `keras.Model.test_on_batch`, with the weights as last trained."""
        options = guards.check_call(self, "test_on_batch", args, kwargs)
        return super().test_on_batch(**options)

    def predict(self, *args, **kwargs):
        """As `keras.Model.predict`, with the weights as last trained."""
        return super().predict(**guards.check_call(self, "predict", args, kwargs))

    def export(self, *_, **__):
        """Refuses: generators are exported, each by itself."""
        raise ValueError(
            f"{type(self).__name__}.export: must be of one generator. Use "
            "gan_style.inference.export_savedmodel(generator, folder), or export_onnx."
        )

    def unpack_pair(self, data):
        """The two batches of a training batch, and how many images count."""
        a, b, _ = keras.utils.unpack_x_y_sample_weight(data)
        if b is None:
            expected = "a pair (a, b). Pass x and y, or tf.data.Dataset.zip((a, b))"
            raise refused(type(self).__name__, "a batch", a, expected)
        guards.check_float(type(self).__name__, a, b)
        return self._at_least_one(a), self._at_least_one(b), tf.shape(a)[0]

    def _at_least_one(self, images):
        """Makes a replica's empty share a black image, which does not count."""
        if tf.distribute.get_strategy().num_replicas_in_sync == 1:
            return images
        missing = tf.cast(tf.shape(images)[0] == 0, tf.int32)
        padded = tf.pad(images, [[0, missing], [0, 0], [0, 0], [0, 0]])
        return tf.ensure_shape(padded, [None, *images.shape[1:]])

    def from_pool(self, pool, fakes, count):
        """What an `ImagePool` hands on for the fakes that count."""
        several = tf.distribute.get_strategy().num_replicas_in_sync > 1
        return self._at_least_one(pool(fakes[:count] if several else fakes))

    @contextmanager
    def tape_of(self, kind):
        """A gradient tape that watches the variables of one kind of networks alone."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in self.variables_of(kind)])
            yield tape

    def gradients(self, tape, loss, kind, count):
        """This replica's share of the gradients of a mean loss, scaled for float16."""
        share = tf.ones((), loss.dtype)
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            # Keras sums gradients over replicas, the paper's losses are means.
            count = tf.cast(count, loss.dtype)
            share = count / context.all_reduce("sum", count)
        upstream = getattr(self, f"{kind}_optimizer").scale_loss(share)
        variables = [v.value for v in self.variables_of(kind)]
        return tape.gradient(loss, variables, upstream, tf.UnconnectedGradients.ZERO)

    def running_means(self, losses, count):
        """Adds a batch of so many images to the epoch's means, and returns these."""
        for name, loss in losses.items():
            self.loss_means[name].update_state(loss, tf.cast(count, "float32"))
        return {name: self.loss_means[name].result() for name in losses}

    def averages(self):
        """Pairs of a network and the running average of its weights."""
        return ()  # no property: Keras would save what it holds a second time

    def update_averages(self):
        """Moves each average towards its network's weights after a step.

        At step t it keeps min(average_decay, t / (t + 9)) of itself: see Yazici et al.,
        "The Unusual Effectiveness of Averaging in GAN Training" (2019).
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
        """Starts averages afresh whose network alone was set from outside."""
        pairs, known = self.averages(), self._trained
        flat = (b"".join(w.tobytes() for w in n.get_weights()) for n in sum(pairs, ()))
        now = np.array([int(self.steps_done.numpy()), *map(zlib.crc32, flat)], "uint64")
        self._trained = now
        # Another step is from a loop of one's own.
        if trained or known is None or known[0] != now[0]:
            return
        changed = (known != now)[1:].reshape(-1, 2)
        for (network, average), (own, its) in zip(pairs, changed, strict=True):
            if own and not its:
                average.set_weights(network.get_weights())
                self.follow_weights(trained=True)

    def save_own_variables(self, store):
        super().save_own_variables(store)
        if self._trained is not None:
            store["checksums"] = self._trained

    def load_own_variables(self, store):
        own = {name: store[name] for name in store.keys()}
        trained = own.pop("checksums", None)  # which files of version 0.1 lack
        self._trained = None if trained is None else np.array(trained, "uint64")
        super().load_own_variables(own)

    def _serialized(self, names):
        return {n: keras.saving.serialize_keras_object(getattr(self, n)) for n in names}

    def get_config(self):
        return super().get_config() | self._serialized(self.NETWORKS + self.OPTIONS)

    @classmethod
    def from_config(cls, config):
        return cls(**keras.saving.deserialize_keras_object(config))

    def get_compile_config(self):
        names = ("generator_optimizer", "discriminator_optimizer", *_OPTIONS)
        return self._serialized(names) if self.compiled else None

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))


def averaged_copy(network):
    """Returns a copy of a network that no optimizer trains, for a running average."""
    try:
        # Another name: a file of the old HDF5 format keeps layers by theirs.
        config = {**network.get_config(), "name": f"{network.name}_average"}
        copy = type(network).from_config(config)
        copy.set_weights(network.get_weights())
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(
            f"CycleGAN: average_decay needs a copy of {network.name}, which Keras "
            "cannot make. Use a functional model, or average_decay=None."
        ) from error
    copy.trainable = False
    return copy

"""What a GAN needs to be compiled, trained, resumed and saved with two optimizers."""

from contextlib import contextmanager

import keras
import tensorflow as tf

from gan_style.training.averages import RunningAverages
from gan_style.training.checkpoints import patch_keras_saving_leak, resumable
from gan_style.training.guards import (
    BothOptimizers,
    KeepOptimizersInStep,
    check_call,
    check_callbacks,
    check_networks,
    check_weights,
)

OPTIMIZERS = ("generator_optimizer", "discriminator_optimizer")


class AdversarialModel(RunningAverages, keras.Model):
    """The parts that `CycleGAN` and `Pix2Pix` share.

    A subclass lists its `NETWORKS`, generators first, and the other arguments of its
    constructor, `OPTIONS`, by name; it calls `build_state` when all else is built, and
    has a `train_step` and `batch_shapes`. All state that a resumed training needs is in
    variables.
    """

    NETWORKS = OPTIONS = ()

    def __init__(self, *networks, **kwargs):
        super().__init__(**kwargs)
        networks = dict(zip(self.NETWORKS, networks, strict=True))
        check_networks(type(self).__name__, networks)
        for name, network in networks.items():
            setattr(self, name, network)

    def build_state(self, losses):
        """Makes the variables that count steps and average the named losses."""
        self.steps_done = self.add_weight(
            (), "zeros", "int64", trainable=False, name="steps_done"
        )
        self.loss_means = {name: keras.metrics.Mean(name=name) for name in losses}
        self.built = True

    @property
    def metrics(self):
        return list(self.loss_means.values())

    def variables_of(self, kind):
        """Trainable variables of the networks of a kind, generator or discriminator."""
        networks = [getattr(self, n) for n in self.NETWORKS if n.startswith(kind)]
        return [v for network in networks for v in network.trainable_variables]

    @property
    def generator_variables(self):
        """Trainable variables of the generators, for the first optimizer."""
        return self.variables_of("generator")

    @property
    def discriminator_variables(self):
        """Trainable variables of the discriminators, for the second optimizer."""
        return self.variables_of("discriminator")

    def compile(
        self,
        generator_optimizer=None,
        discriminator_optimizer=None,
        jit_compile=False,
        run_eagerly=False,
        steps_per_execution=1,
        **unknown,
    ):
        """Sets the two optimizers.

        Args:
            generator_optimizer: a `keras.optimizers.Optimizer` or its name, for all
                generators; Adam with rate 2e-4 and beta_1 0.5 by default.
            discriminator_optimizer: the same for all discriminators; another object.
            jit_compile, run_eagerly, steps_per_execution: as in `keras.Model.compile`.

        Raises:
            ValueError: for one optimizer object given twice, networks that cannot
                learn, or options that Keras does not support on several replicas.
        """
        owner = f"{type(self).__name__}.compile"
        if unknown:
            raise ValueError(
                f"{owner}: got {', '.join(sorted(unknown))}, but the losses are built "
                "in, and there are two optimizers. Pass generator_optimizer and "
                "discriminator_optimizer."
            )
        shared = generator_optimizer is discriminator_optimizer
        if shared and isinstance(generator_optimizer, keras.optimizers.Optimizer):
            raise ValueError(
                f"{owner}: generator_optimizer and discriminator_optimizer are one "
                "object, but each keeps the moments of its own networks. Make two."
            )
        # As tried with Keras 3.15 and TensorFlow 2.21, also on a model of one layer.
        replicas = self.distribute_strategy.num_replicas_in_sync
        if replicas > 1 and (jit_compile or steps_per_execution > 1):
            raise ValueError(
                f"{owner}: jit_compile is {jit_compile} and steps_per_execution "
                f"{steps_per_execution}, but {replicas} replicas can train with "
                "jit_compile=False and steps_per_execution=1 only."
            )
        check_weights(owner, self)
        super().compile(
            optimizer=None,
            auto_scale_loss=False,
            jit_compile=jit_compile,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
        )
        self.generator_optimizer = self._optimizer(generator_optimizer)
        self.discriminator_optimizer = self._optimizer(discriminator_optimizer)
        # Built now, so that loaded weights find their places.
        self.generator_optimizer.build(self.generator_variables)
        self.discriminator_optimizer.build(self.discriminator_variables)
        both = (self.generator_optimizer, self.discriminator_optimizer)
        self.optimizer = BothOptimizers(*both)  # for callbacks that change the rate

    def _optimizer(self, optimizer):
        if optimizer is None:
            optimizer = keras.optimizers.Adam(2e-4, beta_1=0.5)
        optimizer = keras.optimizers.get(optimizer)
        layers = [x for name in self.NETWORKS for x in getattr(self, name).layers]
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if not scaled and any(layer.compute_dtype == "float16" for layer in layers):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        return optimizer

    def fit(self, *args, **kwargs):
        """Trains on pairs `(a, b)`, with the arguments of `keras.Model.fit`.

        A dataset of `gan_style.datasets` continues where this model stands, so that a
        saved and loaded model sees the images that it would have seen; see
        `gan_style.training.checkpoints`. For another dataset,
        `options.autotune.enabled = False` can spare a wait at the end of each epoch:
        see `gan_style.datasets.pipeline`.

        Raises:
            ValueError: for images that are not float, finite and in [-1, 1] (of a
                `tf.data.Dataset`, what its `element_spec` says), or a callback that
                cannot work with two optimizers.
        """
        owner = f"{type(self).__name__}.fit"
        if not self.compiled:
            raise ValueError(f"{owner}: the model is not compiled. Call compile().")
        check_weights(owner, self)  # some may be frozen by now
        options = check_call(self, "fit", args, kwargs)
        callbacks = check_callbacks(self, owner, options.get("callbacks"))
        options["callbacks"] = [*callbacks, KeepOptimizersInStep()]
        patch_keras_saving_leak()
        self.follow_weights()
        try:
            with resumable(self, options):
                return super().fit(**options)
        finally:
            self.follow_weights(trained=True)

    def evaluate(self, *args, **kwargs):
        """As `keras.Model.evaluate`, with the weights as last trained."""
        return super().evaluate(**check_call(self, "evaluate", args, kwargs))

    def predict(self, *args, **kwargs):
        """As `keras.Model.predict`, with the weights as last trained."""
        return super().predict(**check_call(self, "predict", args, kwargs))

    def test_on_batch(self, *args, **kwargs):
        """As `keras.Model.test_on_batch`, with the weights as last trained."""
        return super().test_on_batch(**check_call(self, "test_on_batch", args, kwargs))

    def train_on_batch(self, *args, **kwargs):
        """As `keras.Model.train_on_batch`."""
        options = check_call(self, "train_on_batch", args, kwargs)
        self.follow_weights()
        result = super().train_on_batch(**options)
        self.follow_weights(trained=True)
        return result

    def export(self, *_, **__):
        """Refuses: generators are exported, each by itself."""
        raise ValueError(
            f"{type(self).__name__}.export: a whole training cannot be exported. "
            "Export a generator: gan_style.inference.export_savedmodel("
            "model.translator(...), folder), or export_onnx."
        )

    def unpack_pair(self, data):
        """The two batches of a training batch, and how many images count.

        On several replicas the share of one may be empty: it becomes a black image,
        which counts as none.

        Raises:
            ValueError: for a batch of one part.
        """
        a, b, _ = keras.utils.unpack_x_y_sample_weight(data)
        if b is None:
            raise ValueError(
                f"{type(self).__name__}: a training batch is one part, but must be a "
                "pair (a, b) of image batches. Zip two datasets: "
                "tf.data.Dataset.zip((a, b)), or pass x and y."
            )
        return self.at_least_one(a), self.at_least_one(b), tf.shape(a)[0]

    @staticmethod
    def at_least_one(images):
        """The images, or on several replicas a black one in place of none."""
        if tf.distribute.get_strategy().num_replicas_in_sync == 1:
            return images
        missing = tf.cast(tf.shape(images)[0] == 0, tf.int32)
        padded = tf.pad(images, [[0, missing], [0, 0], [0, 0], [0, 0]])
        return tf.ensure_shape(padded, [None, *images.shape[1:]])

    def from_pool(self, pool, fakes, count):
        """What an `ImagePool` hands on for the fakes that count."""
        if tf.distribute.get_strategy().num_replicas_in_sync == 1:
            return pool(fakes)
        return self.at_least_one(pool(fakes[:count]))

    @contextmanager
    def tape_of(self, kind):
        """A gradient tape that watches the variables of one kind of networks alone."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in self.variables_of(kind)])
            yield tape

    def gradients(self, tape, loss, kind, count):
        """The gradients of a mean loss over `count` images, this replica's share.

        For float16, they are scaled as the optimizer expects them.
        """
        share = tf.ones((), loss.dtype)
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            # Keras sums gradients over replicas, the paper's losses are means.
            count = tf.cast(count, loss.dtype)
            share = count / context.all_reduce("sum", count)
        return tape.gradient(
            loss,
            [v.value for v in self.variables_of(kind)],
            getattr(self, f"{kind}_optimizer").scale_loss(share),
            tf.UnconnectedGradients.ZERO,
        )

    def running_means(self, losses, count):
        """Adds a batch of so many images to the epoch's means, and returns these."""
        for name, loss in losses.items():
            self.loss_means[name].update_state(loss, tf.cast(count, "float32"))
        return {name: self.loss_means[name].result() for name in losses}

    def _serialized(self, names):
        return {n: keras.saving.serialize_keras_object(getattr(self, n)) for n in names}

    def get_config(self):
        arguments = self._serialized([*self.NETWORKS, *self.OPTIONS])
        return {**super().get_config(), **arguments}

    @classmethod
    def from_config(cls, config):
        return cls(**keras.saving.deserialize_keras_object(config))

    def get_compile_config(self):
        names = (*OPTIMIZERS, "jit_compile", "run_eagerly", "steps_per_execution")
        return self._serialized(names) if self.compiled else None

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

"""What a GAN needs to be compiled, trained, resumed and saved with two optimizers."""

from contextlib import contextmanager

import keras
import tensorflow as tf

from gan_style.training.averages import RunningAverages
from gan_style.training.checkpoints import patch_keras_saving_leak, resumable
from gan_style.training.guards import (
    BothOptimizers,
    WarnOfZeroRates,
    check_callbacks,
    check_data,
    check_replicas,
)

_COMPILE_OPTIONS = {"jit_compile", "run_eagerly", "steps_per_execution"}


class AdversarialModel(RunningAverages, keras.Model):
    """The parts that `CycleGAN` and `Pix2Pix` share.

    A subclass lists its `NETWORKS`, generators first, and the other arguments of its
    constructor, `OPTIONS`, by name; it calls `_build_state` when all else is built, and
    has a `train_step` and `batch_shapes`. All state that a resumed training needs is in
    variables.
    """

    NETWORKS = OPTIONS = ()

    def __init__(self, *networks, **kwargs):
        super().__init__(**kwargs)
        owner = type(self).__name__
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"{owner}: Keras' backend is {keras.backend.backend()}, but must be "
                "tensorflow. Set KERAS_BACKEND=tensorflow before Python starts; layers "
                "and networks work on every backend."
            )
        for name, network in zip(self.NETWORKS, networks, strict=True):
            if not isinstance(network, keras.Model) or not network.built:
                raise ValueError(
                    f"{owner}: {name} is {network!r}, but must be a built keras.Model. "
                    "Take one of gan_style.models, for example."
                )
            twins = [
                n for n, x in zip(self.NETWORKS, networks, strict=True) if x is network
            ]
            if len(twins) > 1:
                raise ValueError(
                    f"{owner}: {' and '.join(twins)} are one model, but each must "
                    "learn a task of its own. Build one for each."
                )
            setattr(self, name, network)

    def _build_state(self, losses):
        self.steps_done = self.add_weight(
            shape=(),
            initializer="zeros",
            trainable=False,
            dtype="int64",
            name="steps_done",
        )
        self.loss_means = {name: keras.metrics.Mean(name=name) for name in losses}
        self.built = True

    @property
    def metrics(self):
        return list(self.loss_means.values())

    def _variables_of(self, kind):
        networks = [getattr(self, n) for n in self.NETWORKS if n.startswith(kind)]
        return [v for network in networks for v in network.trainable_variables]

    @property
    def generator_variables(self):
        """Trainable variables of the generators, for the first optimizer."""
        return self._variables_of("generator")

    @property
    def discriminator_variables(self):
        """Trainable variables of the discriminators, for the second optimizer."""
        return self._variables_of("discriminator")

    def compile(self, generator_optimizer=None, discriminator_optimizer=None, **kwargs):
        """Sets the two optimizers.

        Args:
            generator_optimizer: a `keras.optimizers.Optimizer` or its name, for all
                generators; Adam with rate 2e-4 and beta_1 0.5 by default.
            discriminator_optimizer: the same for all discriminators; another object.
            **kwargs: `jit_compile` (False by default), `run_eagerly`,
                `steps_per_execution`.

        Raises:
            ValueError: for one optimizer object given twice, or options that Keras does
                not support on several replicas.
        """
        shared = generator_optimizer is discriminator_optimizer
        if shared and isinstance(generator_optimizer, keras.optimizers.Optimizer):
            raise ValueError(
                f"{type(self).__name__}.compile: generator_optimizer and "
                "discriminator_optimizer are one object, but each keeps the moments "
                "of its own networks. Make two."
            )
        if unknown := set(kwargs) - _COMPILE_OPTIONS:
            raise ValueError(
                f"{type(self).__name__}.compile: got {', '.join(sorted(unknown))}, but "
                "the losses are built in, and there are two optimizers. Pass "
                "generator_optimizer and discriminator_optimizer."
            )
        kwargs.setdefault("jit_compile", False)
        self._check_replicas(**kwargs)
        self._check_weights()
        super().compile(None, loss=None, metrics=None, auto_scale_loss=False, **kwargs)
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

    def _check_weights(self):
        owner = f"{type(self).__name__}.compile"
        for kind in ("generator", "discriminator"):
            variables = self._variables_of(kind)
            if not variables:
                raise ValueError(
                    f"{owner}: no {kind} has a trainable weight. Set trainable = True "
                    "on one of them."
                )
            for variable in variables:
                if variable.dtype in ("bfloat16", "float16"):
                    raise ValueError(
                        f"{owner}: {variable.path} is {variable.dtype}, whose rounding "
                        "is coarser than an optimizer's steps. Build the networks "
                        f"under the policy mixed_{variable.dtype}."
                    )

    @property
    def optimizer(self):
        """Both optimizers as one, for callbacks that change the learning rate."""
        if getattr(self, "generator_optimizer", None) is None:
            return None
        return BothOptimizers(self.generator_optimizer, self.discriminator_optimizer)

    @optimizer.setter
    def optimizer(self, _):
        pass  # Keras' compile sets it to None

    def _optimizer(self, optimizer):
        if optimizer is None:
            optimizer = keras.optimizers.Adam(2e-4, beta_1=0.5)
        optimizer = keras.optimizers.get(optimizer)
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if "float16" in self._compute_dtypes() and not scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        return optimizer

    def _compute_dtypes(self):
        networks = [getattr(self, name) for name in self.NETWORKS]
        return {
            layer.compute_dtype
            for network in networks
            for layer in getattr(network, "layers", ())
        }

    def fit(self, x=None, y=None, batch_size=None, *args, callbacks=None, **kwargs):
        """Trains, as `keras.Model.fit` does, on a dataset of pairs `(a, b)`.

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
        data = [("x", x), ("y", y), ("validation_data", kwargs.get("validation_data"))]
        check_data(self, owner, data)
        check_replicas(self, owner, x, batch_size)
        callbacks = [WarnOfZeroRates(), *check_callbacks(self, owner, callbacks)]
        patch_keras_saving_leak()
        self.follow_new_weights()
        ahead = self._steps_ahead()
        try:
            if getattr(x, "cursor", None) is None:
                kwargs["callbacks"] = callbacks
                return super().fit(x, y, batch_size, *args, **kwargs)
            with resumable(self, x, callbacks, kwargs) as (x, callbacks, kwargs):
                ahead = self._steps_ahead()
                kwargs["callbacks"] = callbacks
                return super().fit(x, y, batch_size, *args, **kwargs)
        finally:
            # EarlyStopping may have restored the weights, and with them the step.
            if any(getattr(c, "restore_best_weights", False) for c in callbacks):
                for optimizer, by in zip(self._inner_optimizers(), ahead, strict=True):
                    optimizer.iterations.assign(int(self.steps_done.numpy()) + by)
            self.note_trained_weights()

    def _inner_optimizers(self):
        optimizers = (self.generator_optimizer, self.discriminator_optimizer)
        return [getattr(o, "inner_optimizer", o) for o in optimizers]

    def _steps_ahead(self):
        done = int(self.steps_done.numpy())
        return [int(o.iterations.numpy()) - done for o in self._inner_optimizers()]

    def evaluate(self, x=None, y=None, batch_size=None, *args, **kwargs):
        """As `keras.Model.evaluate`, with the weights as last trained."""
        owner = f"{type(self).__name__}.evaluate"
        check_data(self, owner, [("x", x), ("y", y)])
        check_replicas(self, owner, x, batch_size)
        return super().evaluate(x, y, batch_size, *args, **kwargs)

    def train_on_batch(self, x, y=None, *args, **kwargs):
        """As `keras.Model.train_on_batch`."""
        check_data(self, f"{type(self).__name__}.train_on_batch", [("x", x), ("y", y)])
        self.follow_new_weights()
        result = super().train_on_batch(x, y, *args, **kwargs)
        self.note_trained_weights()
        return result

    def test_on_batch(self, x, y=None, *args, **kwargs):
        """As `keras.Model.test_on_batch`, with the weights as last trained."""
        check_data(self, f"{type(self).__name__}.test_on_batch", [("x", x), ("y", y)])
        return super().test_on_batch(x, y, *args, **kwargs)

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
                f"{type(self).__name__}: a training batch holds one part, but must be "
                "a pair (a, b) of image batches. Zip two datasets, or pass x and y."
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

    @staticmethod
    @contextmanager
    def tape_of(variables):
        """A gradient tape that watches these variables alone, and their values."""
        values = [v.value for v in variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            yield tape, values

    def from_pool(self, pool, fakes, count):
        """What an `ImagePool` hands on for the fakes that count."""
        if tf.distribute.get_strategy().num_replicas_in_sync == 1:
            return pool(fakes)
        return self.at_least_one(pool(fakes[:count]))

    @staticmethod
    def scaled_loss(loss, optimizer, count):
        """The loss to differentiate: this replica's share of the batch's mean."""
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            # Keras sums gradients over replicas, the paper's losses are means.
            count = tf.cast(count, loss.dtype)
            loss = loss * count / context.all_reduce("sum", count)
        return optimizer.scale_loss(loss)

    def running_means(self, losses, count):
        """Adds a batch of so many images to the epoch's means, and returns these."""
        for name, loss in losses.items():
            self.loss_means[name].update_state(loss, tf.cast(count, "float32"))
        return {name: self.loss_means[name].result() for name in losses}

    def get_config(self):
        networks = {
            name: keras.saving.serialize_keras_object(getattr(self, name))
            for name in self.NETWORKS
        }
        options = {name: getattr(self, name) for name in self.OPTIONS}
        return {**super().get_config(), **networks, **options}

    @classmethod
    def from_config(cls, config):
        networks = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in cls.NETWORKS
        }
        return cls(**{**config, **networks})

    def get_compile_config(self):
        if not self.compiled:
            return None
        config = super().get_compile_config()
        kept = ("run_eagerly", "steps_per_execution", "jit_compile")
        optimizers = {
            name: keras.optimizers.serialize(getattr(self, name))
            for name in ("generator_optimizer", "discriminator_optimizer")
        }
        return {**{key: config[key] for key in kept if key in config}, **optimizers}

    def compile_from_config(self, config):
        for name in ("generator_optimizer", "discriminator_optimizer"):
            config = {**config, name: keras.optimizers.deserialize(config[name])}
        self.compile(**config)

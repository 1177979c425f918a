"""CUT and FastCUT: one direction, without a way back.

Park et al., "Contrastive Learning for Unpaired Image-to-Image Translation" (2020). What
a patch shows is kept by a contrast: of 256 patches of the original, the one at the same
place must be the most similar, by features of the generator's own encoder, layer by
layer (PatchNCE). CUT has weight 1, and the same loss for images of the target domain,
which should stay; FastCUT has weight 10 and half of its images mirrored instead.

Options: those of `ours` for networks, gate, rate and discriminator; direction=ba.
"""

import keras
import tensorflow as tf
from keras import layers

from contenders import Contender
from contenders.parts import adam, discriminator, generator
from gan_style.inference import translate

PATCHES, TEMPERATURE = 256, 0.07


def build(
    shape,
    seed,
    progress,
    fast=False,
    direction="ab",
    network="resnet",
    filters=64,
    blocks=9,
    rate=2e-4,
    beta=0.5,
    judge_filters=None,
    antialias=False,
    gate=False,
    **levers,
):
    network_ab = generator(network, shape, filters, blocks, antialias, gate)
    if network == "unet":
        names = [f"down_{level}_conv" for level in (1, 2, 3, 4)]
    else:
        names = ["down_1_conv", "down_2_conv", "block_1_add"]
        names += [f"block_{(blocks + 1) // 2}_add"] if blocks > 2 else []
    judge_filters = judge_filters or filters
    judge = discriminator(shape, judge_filters, seed, antialias=antialias, **levers)
    constant = 0.75 if fast else 0.5  # 150 + 50 and 200 + 200 epochs
    optimizers = [adam(rate, beta, constant, progress) for _ in range(2)]
    return CUT(network_ab, names, judge, optimizers, fast, direction, seed)


class CUT(Contender):
    def __init__(self, network, names, judge, optimizers, fast, direction, seed):
        self.generator, self.judge = network, judge
        self.fast, self.directions, self.seed = fast, (direction,), seed
        outputs = [network.input, *(network.get_layer(n).output for n in names)]
        self.encoder = keras.Model(network.input, outputs)  # the first are the pixels
        self.heads = [head(output.shape[-1]) for output in outputs]
        self.learners = network.trainable_variables + [
            v for mlp in self.heads for v in mlp.trainable_variables
        ]
        self.optimizer, self.judge_optimizer = optimizers
        self.optimizer.build(self.learners)
        self.judge_optimizer.build(judge.trainable_variables)
        self.done = tf.Variable(0, dtype="int32")
        self.step = tf.function(self._step)

    def train_step(self, a, b):
        return self.step(a, b) if self.directions == ("ab",) else self.step(b, a)

    def _step(self, source, target):
        mirrored = self._draw(0, ())[..., None, None, None] < 0.5
        with tf.GradientTape() as tape:
            real = source if self.fast else tf.concat([source, target], 0)
            if self.fast:
                real = tf.where(mirrored, source[:, :, ::-1], source)
            made = self.generator(real, training=True)
            fake = made[: tf.shape(source)[0]]
            with tape.stop_recording():
                wrong_and_right = self._teach_judge(target, fake)
            answer = self.judge(fake, training=True)
            validity = tf.reduce_mean(tf.square(answer - 1.0))
            contrast = self._contrast(source, fake, mirrored if self.fast else None)
            if self.fast:
                loss = validity + 10.0 * contrast
            else:
                same = made[tf.shape(source)[0] :]
                contrast = 0.5 * (contrast + self._contrast(target, same))
                loss = validity + contrast
        gradients = tape.gradient(loss, self.learners)
        self.optimizer.apply(gradients, self.learners)
        self.done.assign_add(1)
        losses = {"validity": validity, "contrast": contrast}
        return {**losses, "discriminator": wrong_and_right}

    def _teach_judge(self, real, fake):
        variables = self.judge.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in variables])
            answers = self.judge(tf.concat([real, fake], 0), training=True)
            right, wrong = tf.split(answers, 2)
            loss = tf.reduce_mean(tf.square(right - 1.0))
            loss = 0.5 * (loss + tf.reduce_mean(tf.square(wrong)))
        gradients = tape.gradient(loss, [v.value for v in variables])
        self.judge_optimizer.apply(gradients, variables)
        return loss

    def _contrast(self, original, translated, mirrored=None):
        """PatchNCE: the mean over the encoder's layers."""
        losses = []
        queries = self.encoder(translated, training=True)
        keys = self.encoder(original, training=True)
        layers_ = zip(self.heads, queries, keys, strict=True)
        for number, (mlp, query, key) in enumerate(layers_, start=1):
            if mirrored is not None:  # back, so that places correspond
                query = tf.where(mirrored, query[:, :, ::-1], query)
            height, width, channels = query.shape[1:]
            order = tf.argsort(self._draw(number, (height * width,)))[:PATCHES]
            query, key = (
                mlp(
                    tf.gather(
                        tf.reshape(x, (-1, height * width, channels)), order, axis=1
                    )
                )
                for x in (query, key)
            )
            key = tf.stop_gradient(key)
            logits = tf.matmul(query, key, transpose_b=True) / TEMPERATURE
            right = tf.tile(tf.range(tf.shape(order)[0])[None], (tf.shape(query)[0], 1))
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(right, logits)
            losses.append(tf.reduce_mean(loss))
        return tf.add_n(losses) / len(losses)

    def _draw(self, purpose, shape):
        seed = tf.stack([tf.constant(100 * self.seed + purpose), self.done])
        return tf.random.stateless_uniform(shape, seed)

    def translate(self, images, direction):
        return translate(self.generator, images)


def head(channels, width=256):
    """Two dense layers, and then length 1."""
    start = {"kernel_initializer": keras.initializers.RandomNormal(0.0, 0.02)}
    return keras.Sequential(
        [
            keras.Input((None, channels)),
            layers.Dense(width, activation="relu", **start),
            layers.Dense(width, **start),
            layers.UnitNormalization(dtype="float32"),
        ]
    )

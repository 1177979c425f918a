"""The recipe of keras.io: "CycleGAN" by A. K. Nain, in the examples for generative
models.

What differs from the authors' recipe: no pool of earlier fakes, a constant learning
rate, four optimizers, instance norm with a learned scale that starts near 0 (from N(0,
0.02)) and a learned shift, and an output layer with Keras' default initializer.
"""

import keras
import tensorflow as tf
from keras import layers

from contenders import Contender
from gan_style import ReflectionPadding2D
from gan_style.inference import translate


def start():
    return keras.initializers.RandomNormal(0.0, 0.02)


def convolve(x, filters, size, strides=1, padding="same", kind=layers.Conv2D):
    options = {"use_bias": False, "kernel_initializer": start()}
    x = kind(filters, size, strides, padding, **options)(x)
    return layers.GroupNormalization(-1, epsilon=1e-3, gamma_initializer=start())(x)


def resnet(shape, filters, blocks):
    images = keras.Input(shape)
    x = convolve(ReflectionPadding2D(3)(images), filters, 7, padding="valid")
    x = layers.ReLU()(x)
    for level in (2, 4):
        x = layers.ReLU()(convolve(x, level * filters, 3, 2))
    for _ in range(blocks):
        y = convolve(ReflectionPadding2D(1)(x), 4 * filters, 3, padding="valid")
        y = ReflectionPadding2D(1)(layers.ReLU()(y))
        x = layers.Add()([x, convolve(y, 4 * filters, 3, padding="valid")])
    for level in (2, 1):
        x = convolve(x, level * filters, 3, 2, kind=layers.Conv2DTranspose)
        x = layers.ReLU()(x)
    x = layers.Conv2D(shape[-1], 7)(ReflectionPadding2D(3)(x))
    return keras.Model(images, layers.Activation("tanh")(x))


def patchgan(shape, filters):
    images = keras.Input(shape)
    x = layers.Conv2D(filters, 4, 2, "same", kernel_initializer=start())(images)
    x = layers.LeakyReLU(0.2)(x)
    for level, strides in ((2, 2), (4, 2), (8, 1)):
        x = layers.LeakyReLU(0.2)(convolve(x, level * filters, 4, strides))
    x = layers.Conv2D(1, 4, padding="same", kernel_initializer=start())(x)
    return keras.Model(images, x)


def build(shape, seed, progress, filters=64, blocks=9, rate=2e-4, beta=0.5):
    return KerasIO(shape, filters, blocks, rate, beta)


class KerasIO(Contender):
    def __init__(self, shape, filters, blocks, rate, beta):
        self.generators = {d: resnet(shape, filters, blocks) for d in ("ab", "ba")}
        self.judges = {domain: patchgan(shape, filters) for domain in "ab"}
        networks = [*self.generators.values(), *self.judges.values()]
        optimizers = []
        for network in networks:
            optimizers.append(keras.optimizers.Adam(rate, beta_1=beta))
            optimizers[-1].build(network.trainable_variables)
        mse, mae = keras.losses.MeanSquaredError(), keras.losses.MeanAbsoluteError()

        @tf.function
        def step(a, b):
            g_ab, g_ba = self.generators.values()
            d_a, d_b = self.judges.values()
            with tf.GradientTape(persistent=True) as tape:
                fake_b, fake_a = g_ab(a, training=True), g_ba(b, training=True)
                back_a = g_ba(fake_b, training=True)
                back_b = g_ab(fake_a, training=True)
                same_a, same_b = g_ba(a, training=True), g_ab(b, training=True)
                losses = []
                for judge, fake, real, back, same in (
                    (d_b, fake_b, b, back_b, same_b),
                    (d_a, fake_a, a, back_a, same_a),
                ):
                    answer = judge(fake, training=True)
                    loss = mse(tf.ones_like(answer), answer)
                    losses.append(loss + 10.0 * mae(real, back) + 5.0 * mae(real, same))
                for judge, fake, real in ((d_a, fake_a, a), (d_b, fake_b, b)):
                    right = judge(real, training=True)
                    wrong = judge(fake, training=True)
                    loss = mse(tf.ones_like(right), right)
                    losses.append(0.5 * (loss + mse(tf.zeros_like(wrong), wrong)))
            gradients = [
                tape.gradient(loss, network.trainable_variables)
                for loss, network in zip(losses, networks, strict=True)
            ]
            for optimizer, gradient, network in zip(
                optimizers, gradients, networks, strict=True
            ):
                optimizer.apply(gradient, network.trainable_variables)
            names = (
                "generator_ab",
                "generator_ba",
                "discriminator_a",
                "discriminator_b",
            )
            return dict(zip(names, losses, strict=True))

        self.train_step = step

    def translate(self, images, direction):
        return translate(self.generators[direction], images)

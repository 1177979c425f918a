"""Small CycleGANs that several test files train."""

import keras
import numpy as np

from gan_style.cyclegan import CycleGAN
from gan_style.layers import InstanceNormalization
from gan_style.models import patch_discriminator, unet_generator

NETWORKS = ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b")
SGD = keras.optimizers.SGD


def random_images(batch=1, size=16, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    shape = (batch, size, size, channels)
    return rng.uniform(-1, 1, shape).astype("float32")


def straight_lines(**kwargs):
    """A CycleGAN whose four networks are y = slope * x + offset, on one channel."""
    rng = np.random.default_rng(0)
    networks = []
    for name in NETWORKS:
        line = keras.layers.Conv2D(1, 1, name="line")
        network = keras.Sequential([keras.Input((4, 4, 1)), line], name=name)
        network.set_weights([rng.normal(1, 0.5, (1, 1, 1, 1)), rng.normal(0, 0.3, 1)])
        networks.append(network)
    return CycleGAN(*networks, **kwargs)


def small(size=8, seed=0, **kwargs):
    """Networks of two convolutions with an instance norm: quick to trace."""
    keras.utils.set_random_seed(seed)
    networks = []
    for name in NETWORKS:
        x = images = keras.Input((size, size, 3))
        x = keras.layers.Conv2D(16, 3, strides=2, use_bias=False, padding="same")(x)
        x = keras.layers.ReLU()(InstanceNormalization()(x))
        x = keras.layers.Conv2DTranspose(3, 4, strides=2, padding="same")(x)
        x = keras.layers.Activation("tanh", dtype="float32")(x)
        networks.append(keras.Model(images, x, name=name))
    return CycleGAN(*networks, seed=seed, **kwargs)


def real(size=16, filters=2, seed=0, **kwargs):
    """The package's own networks, at the smallest size that they take."""
    keras.utils.set_random_seed(seed)
    shape = (size, size, 3)
    networks = [unet_generator(shape, filters, name=n) for n in NETWORKS[:2]]
    networks += [patch_discriminator(shape, filters, name=n) for n in NETWORKS[2:]]
    return CycleGAN(*networks, seed=seed, **kwargs)


def lines_of(model):
    """(slope, offset) of each network, in float64."""
    return {
        name: [float(np.squeeze(w)) for w in getattr(model, name).get_weights()]
        for name in NETWORKS
    }


def weights_of(*networks):
    return [w.numpy() for network in networks for w in network.weights]


def all_equal(first, second):
    return all(np.array_equal(x, y) for x, y in zip(first, second, strict=True))


def one_step(model, a, b):
    """The losses of this step alone."""
    model.reset_metrics()
    losses = model.train_on_batch(a, b, return_dict=True)
    return {name: float(loss) for name, loss in losses.items()}

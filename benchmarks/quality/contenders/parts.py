"""Networks, optimizers and levers that several contenders share."""

import keras
import tensorflow as tf
from keras import layers, ops

from gan_style import (
    InstanceNormalization,
    patch_discriminator,
    resnet_generator,
    unet_generator,
    vgg_features,
)
from gan_style.layers import UpsampleConv2D

register = keras.saving.register_keras_serializable(package="quality")

# Root mean squares over apples, oranges, landscapes and Monets, in VGG's own units.
FEATURE_LEVELS = {"relu2_2": 32.0, "relu3_3": 14.0}


def generator(kind, shape, filters, blocks=9, antialias=False, gate=False):
    """A "unet" or "resnet" of the package; "nearest" is a ResNet without transposed
    convolutions."""
    if kind == "unet":
        network = unet_generator(shape, filters, gate=gate)
    else:
        upsampling = "nearest" if kind == "nearest" else "transposed"
        network = resnet_generator(
            shape, filters, blocks, upsampling=upsampling, gate=gate
        )
    return antialiased(network) if antialias else network


def discriminator(
    shape,
    filters,
    seed,
    features=False,
    augment=False,
    spectral=False,
    antialias=False,
    patch=2,
    detail=0,
):
    """The package's PatchGAN, with levers.

    Args:
        shape, filters: as in `patch_discriminator`.
        seed: for augmentation and fixed random weights.
        features: whether heads on frozen VGG16 features answer too.
        augment: True, or a string of `DiffAugment`, for all that the networks see.
            Features are augmented anyway.
        spectral: spectral instead of instance normalization.
        antialias: whether to blur before each stride, except at the image.
        patch: the weight of the PatchGAN's answers; either head of the features has 1.
        detail: as in `patch_discriminator`.
    """
    plain = patch_discriminator(shape, filters, detail=detail)
    plain = spectrally_normalized(plain) if spectral else plain
    plain = antialiased(plain) if antialias else plain
    if not (features or augment):
        return plain
    seen = images = keras.Input(shape)
    if augment:
        policy = "colour-translation-cutout" if augment is True else augment
        seen = DiffAugment(policy, seed)(images)
    answer = plain(seen)
    if features:
        seen = seen if augment else DiffAugment(seed=seed)(images)
        answer = with_features(answer, seen, shape, seed, patch)
    return keras.Model(images, answer)


def with_features(answer, images, shape, seed, patch=2, mixed=64):
    """Adds answers of small heads on frozen features: Projected GANs, smaller.

    Sauer et al., "Projected GANs Converge Faster" (2021): a discriminator that sees
    through a pretrained network, whose channels are mixed by fixed random 1x1
    convolutions, so that it cannot attend to a few of them. Kumari et al., "Ensembling
    Off-the-shelf Models for GAN Training" (2022), keep the plain discriminator beside
    it. All answers are channels of one map, so that the loss, their mean, weights them:
    the PatchGAN's `patch` times.

    Images are halved from 128 pixels on: VGG's relu3_3 then sees 40 x 40 of 64.
    """
    side = shape[0] // 2 if shape[0] >= 128 else shape[0]
    if side < shape[0]:
        images = layers.AveragePooling2D(shape[0] // side)(images)
    levels = layers.Rescaling(127.5, 127.5)(images)
    names = list(FEATURE_LEVELS)
    seen = vgg_features(names, "vgg16", "hed", pooling="max", dtype="float32")(levels)
    answers = []
    for i, (name, level) in enumerate(FEATURE_LEVELS.items()):
        x = layers.Rescaling(1 / level)(seen[name])
        start = keras.initializers.HeNormal(seed=seed + i)
        fixed = {"use_bias": False, "trainable": False}
        x = layers.Conv2D(mixed, 1, kernel_initializer=start, **fixed)(x)
        strides = x.shape[1] // (side // 4)  # both answer for a grid of side / 4
        x = layers.Conv2D(mixed, 4, strides, "same")(x)
        x = layers.Conv2D(1, 4, padding="same")(layers.LeakyReLU(0.2)(x))
        answers.append(x)
    # Repeating an answer leaves its share of the mean as it is.
    answer = layers.UpSampling2D(answers[0].shape[1] // answer.shape[1])(answer)
    return layers.Concatenate()([answer] * patch + answers)


@register
class DiffAugment(layers.Layer):
    """Augments what a discriminator sees, real and fake alike, differentiably.

    Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training" (2020),
    with their ranges: brightness, saturation and contrast; shifts of up to an eighth;
    a square of half the side cut out. Every image draws its own numbers, in training
    only.
    """

    def __init__(self, policy="colour-translation-cutout", seed=0, **kwargs):
        super().__init__(**kwargs)
        self.policy = policy
        self.random = keras.random.SeedGenerator(seed)

    def call(self, images, training=None):
        if not training:
            return images
        count, (height, width) = ops.shape(images)[0], images.shape[1:3]

        def draw(low, high, dimensions=4):
            shape = (count, *[1] * (dimensions - 1))
            return keras.random.uniform(shape, low, high, seed=self.random)

        x = images
        if "colour" in self.policy:
            x = x + draw(-0.5, 0.5)
            grey = ops.mean(x, axis=-1, keepdims=True)
            x = grey + (x - grey) * draw(0.0, 2.0)
            mean = ops.mean(x, axis=(1, 2, 3), keepdims=True)
            x = mean + (x - mean) * draw(0.5, 1.5)
        if "translation" in self.policy:
            # A product with shifted unit matrices: its gradient is another one.
            for axis, side in ((1, height), (2, width)):
                shift = ops.floor(draw(-(side // 8), side // 8 + 1, 3))
                from_, to = ops.arange(side), ops.arange(side)
                moved = ops.cast(to[:, None] - from_[None], "float32")[None] == shift
                rule = "bij,bjwc->biwc" if axis == 1 else "bij,bhjc->bhic"
                x = ops.einsum(rule, ops.cast(moved, x.dtype), x)
        if "cutout" in self.policy:
            inside = 1.0
            for axis, side in ((1, height), (2, width)):
                centre = ops.floor(draw(0, side + 1))
                places = ops.reshape(
                    ops.arange(side, dtype="float32"),
                    (1, -1, 1, 1) if axis == 1 else (1, 1, -1, 1),
                )
                near = ops.logical_and(
                    places >= centre - side // 4, places < centre + side // 4
                )
                inside = inside * ops.cast(near, x.dtype)
            x = x * (1.0 - inside)
        return x

    def compute_output_shape(self, shape):
        return shape


@register
class SpectralConv2D(layers.Conv2D):
    """A convolution whose kernel is divided by its largest singular value.

    Miyato et al., "Spectral Normalization for GANs" (2018); one power iteration a call.
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.direction = self.add_weight(
            shape=(1, self.filters),
            initializer=keras.initializers.RandomNormal(seed=0),
            trainable=False,
            name="direction",
        )

    def call(self, images, training=None):
        kernel = ops.convert_to_tensor(self.kernel)
        matrix = ops.reshape(kernel, (-1, self.filters))
        fixed = ops.stop_gradient(matrix)
        left = ops.normalize(
            ops.convert_to_tensor(self.direction) @ ops.transpose(fixed)
        )
        right = ops.normalize(left @ fixed)
        if training:
            self.direction.assign(right)
        largest = ops.sum((left @ matrix) * right)
        padding, strides = self.padding, self.strides
        x = ops.conv(images, kernel / largest, strides, padding, "channels_last")
        return x + self.bias


def spectrally_normalized(network):
    """The same network with spectral in place of instance normalization."""

    def change(layer):
        config = layer.get_config()
        if isinstance(layer, InstanceNormalization):
            return layers.Identity(name=layer.name)
        if isinstance(layer, layers.Conv2D):
            return SpectralConv2D.from_config({**config, "use_bias": True})
        return type(layer).from_config(config)

    return keras.models.clone_model(network, clone_function=change)


@register
class Blurred(layers.Wrapper):
    """A layer that follows, or precedes, a blur with (1, 2, 1) / 4 both ways.

    Zhang, "Making Convolutional Networks Shift-Invariant Again" (2019), at the places
    that StyleGAN2 has it: before a stride, after an upsampling.
    """

    def __init__(self, layer, first=True, **kwargs):
        super().__init__(layer, **kwargs)
        self.first = first

    def call(self, x):
        return self.layer(blur(x)) if self.first else blur(self.layer(x))

    def compute_output_shape(self, shape):
        return self.layer.compute_output_shape(shape)

    def get_config(self):
        return {**super().get_config(), "first": self.first}


def blur(x):
    x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "symmetric")
    x = 0.25 * (x[:, :-2] + x[:, 2:]) + 0.5 * x[:, 1:-1]
    return 0.25 * (x[:, :, :-2] + x[:, :, 2:]) + 0.5 * x[:, :, 1:-1]


def antialiased(network):
    """The same network with blurs beside its strides and upsamplings.

    Not where it meets an image: a blurred output could show no fine detail, and a
    blurred first look would leave the discriminator blind to it.
    """

    def change(layer):
        copy = type(layer).from_config(layer.get_config())
        upsampling = (layers.UpSampling2D, layers.Conv2DTranspose, UpsampleConv2D)
        if layer.name in ("to_picture", "to_gate"):
            return copy
        if isinstance(layer, upsampling):
            return Blurred(copy, first=False, name=layer.name)
        inside = isinstance(layer, layers.Conv2D) and layer.input.shape[-1] > 6
        if inside and layer.strides[0] > 1:
            return Blurred(copy, name=layer.name)
        return copy

    return keras.models.clone_model(network, clone_function=change)


class ConstantThenLinear(keras.optimizers.schedules.LearningRateSchedule):
    """The paper's learning rate, over the share of the training that is done."""

    def __init__(self, rate, constant, progress):
        super().__init__()
        self.rate, self.constant, self.progress = rate, constant, progress

    def __call__(self, step):
        left = (1.0 - self.progress) / (1.0 - self.constant)
        return self.rate * tf.clip_by_value(left, 0.0, 1.0)

    def get_config(self):
        return {"rate": self.rate, "constant": self.constant}


def adam(rate, beta, constant, progress):
    """Adam with such a rate; a `constant` of 1 leaves the rate alone."""
    if constant < 1:
        rate = ConstantThenLinear(rate, constant, progress)
    return keras.optimizers.Adam(rate, beta_1=beta)

"""The PatchGAN discriminator of CycleGAN."""

import keras
from keras import layers

from gan_style.layers import InstanceNormalization
from gan_style.models.generators import _check_image_shape, _conv
from gan_style.utils.checks import check_int


def patch_discriminator(image_shape=(128, 128, 3), filters=32, name=None):
    """The PatchGAN discriminator: a number for every overlapping 70 x 70 patch.

    Three 4x4 convolutions of stride 2 (`filters` x 1, 2, 4), one of stride 1 (x 8), and
    one to a single channel; leaky ReLU of slope 0.2, instance norm but after the first
    and the last, no squashing at the end: its losses are least squares.

    Args:
        image_shape: (height, width, channels); height and width are multiples of 8,
            from 16, or None for any such size.
        filters: channels of the first convolution.
        name: the model's name.

    Returns:
        A functional `keras.Model` from images `(batch, *image_shape)` in [-1, 1] to
        float32 `(batch, height / 8, width / 8, 1)`: 1 where the patch looks real, 0
        where it looks translated.

    Raises:
        ValueError: when height or width cannot be halved three times, or an argument
            has another form.

    >>> patch_discriminator().output_shape
    (None, 16, 16, 1)
    """
    owner = "patch_discriminator"
    height, width, channels = _check_image_shape(owner, image_shape, 8, least=16)
    filters = check_int(owner, "filters", filters)

    images = x = keras.Input((height, width, channels), name="pictures")
    x = _conv(filters, 4, 2, "same", "patch_1_conv", use_bias=True)(x)
    x = layers.LeakyReLU(0.2, name="patch_1_relu")(x)
    for level, strides in ((2, 2), (3, 2), (4, 1)):
        width_now = filters * 2 ** (level - 1)
        x = _conv(width_now, 4, strides, "same", f"patch_{level}_conv")(x)
        x = InstanceNormalization(name=f"patch_{level}_norm")(x)
        x = layers.LeakyReLU(0.2, name=f"patch_{level}_relu")(x)
    x = _conv(1, 4, 1, "same", "answer", use_bias=True)(x)
    x = layers.Activation("linear", dtype="float32", name="answer_float32")(x)
    return keras.Model(images, x, name=name or owner)

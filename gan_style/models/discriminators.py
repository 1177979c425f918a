"""The PatchGAN discriminator of CycleGAN."""

import keras
from keras import layers

from gan_style.layers import InstanceNormalization
from gan_style.models.blocks import check_image_shape, conv
from gan_style.utils.checks import check_int, check_number


def patch_discriminator(image_shape=(128, 128, 3), filters=32, name=None, detail=0):
    """Build a PatchGAN discriminator: a number for every overlapping 70 x 70 patch.

    Follows Isola et al. (2017): 4x4 convolutions, three of stride 2 (`filters` x 1, 2,
    4), one of stride 1 (x 8), and one to a single channel; leaky ReLU of slope 0.2;
    instance norm except after the first and the last; no final sigmoid (LSGAN).

    Args:
        image_shape: (height, width, channels); sides: multiples of 8 from 16, or None.
        filters: channels of the first convolution, 32 by default.
        name: the model's name.
        detail: if above 0, the first convolution also sees each pixel's difference from
            the mean of the 3 x 3 around it, times `detail`: brush strokes are a few
            levels high, and a short training overlooks them (2 suits paintings).

    Returns:
        A functional `keras.Model` from images `(batch, *image_shape)` in [-1, 1] to
        float32 `(batch, height / 8, width / 8, 1)`: 1 where a patch looks real, else 0.

    Raises:
        ValueError: for other sizes, or arguments of another form.

    >>> patch_discriminator().output_shape
    (None, 16, 16, 1)
    """
    owner = "patch_discriminator"
    image_shape = check_image_shape(owner, image_shape, 8, minimum=16)
    filters = check_int(owner, "filters", filters)
    detail = check_number(owner, "detail", detail)

    images = x = keras.Input(image_shape, name="pictures")
    if detail:  # in float32, as these differences are small
        kind = {"data_format": "channels_last", "dtype": "float32"}
        mean = layers.AveragePooling2D(3, 1, "same", name="around", **kind)(images)
        fine = layers.Subtract(dtype="float32", name="difference")([images, mean])
        fine = layers.Rescaling(detail, dtype="float32", name="detail")(fine)
        x = layers.Concatenate(dtype="float32", name="with_detail")([images, fine])
    x = conv(x, filters, 4, 2, "same", "patch_1_conv", use_bias=True)
    x = layers.LeakyReLU(0.2, name="patch_1_relu")(x)
    for level, factor, strides in ((2, 2, 2), (3, 4, 2), (4, 8, 1)):
        x = conv(x, filters * factor, 4, strides, "same", f"patch_{level}_conv")
        x = InstanceNormalization(name=f"patch_{level}_norm")(x)
        x = layers.LeakyReLU(0.2, name=f"patch_{level}_relu")(x)
    x = conv(x, 1, 4, 1, "same", "answer", use_bias=True)
    x = layers.Activation("linear", dtype="float32", name="answer_float32")(x)
    return keras.Model(images, x, name=name or owner)

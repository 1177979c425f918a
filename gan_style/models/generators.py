"""The networks of CycleGAN: two kinds of generator and the PatchGAN discriminator.

Follows Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent
Adversarial Networks" (2017), with the U-Net of Isola et al. (2017) in a small form.
Weights start from N(0, 0.02); a convolution that instance norm follows has no bias,
which the norm would cancel.
"""

import keras
from keras import layers

from gan_style.image_conv import BlockConv2D, EncoderConv2D, ToPictureConv2D
from gan_style.layers import (
    InstanceNormalization,
    ReflectionPadding2D,
    UpsampleConv2D,
)
from gan_style.utils.checks import check_choice, check_int


def unet_generator(image_shape=(128, 128, 3), filters=32, name=None):
    """A U-Net generator: four halvings, four doublings, three skip connections.

    Each halving is a 4x4 convolution of stride 2, instance norm and ReLU, with
    `filters` x 1, 2, 4, 8 channels; each doubling is nearest-neighbour upsampling, a
    4x4 convolution, instance norm and ReLU, joined with the encoder's features of the
    same size. A last doubling ends in tanh.

    Args:
        image_shape: (height, width, channels); height and width are multiples of 16
            or None for any such size.
        filters: channels after the first halving.
        name: the model's name.

    Returns:
        A functional `keras.Model` from images `(batch, *image_shape)` in [-1, 1] to
        float32 images of the same shape and range.

    Raises:
        ValueError: when height or width cannot be halved four times, or an argument
            has another form.

    >>> unet_generator().count_params()
    1544707
    """
    owner = "unet_generator"
    height, width, channels = _check_image_shape(owner, image_shape, 16, least=16)
    filters = check_int(owner, "filters", filters)

    images = x = keras.Input((height, width, channels), name="pictures")
    skips = []
    for level in range(4):
        x = _conv(filters * 2**level, 4, 2, "same", f"down_{level + 1}_conv")(x)
        x = _norm_relu(x, f"down_{level + 1}")
        skips.append(x)
    for level, skip in zip((3, 2, 1), reversed(skips[:-1]), strict=True):
        x = UpsampleConv2D(
            filters * 2 ** (level - 1),
            use_bias=False,
            kernel_initializer=_weights(),
            name=f"up_{level}_conv",
        )(x)
        x = _norm_relu(x, f"up_{level}")
        x = layers.Concatenate(name=f"skip_{level}")([x, skip])
    x = UpsampleConv2D(channels, kernel_initializer=_weights(), name="to_picture")(x)
    return keras.Model(images, _tanh(x), name=name or owner)


def resnet_generator(
    image_shape=(256, 256, 3),
    filters=64,
    blocks=9,
    name=None,
    layout="same",
    upsampling="transposed",
):
    """The ResNet generator of CycleGAN, after Johnson et al. (2016).

    c7s1-f, d2f, d4f, `blocks` residual blocks of 4f channels, u2f, uf, c7s1-channels,
    with reflection padding where the size stays, instance norm and ReLU.

    Args:
        image_shape: (height, width, channels); height and width are multiples of 4,
            from 8, or None for any such size.
        filters: channels of the first convolution.
        blocks: residual blocks; the paper takes 9 at 256 pixels and 6 at 128.
        name: the model's name.
        layout: where the halvings and doublings place their kernels: "same" as
            TensorFlow's padding of that name does, "pytorch" one pixel further up and
            left, as the authors' PyTorch code does. Weights fit one of the two;
            `load_pytorch_generator` brings the authors'.
        upsampling: how images are doubled: "transposed" convolutions are the
            paper's, and tend to leave a checkerboard in a short training; "nearest"
            repeats pixels and convolves then (Odena et al., "Deconvolution and
            Checkerboard Artifacts", 2016), with as many weights and more work.

    Returns:
        A functional `keras.Model` from images `(batch, *image_shape)` in [-1, 1] to
        float32 images of the same shape and range.

    Raises:
        ValueError: when height or width cannot be halved twice, or an argument has
            another form.

    >>> resnet_generator(filters=32).count_params()
    2847939
    """
    owner = "resnet_generator"
    height, width, channels = _check_image_shape(owner, image_shape, 4, least=8)
    filters = check_int(owner, "filters", filters)
    blocks = check_int(owner, "blocks", blocks, minimum=0)
    if layout not in ("same", "pytorch"):
        raise ValueError(
            f"{owner}: layout is {layout!r}, but must be 'same' or 'pytorch'."
        )
    check_choice(owner, "upsampling", upsampling, ("transposed", "nearest"))
    if upsampling == "nearest" and layout == "pytorch":
        raise ValueError(
            f"{owner}: upsampling is 'nearest' and layout 'pytorch', but the authors' "
            "weights are those of transposed convolutions. Leave one of them out."
        )
    padding = "same" if layout == "same" else "valid"

    images = x = keras.Input((height, width, channels), name="pictures")
    x = ReflectionPadding2D(3, name="stem_pad")(x)
    x = _conv(filters, 7, 1, "valid", "stem_conv")(x)
    x = _norm_relu(x, "stem")
    for level in (1, 2):
        if layout == "pytorch":
            x = layers.ZeroPadding2D(
                1, data_format="channels_last", name=f"down_{level}_pad"
            )(x)
        x = _conv(filters * 2**level, 3, 2, padding, f"down_{level}_conv")(x)
        x = _norm_relu(x, f"down_{level}")
    for block in range(1, blocks + 1):
        x = _residual_block(x, 4 * filters, f"block_{block}")
    for level in (2, 1):
        doubled = _doubled if upsampling == "nearest" else _transposed
        x = doubled(x, filters * 2 ** (level - 1), f"up_{level}", padding)
        x = _norm_relu(x, f"up_{level}")
    x = ReflectionPadding2D(3, name="to_picture_pad")(x)
    x = ToPictureConv2D(channels, 7, kernel_initializer=_weights(), name="to_picture")(
        x
    )
    return keras.Model(images, _tanh(x), name=name or owner)


def _weights():
    # A fresh one for every layer: an initializer shared between layers would give
    # them the same numbers.
    return keras.initializers.RandomNormal(0.0, 0.02)


def _conv(filters, size, strides, padding, name, use_bias=False):
    return EncoderConv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        data_format="channels_last",
        use_bias=use_bias,
        kernel_initializer=_weights(),
        name=name,
    )


def _block_conv(filters, name):
    return BlockConv2D(
        filters, 3, use_bias=False, kernel_initializer=_weights(), name=name
    )


def _doubled(x, filters, name, padding):
    x = layers.UpSampling2D(2, data_format="channels_last", name=f"{name}_nearest")(x)
    return _conv(filters, 3, 1, padding, f"{name}_conv")(x)


def _transposed(x, filters, name, padding):
    x = layers.Conv2DTranspose(
        filters,
        3,
        strides=2,
        padding=padding,
        data_format="channels_last",
        use_bias=False,
        kernel_initializer=_weights(),
        name=f"{name}_conv",
    )(x)
    if padding == "same":
        return x
    # PyTorch's padding of 1 and output padding of 1: the first row and column go.
    return layers.Cropping2D(
        ((1, 0), (1, 0)), data_format="channels_last", name=f"{name}_crop"
    )(x)


def _norm_relu(x, name):
    x = InstanceNormalization(name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _residual_block(x, filters, name):
    y = ReflectionPadding2D(1, name=f"{name}_pad_1")(x)
    y = _block_conv(filters, f"{name}_conv_1")(y)
    y = _norm_relu(y, f"{name}_1")
    y = ReflectionPadding2D(1, name=f"{name}_pad_2")(y)
    y = _block_conv(filters, f"{name}_conv_2")(y)
    y = InstanceNormalization(name=f"{name}_2_norm")(y)
    return layers.Add(name=f"{name}_add")([x, y])


def _tanh(x):
    return layers.Activation("tanh", dtype="float32", name="tanh")(x)


def _check_image_shape(owner, image_shape, multiple, least):
    try:
        height, width, channels = image_shape
    except (TypeError, ValueError):
        raise ValueError(
            f"{owner}: image_shape is {image_shape!r}, but must be (height, "
            "width, channels), such as (128, 128, 3)."
        ) from None
    check_int(owner, "image_shape's number of channels", channels)
    for name, side in (("height", height), ("width", width)):
        if side is None:
            continue
        check_int(owner, f"image_shape's {name}", side)
        if side % multiple or side < least:
            below = max(side // multiple * multiple, least)
            fits = " or ".join(str(n) for n in sorted({below, below + multiple}))
            raise ValueError(
                f"{owner}: the {name} of image_shape is {side}, but must be a "
                f"multiple of {multiple} from {least} up, to be halved evenly. Sizes "
                f"near it that fit: {fits}."
            )
    return height, width, channels

"""The generators of CycleGAN (Zhu et al., 2017): a small U-Net, and its ResNet."""

import keras
from keras import layers

from gan_style.layers import InstanceNormalization, ReflectionPadding2D, UpsampleConv2D
from gan_style.models.blocks import check_image_shape, conv, norm_relu, normal_weights
from gan_style.utils.checks import check_choice, check_int, check_number


def unet_generator(image_shape=(128, 128, 3), filters=32, name=None, gate=False):
    """Build a U-Net: four downsamplings, four upsamplings, three skip connections.

    After Isola et al. (2017), smaller. Downsampling: 4x4 convolutions of stride 2 with
    `filters` x 1, 2, 4, 8 channels, instance norm, ReLU. Upsampling: nearest neighbour,
    4x4 convolutions, instance norm, ReLU, and the skip concatenated; tanh at the end.

    Args:
        image_shape: (height, width, channels); sides: multiples of 16, or None.
        filters: channels of the first convolution, 32 by default.
        name: the model's name.
        gate: whether one more channel, the layer "gate", says pixel by pixel how much
            of the image stays, from 0 (painted anew) to 1 (after Mejjati et al.,
            "Unsupervised Attention-guided Image-to-Image Translation", 2018): True for
            objects before a background; for paintings the largest share, such as 0.5,
            of which the layer then says how much.

    Returns:
        A functional `keras.Model` from images `(batch, *image_shape)` in [-1, 1] to
        float32 images of the same shape and range.

    Raises:
        ValueError: for other sizes, or arguments of another form.

    >>> unet_generator().count_params()
    1544707
    """
    image_shape = check_image_shape("unet_generator", image_shape, 16, minimum=16)
    filters = check_int("unet_generator", "filters", filters)

    images = x = keras.Input(image_shape, name="pictures")
    skips = {}
    for level in (1, 2, 3, 4):
        x = conv(x, filters * 2 ** (level - 1), 4, 2, "same", f"down_{level}_conv")
        x = skips[level] = norm_relu(x, f"down_{level}")
    for level in (3, 2, 1):
        width, conv_name = filters * 2 ** (level - 1), f"up_{level}_conv"
        x = UpsampleConv2D(width, False, normal_weights(), name=conv_name)(x)
        x = norm_relu(x, f"up_{level}")
        x = layers.Concatenate(name=f"skip_{level}")([x, skips[level]])
    painted = UpsampleConv2D(image_shape[-1], True, normal_weights(), name="to_picture")
    y = layers.Activation("tanh", dtype="float32", name="tanh")(painted(x))
    if gate:
        stays = UpsampleConv2D(1, True, normal_weights(), name="to_gate")(x)
        y = _gated("unet_generator", images, y, stays, gate)
    return keras.Model(images, y, name=name or "unet_generator")


def resnet_generator(
    image_shape=(256, 256, 3), filters=64, blocks=9, name=None, layout="same",
    upsampling="transposed", gate=False,
):  # fmt: skip
    """Build the ResNet generator of CycleGAN, after Johnson et al. (2016).

    c7s1-f, d2f, d4f, `blocks` residual blocks R4f, u2f, uf, c7s1-channels, with
    reflection padding where the size stays, instance norm and ReLU.

    Args:
        image_shape: (height, width, channels); sides: multiples of 4 from 8, or None.
        filters: f, channels of the first convolution, 64 by default.
        blocks: residual blocks; the paper has 9 at 256 pixels and 6 at 128.
        name: the model's name.
        layout: of kernels of stride 2: "same" as in TensorFlow, or "pytorch", one pixel
            further up and left, for the weights that `load_pytorch_generator` loads.
        upsampling: "transposed" convolutions as in the paper, which tend to leave a
            checkerboard in a short training; or "nearest", slower: repeated pixels and
            a convolution (Odena et al., "Deconvolution and Checkerboard Artifacts").
        gate: as in `unet_generator`.

    Returns:
        A functional `keras.Model` from images `(batch, *image_shape)` in [-1, 1] to
        float32 images of the same shape and range.

    Raises:
        ValueError: for other sizes, or arguments of another form.

    >>> resnet_generator(filters=32).count_params()
    2847939
    """
    owner = "resnet_generator"
    image_shape = check_image_shape(owner, image_shape, 4, minimum=8)
    filters = check_int(owner, "filters", filters)
    blocks = check_int(owner, "blocks", blocks, minimum=0)
    check_choice(owner, "layout", layout, ("same", "pytorch"))
    check_choice(owner, "upsampling", upsampling, ("transposed", "nearest"))
    if layout == "pytorch":
        check_choice(owner, "upsampling for pytorch", upsampling, ("transposed",))
    padding = "same" if layout == "same" else "valid"

    images = x = keras.Input(image_shape, name="pictures")
    x = ReflectionPadding2D(3, name="stem_pad")(x)
    x = norm_relu(conv(x, filters, 7, 1, "valid", "stem_conv"), "stem")
    for level in (1, 2):
        if layout == "pytorch":
            x = layers.ZeroPadding2D(1, "channels_last", name=f"down_{level}_pad")(x)
        x = conv(x, filters * 2**level, 3, 2, padding, f"down_{level}_conv")
        x = norm_relu(x, f"down_{level}")
    for block in range(1, blocks + 1):
        x = _residual_block(x, 4 * filters, f"block_{block}")
    for level in (2, 1):
        x = _upsample(x, filters * 2 ** (level - 1), f"up_{level}", padding, upsampling)
        x = norm_relu(x, f"up_{level}")
    x = ReflectionPadding2D(3, name="to_picture_pad")(x)
    y = conv(x, image_shape[-1], 7, 1, "valid", "to_picture", use_bias=True)
    y = layers.Activation("tanh", dtype="float32", name="tanh")(y)
    if gate:
        stays = conv(x, 1, 7, 1, "valid", "to_gate", use_bias=True)
        y = _gated(owner, images, y, stays, gate)
    return keras.Model(images, y, name=name or owner)


def _gated(owner, images, painted, stays, gate):
    """Blend the image into the painted one: a share of `gate` stays, or less."""
    most = 1.0 if gate is True else check_number(owner, "gate", gate, 0, 1)
    # At first three quarters of that, as most of a scene is background.
    stays = layers.Rescaling(1.0, 1.0, dtype="float32", name="gate_start")(stays)
    stays = layers.Activation("sigmoid", dtype="float32", name="gate")(stays)
    if most < 1:
        stays = layers.Rescaling(most, dtype="float32", name="gate_limit")(stays)
    change = layers.Subtract(dtype="float32", name="gate_change")([images, painted])
    kept = layers.Multiply(dtype="float32", name="gate_kept")([stays, change])
    return layers.Add(dtype="float32", name="gate_blend")([painted, kept])


def _upsample(x, filters, name, padding, upsampling):
    if upsampling == "nearest":
        x = layers.UpSampling2D(2, "channels_last", name=f"{name}_nearest")(x)
        return conv(x, filters, 3, 1, padding, f"{name}_conv")
    x = conv(x, filters, 3, 2, padding, f"{name}_conv", kind=layers.Conv2DTranspose)
    if padding == "valid":
        # PyTorch's padding of 1 and output padding of 1 omit the first row and column.
        x = layers.Cropping2D(((1, 0), (1, 0)), "channels_last", name=f"{name}_crop")(x)
    return x


def _residual_block(x, filters, name):
    y = ReflectionPadding2D(1, name=f"{name}_pad_1")(x)
    y = norm_relu(conv(y, filters, 3, 1, "valid", f"{name}_conv_1"), f"{name}_1")
    y = ReflectionPadding2D(1, name=f"{name}_pad_2")(y)
    y = conv(y, filters, 3, 1, "valid", f"{name}_conv_2")
    y = InstanceNormalization(name=f"{name}_2_norm")(y)
    return layers.Add(name=f"{name}_add")([x, y])

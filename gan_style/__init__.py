"""Painting with neural networks in Keras: CycleGAN and neural style transfer.

The public names are loaded when they are first used, so that layers and networks also
serve on Keras' other backends, where TensorFlow is not needed.
"""

import importlib

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
_MODULES = ("callbacks", "datasets", "metrics", "plotting", "samples")
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

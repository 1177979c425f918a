"""Painting with neural networks in Keras: CycleGAN and neural style transfer.

Importing the package registers the classes of saved models with Keras. Everything else
is loaded when it is first used, so that layers and networks also serve on Keras' other
backends, where TensorFlow is not needed.
"""

import keras
import lazy_loader

from gan_style import layers  # noqa: F401
from gan_style.models import vgg  # noqa: F401
from gan_style.training import schedules  # noqa: F401

if keras.backend.backend() == "tensorflow":
    from gan_style import cyclegan, pix2pix  # noqa: F401

__version__ = "0.1.0"

_MODULES = ["datasets", "evaluation", "exercises", "hardware", "inference", "models"]
_MODULES += ["style_transfer", "training"]
_NAMES = {
    "cyclegan": ["CycleGAN"],
    "pix2pix": ["Pix2Pix"],
    "datasets": ["samples"],
    "layers": ["ImagePool", "InstanceNormalization", "ReflectionPadding2D"],
    "models": ["patch_discriminator", "resnet_generator", "unet_generator"]
    + ["load_pytorch_generator", "vgg_features"],
    "style_transfer": ["StyleTransfer", "content_loss", "gram_matrix", "style_loss"]
    + ["total_variation_loss"],
    "training": ["constant_then_linear"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, _MODULES, _NAMES)

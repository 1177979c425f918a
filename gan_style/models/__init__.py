"""The networks: generators, discriminators, VGG features, PyTorch weights."""

import lazy_loader

_NAMES = {
    "generators": ["resnet_generator", "unet_generator"],
    "discriminators": ["patch_discriminator"],
    "vgg": ["WeightsUnavailable", "receptive_field", "vgg_features"],
    "pytorch_weights": ["load_pytorch_generator"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_NAMES)

"""A small style transfer that several tests run."""

import keras
import numpy as np

from gan_style.style_transfer.transfer import StyleTransfer

OPTIONS = {"steps": 4, "scales": [16, 32], "progress": False, "save_every": 1}


def transfer(**options):
    """A small transfer whose random features come from a seed of their own."""
    rng = np.random.default_rng(0)
    content, style = rng.integers(0, 256, (2, 24, 32, 3), dtype="uint8")
    keras.utils.set_random_seed(0)
    options = {
        "content_layers": ["relu1_2"],
        "style_layers": ["relu1_1"],
        "features": {"weights": None, "backbone": "vgg16"},
        **options,
    }
    return StyleTransfer(content, style, **options)

"""Figures and numbers for translated images, beside baselines that learn nothing."""

import lazy_loader

_NAMES = {
    "metrics": ["baselines", "kernel_inception_distance", "paired_error", "report"],
    "features": ["ImageFeatures", "image_features"],
    "plotting": "PixelFigure bars image_grid image_row loss_curves rendered".split(),
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_NAMES)

"""Two domains of images, wherever they come from, as training and test sets."""

import lazy_loader

_NAMES = {
    "loading": ["Data", "SAMPLES", "load"],
    "downloads": ["DATASETS", "fetch_dataset"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["samples"], _NAMES)

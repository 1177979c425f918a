"""Trained generators at work: images of any size, folders, exports."""

import lazy_loader

_NAMES = {
    "translation": ["translate"],
    "folders": ["FolderResult", "translate_folder"],
    "export": ["export_onnx", "export_savedmodel"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_NAMES)

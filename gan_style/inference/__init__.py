"""Trained generators at work: images of any size, folders, exports."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "translation": ["translate"],
        "folders": ["FolderResult", "translate_folder"],
        "export": ["export_onnx", "export_savedmodel"],
    },
)

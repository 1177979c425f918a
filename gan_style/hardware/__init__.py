"""Faster ways to compute, and what this machine has for them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "devices": ["recommend"],
        "memory": ["DoesNotFit", "Machine", "this_machine"],
    },
)

"""Faster paths for the layers, mostly on CPUs, and what this machine can do.

`gan_style.layers` defines each layer plainly. `conv2d` decides where a path computes
the same function, to rounding, in less time, such as `winograd`, in training on
CPUs. The environment variable GAN_STYLE_FAST_CPU=0 turns all paths off.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"devices": ["recommend"], "memory": ["DoesNotFit"]}
)

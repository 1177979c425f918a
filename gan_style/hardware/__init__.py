"""Faster paths for the layers, mostly on CPUs, and what this machine can do.

`gan_style.layers` defines each layer plainly. `conv2d` decides where one of these
paths computes the same function, to rounding, in less time:

- Winograd's convolutions and upsampling, in training on CPUs (`winograd`);
- kernel gradients as one matrix product, in training on CPUs in bfloat16 (`im2col`);
- instance norm as one batch norm, in training with TensorFlow;
- fewer multiplications for an upsampling and for a 7x7 convolution to RGB, anywhere.

The environment variable GAN_STYLE_FAST_CPU=0 turns all of them off.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "devices": ["recommend"],
        "memory": ["DoesNotFit", "Machine", "this_machine"],
    },
)

"""Gatys et al., "Preserving color in neural artistic style transfer" (2016).

Images are `(height, width, 3)`, RGB in [0, 255]; the results float32.
"""

import numpy as np

from gan_style.utils.images import LUMA, luma

# From RGB to luma and two chroma axes: YIQ, as NTSC television used it.
_YIQ = np.array([LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)])


def luminance(image):
    """Convert an image to grey: its luma in all three channels."""
    return luma(np.asarray(image, np.float32))[..., None].repeat(3, axis=-1)


def with_colours_of(image, source):
    """Combine the luma of an image with the chroma of another of the same shape."""
    yiq = np.asarray(source, np.float64) @ _YIQ.T
    yiq[..., 0] = luma(np.asarray(image, np.float64))
    return np.clip(yiq @ np.linalg.inv(_YIQ).T, 0, 255).astype(np.float32)


def match_colours(image, source):
    """Give an image the mean and covariance of another's colours, by a linear map."""
    pixels = np.asarray(image, np.float64).reshape(-1, 3)
    wanted = np.asarray(source, np.float64).reshape(-1, 3)

    def root(covariance, minimum):
        values, vectors = np.linalg.eigh(covariance)
        return (vectors * np.sqrt(np.maximum(values, minimum))) @ vectors.T

    # An image of one colour has no covariance to invert: one level at least.
    scale = root(np.cov(wanted.T), 0.0) @ np.linalg.inv(root(np.cov(pixels.T), 1.0))
    matched = (pixels - pixels.mean(0)) @ scale.T + wanted.mean(0)
    return np.clip(matched, 0, 255).astype(np.float32).reshape(np.shape(image))

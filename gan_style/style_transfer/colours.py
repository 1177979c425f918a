"""Keeping a photograph's colours under a painting's brush."""

import numpy as np

# Luma and two chroma axes (YIQ, as NTSC television had them), rows over RGB.
_YIQ = np.array(
    [[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]]
)


def luminance(image):
    """Turns an image grey: its luma in all three channels.

    Args:
        image: `(height, width, 3)`, RGB in [0, 255].

    Returns:
        float32 of the same shape.
    """
    luma = np.asarray(image, np.float32) @ _YIQ[0].astype(np.float32)
    return np.repeat(luma[..., None], 3, axis=-1)


def with_colours_of(image, source):
    """Takes brightness from one image and colour from another.

    The first method of Gatys et al., "Preserving color in neural artistic style
    transfer" (2016).

    Args:
        image: `(height, width, 3)`, RGB in [0, 255]: gives the luma.
        source: the same shape: gives the chroma.

    Returns:
        float32 of the same shape, in [0, 255].
    """
    yiq = np.asarray(source, np.float64) @ _YIQ.T
    yiq[..., 0] = np.asarray(image, np.float64) @ _YIQ[0]
    return np.clip(yiq @ np.linalg.inv(_YIQ).T, 0, 255).astype(np.float32)


def match_colours(image, source):
    """Gives an image the mean and the covariance of another's colours.

    The second method of Gatys et al. (2016): the linear map between the two
    covariances' symmetric square roots.

    Args:
        image: `(height, width, 3)`, RGB in [0, 255].
        source: an image of any size, whose colours are wanted.

    Returns:
        float32 shaped as `image`, in [0, 255].

    Example:
        >>> grey = np.full((2, 2, 3), 100.0)
        >>> match_colours(grey, np.full((4, 4, 3), [200.0, 100.0, 0.0]))[0, 0].tolist()
        [200.0, 100.0, 0.0]
    """
    pixels = np.asarray(image, np.float64).reshape(-1, 3)
    wanted = np.asarray(source, np.float64).reshape(-1, 3)
    scale = _root(np.cov(wanted.T)) @ np.linalg.inv(_root(np.cov(pixels.T), 1.0))
    matched = (pixels - pixels.mean(0)) @ scale.T + wanted.mean(0)
    return np.clip(matched, 0, 255).astype(np.float32).reshape(np.shape(image))


def _root(covariance, least=0.0):
    # An image of one colour has no covariance to invert: one level at least.
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, least))) @ vectors.T

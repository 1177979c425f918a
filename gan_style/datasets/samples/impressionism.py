"""A motif as an impressionist paints it: another palette, laid on in strokes."""

import numpy as np
from scipy import ndimage

from gan_style.datasets.samples.canvas import mix, smooth
from gan_style.datasets.samples.strokes import Canvas

_LINEN = (0.90, 0.86, 0.76)
# strokes a side of the grid, length over what fits, width, what is left bare
_LAYERS = ((13, 1.6, 0.066, 0.0), (22, 1.1, 0.038, 0.0), (36, 0.75, 0.024, 0.25))
_BROKEN = np.array(
    [
        (0.05, -0.02, 0.06),
        (-0.04, 0.02, 0.06),
        (0.06, 0.03, -0.05),
        (-0.02, 0.05, -0.03),
        (0.0, 0.0, 0.0),
    ]
)


def impressionist_palette(image):
    """No black: violet shadows, yellow greens, turquoise skies, mauves, warm lights.

    Args:
        image: float `(height, width, 3)` in [0, 1].

    Returns:
        The same, repainted pixel by pixel.
    """
    red, green, blue = np.moveaxis(image, -1, 0)
    light = image @ np.array([0.30, 0.59, 0.11])
    lifted = 0.23 + 0.68 * np.clip(light, 0, 1) ** 0.85
    colour = lifted[..., None] + 0.95 * (image - light[..., None])
    leafy = np.clip(green - np.maximum(0.9 * red, blue), 0, 0.3)
    airy = np.clip(blue - red, 0, 0.5)
    middle = np.exp(-(((light - 0.60) / 0.12) ** 2)) * smooth(
        0.25, 0.08, abs(blue - red)
    )
    for share, shift in (
        (smooth(0.46, 0.06, light), (0.18, -0.08, 0.31)),
        (leafy, (0.68, 0.75, -1.05)),
        (airy, (0.32, 0.66, -0.12)),
        (middle, (0.02, -0.05, 0.05)),
        (smooth(0.66, 0.90, light), (0.09, 0.0, -0.34)),
    ):
        colour += share[..., None] * np.array(shift)
    return colour


def paint_motif(motif, numbers):
    """Paints a motif of `samples_landscape`, float `(size, size, 3)`."""
    size = len(motif.image)
    colours = impressionist_palette(motif.image)
    wash = ndimage.gaussian_filter(colours, (0.012 * size, 0.012 * size, 0))
    canvas = Canvas(size, mix(wash, _LINEN, np.full((size, size), 0.3)))
    for side, stretch, width, bare in _LAYERS:
        blur = 0.35 * width * size
        seen = ndimage.gaussian_filter(colours, (blur, blur, 0))
        count = side**2
        jitter = numbers.array(5, count)
        column = (np.arange(count) % side + jitter[0]) / side
        row = (np.arange(count) // side + jitter[1]) / side
        at = tuple(np.minimum((p * size).astype(int), size - 1) for p in (row, column))
        length = motif.reach[at] * stretch * (0.7 + 0.6 * jitter[2])
        thick = width * (0.75 + 0.5 * jitter[3])
        broken = _BROKEN[(jitter[4] * len(_BROKEN)).astype(int)]
        tone = 0.035 * (numbers.array(count) - 0.5)
        colour = seen[at] + 0.35 * broken + tone[:, None]
        column = column - 0.5 * length * np.cos(motif.angle[at])
        row = row - 0.5 * length * np.sin(motif.angle[at])
        # Short strokes on long ones: a painter ends with the detail.
        order = np.argsort(-length)[int(bare * count) :]
        for some in np.array_split(order, 4):
            canvas.lay(
                numbers,
                column[some],
                row[some],
                motif.angle,
                length[some],
                thick[some],
                colour[some],
                contrast=0.11,
            )
    return canvas.image(relief=0.08)

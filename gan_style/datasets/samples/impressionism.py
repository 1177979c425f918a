"""A motif as an impressionist paints it: another palette, laid on in strokes."""

import numpy as np
from scipy import ndimage

from .canvas import mix, smooth
from .strokes import Canvas, grid, places

# strokes a side of the grid, length over what fits, width, what is left bare
_LAYERS = ((13, 1.6, 0.066, 0.0), (22, 1.1, 0.038, 0.0), (36, 0.75, 0.024, 0.25))
_BROKEN = np.array([[5, -2, 6], [-4, 2, 6], [6, 3, -5], [-2, 5, -3], [0, 0, 0]]) / 100


def impressionist_palette(image):
    """Repaint without black: violet shadows, yellow greens, mauves, warm lights."""
    red, green, blue = np.moveaxis(image, -1, 0)
    light = image @ np.array([0.30, 0.59, 0.11])
    lifted = 0.23 + 0.68 * np.clip(light, 0, 1) ** 0.85
    colour = lifted[..., None] + 0.95 * (image - light[..., None])
    leafy = np.clip(green - np.maximum(0.9 * red, blue), 0, 0.3)
    middle = smooth(0.25, 0.08, abs(blue - red)) * np.exp(
        -(((light - 0.60) / 0.12) ** 2)
    )
    for share, shift in (
        (smooth(0.46, 0.06, light), (0.18, -0.08, 0.31)),
        (leafy, (0.68, 0.75, -1.05)),
        (np.clip(blue - red, 0, 0.5), (0.32, 0.66, -0.12)),
        (middle, (0.02, -0.05, 0.05)),
        (smooth(0.66, 0.90, light), (0.09, 0.0, -0.34)),
    ):
        colour += share[..., None] * np.array(shift)
    return colour


def paint_motif(motif, rng):
    """Paint a `landscapes.Landscape`; returns float `(size, size, 3)`."""
    size = len(motif.image)
    colours = impressionist_palette(motif.image)
    wash = ndimage.gaussian_filter(colours, (0.012 * size, 0.012 * size, 0))
    canvas = Canvas(size, mix(wash, (0.90, 0.86, 0.76), np.full((size, size), 0.3)))
    for side, stretch, width, bare in _LAYERS:
        blur = 0.35 * width * size
        seen = ndimage.gaussian_filter(colours, (blur, blur, 0))
        jitter = rng.array(5, side**2)
        column, row = grid(side, *jitter[:2])
        at = places(size, row, column)
        length = motif.reach[at] * stretch * (0.7 + 0.6 * jitter[2])
        thick = width * (0.75 + 0.5 * jitter[3])
        broken = _BROKEN[(jitter[4] * len(_BROKEN)).astype(int)]
        tone = 0.035 * (rng.array(side**2) - 0.5)
        colour = seen[at] + 0.35 * broken + tone[:, None]
        column = column - 0.5 * length * np.cos(motif.angle[at])
        row = row - 0.5 * length * np.sin(motif.angle[at])
        strokes = column, row, length, thick, colour
        # Short strokes on long ones: a painter ends with the detail.
        for some in np.array_split(np.argsort(-length)[int(bare * side**2) :], 4):
            canvas.lay(rng, motif.angle, *(part[some] for part in strokes), 0.11)
    return canvas.image(relief=0.08)

"""A drawn painting of strong, swirling strokes: the style of chapter 3."""

import numpy as np

from .canvas import Sketch, checked, cover, finish, mix, smooth
from .strokes import Canvas, grid, places

# strokes a side of the grid, length, width, how far colours stray
_LAYERS = (24, 0.150, 0.040, 0.05), (47, 0.105, 0.022, 0.09)
_LAYERS += (74, 0.070, 0.0125, 0.13), (80, 0.045, 0.0075, 0.17)


def painting(size=512, seed=0):
    """Draw a painting: a night sky of swirling strokes over hills and wheat.

    It replaces a master's painting where the internet is missing: strong
    colours, flowing strokes of several sizes, and the relief of thick paint.

    Args:
        size: side of the image in pixels, from 16 up.
        seed: integer from 0 up: another sky, other strokes.

    Returns:
        uint8 `(size, size, 3)`, RGB.

    Raises:
        ValueError: for another size or seed.

    >>> painting(64).shape
    (64, 64, 3)
    """
    seed, size = checked("painting", seed, size)
    sketch = Sketch(size, 21, seed)
    colours, angle, accents = _composition(sketch)
    canvas = Canvas(size, (0.16, 0.20, 0.34))
    for layer, (side, length, width, stray) in enumerate(_LAYERS):
        chance = sketch.array(7, side**2)
        order = np.argsort(chance[0])
        # From a little outside, so that the edge is painted too.
        column, row = (1.1 * p[order] - 0.05 for p in grid(side, *chance[1:3]))
        at = places(size, row, column)
        # Colours vary more in light than in hue.
        varied = 2 * chance[3:6].T - 1
        varied = 0.7 * varied[:, :1] + 0.5 * varied * np.array([1.0, 0.7, 1.0])
        colour = colours[at] + stray * varied
        # Thick light and deep shade alternate, as on a loaded brush.
        accent = accents[at][np.arange(side**2), (2 * chance[6]).astype(int)]
        colour = mix(colour, accent, 0.75 * (chance[3] < 0.16 + 0.07 * layer))
        size_of = length * (0.6 + 0.6 * chance[4]), width * (0.75 + 0.5 * chance[5])
        strokes = column, row, *size_of, colour
        for some in np.array_split(np.arange(side**2), 6):
            canvas.lay(sketch, angle, *(part[some] for part in strokes))
    return finish(canvas.image(relief=0.30))


def _composition(sketch):
    """Colours, how strokes run, and two accents for every place."""
    x, y = sketch.x, sketch.y
    currents = sketch.noise(3, octaves=3)
    horizon = 0.66 - 0.06 * np.sin(5 * x + sketch.between(0, 6)) + 0.02 * currents
    across, down = np.cos(2.2 * currents) + 0 * y, 0.7 * np.sin(2.2 * currents)
    bands = 0.5 + 0.5 * np.sin(9 * currents + 14 * y)
    colours = mix((0.07, 0.13, 0.42), (0.22, 0.45, 0.74), bands)
    dawn = 0.75 * smooth(-0.35, 0.0, y - horizon)
    colours = mix(colours, (0.62, 0.76, 0.74), dawn)
    glow = 0 * currents
    for x0, y0, radius, light in _lamps(sketch):
        u, v = x - x0, y - y0
        far = np.sqrt(u**2 + v**2) + 1e-6
        pull = 2.6 * np.exp(-((far / (2.6 * radius)) ** 2))
        across, down = across - pull * v / far, down + pull * u / far
        rings = 0.62 + 0.38 * np.cos(far / radius * 7.5)
        halo = light * np.exp(-((far / (1.35 * radius)) ** 2)) * rings
        halo = np.maximum(halo, light * smooth(0.55 * radius, 0.3 * radius, far))
        glow = np.maximum(glow, halo)
    lamp = mix((0.94, 0.62, 0.14), (1.0, 0.94, 0.62), smooth(0.45, 0.95, glow))
    colours = mix(colours, lamp, np.clip(1.25 * glow, 0, 1))
    x0, y0 = sketch.between(0.36, 0.46), sketch.between(0.30, 0.38)
    for shift, fall, turn in ((0, 0, 1.0), (0.19, 0.07, -1.0)):  # two eddies
        u, v = x - (x0 + shift), y - (y0 + fall)
        far = np.sqrt(u**2 + v**2) + 1e-6
        pull = turn * 2.4 * np.exp(-((far / 0.13) ** 2))
        across, down = across - pull * v / far, down + pull * u / far
        arms = 0.5 + 0.5 * np.cos(2 * np.arctan2(v, u) - turn * far * 60)
        colours = mix(colours, (0.70, 0.84, 0.86), arms * np.exp(-((far / 0.1) ** 2)))
    angle = np.arctan2(down, across)
    veils = (0.86, 0.93, 0.84), (0.05, 0.09, 0.36)
    accents = np.stack([mix(colours, veil, 0.7 + 0 * glow) for veil in veils], 2)
    for new, share, run, *pair in _land(sketch, horizon):
        inside = share > 0.5
        colours = mix(colours, new, share)
        angle[inside] = np.broadcast_to(run, inside.shape)[inside]
        accents[inside] = pair
    return colours, angle, accents


def _lamps(sketch):
    """The moon and the stars: place, radius, brightness."""
    yield sketch.between(0.74, 0.86), sketch.between(0.14, 0.2), 0.085, 1.0
    for place in range(6):
        x = 0.08 + 0.13 * place + sketch.between(-0.04, 0.04)
        y = sketch.between(0.07, 0.46)
        yield x, y, sketch.between(0.028, 0.048), sketch.between(0.75, 1.0)


def _land(sketch, horizon):
    """Hills, wheat and a cypress: colour, where, how it runs, and two accents."""
    size, x, y = sketch.size, sketch.x, sketch.y
    shift, roll = sketch.between(0, 6), sketch.noise(3, 4, octaves=2)
    run = -0.06 * 5 * np.cos(5 * x + shift) + 0.5 * roll
    hill = mix((0.10, 0.22, 0.42), (0.22, 0.48, 0.50), 0.5 + 0.5 * roll)
    yield hill, cover(horizon - y, size), run, (0.42, 0.66, 0.62), (0.06, 0.10, 0.34)
    field = 0.80 + 0.05 * np.sin(4 * x + shift) + 0.015 * roll
    rows = 0.5 + 0.5 * np.sin(46 * (y - field) + 5 * roll + 3 * x)
    wheat = mix((0.80, 0.52, 0.12), (0.96, 0.80, 0.30), rows)
    lean = -0.7 + 0.8 * roll + 0.6 * x
    yield wheat, cover(field - y, size), lean, (1.0, 0.92, 0.52), (0.62, 0.26, 0.10)
    up = np.clip((1.02 - y) / 0.86, 0, 1)
    sway = 0.17 + sketch.between(-0.03, 0.05) + 0.022 * np.sin(9 * y + shift)
    half = 0.105 * up**0.35 * (1 - up) ** 0.75 * (1 + 0.16 * np.sin(34 * y + 9 * x))
    flame = cover(np.abs(x - sway) - half, size)
    dark = mix((0.05, 0.12, 0.10), (0.16, 0.30, 0.14), 0.5 + 0.5 * roll)
    lick = -np.pi / 2 + 0.5 * np.sin(26 * y + 20 * x)
    yield dark, flame, lick, (0.36, 0.46, 0.16), (0.10, 0.05, 0.16)

"""Landscapes, drawn as a camera sees them, and as an impressionist paints them."""

import numpy as np
from scipy import ndimage

from gan_style.utils.checks import check_choice

from .canvas import SampleRNG, Sketch, checked, cover, finish, mix, smooth, span
from .strokes import Canvas, grid, places

# Noon, haze, late afternoon: zenith, horizon, clouds in the light and in the shade,
# and the light on the land. They stay near each other: instance norm does not see how
# bright or how blue a whole image is, so a network could not tell night from day.
_MOODS = (
    ((0.20, 0.42, 0.74), (0.70, 0.83, 0.92), (0.98, 0.98, 0.97), (0.66, 0.70, 0.78)),
    ((0.28, 0.49, 0.76), (0.80, 0.87, 0.90), (1.0, 0.98, 0.95), (0.70, 0.73, 0.80)),
    ((0.22, 0.43, 0.74), (0.82, 0.84, 0.84), (1.0, 0.95, 0.89), (0.69, 0.70, 0.78)),
)
_LAND = ((1.0, 1.0, 0.96), (1.0, 1.0, 0.98), (1.05, 0.96, 0.84))
_DEEP = ((0.10, 0.22, 0.30), (0.12, 0.26, 0.30), (0.13, 0.20, 0.30))
# Of the painting: strokes a side of the grid, length over what fits, width
_LAYERS = (11, 2.0, 0.085), (20, 1.3, 0.05), (40, 0.8, 0.026)
_DAB = np.array((0.22, 0.18, 0.10))  # how much lighter, and warmer, where the grain is


def landscape(kind, seed, size=128):
    """Draw a landscape, photographed or painted.

    The same seed is the same motif for both kinds: a true pair. The painting's strokes
    follow the forms, and their tone the photograph's grain.

    Args:
        kind: "photograph" or "painting".
        seed: integer from 0 up.
        size: side of the image in pixels, from 16 up.

    Returns:
        uint8 `(size, size, 3)`, RGB.

    Raises:
        ValueError: for another kind, seed or size.

    >>> photograph = landscape("photograph", seed=7)
    >>> painting = landscape("painting", seed=7)
    >>> photograph.shape, bool(painting.mean() > photograph.mean())
    ((128, 128, 3), True)
    """
    check_choice("landscape", "kind", kind, ("photograph", "painting"))
    seed, size = checked("landscape", seed, size)
    view = Landscape(size, 11, seed)
    if kind == "painting":
        return finish(paint_strokes(view, SampleRNG(12, seed)))
    fine = 0.016 * (SampleRNG(11, seed, 1).array(size, size) - 0.5)
    return finish(view.image + (fine + 0.06 * view.grain)[..., None])


class Landscape(Sketch):
    """A view and, for whoever paints it, how its forms run.

    `angle` is in radians from the x axis downwards, `reach` how long a stroke fits.
    `grain`, of the film, is where a painter lays on lighter dabs, or darker ones.
    """

    def __init__(self, size, *key):
        super().__init__(size, *key)
        self.reach = np.full((size, size), 0.09)
        self.mood = self.choice((0, 0, 1, 1, 2))
        self.horizon = self.between(0.44, 0.52)
        height = self.between(0.12, 0.34) * (0.5 if self.mood == 2 else 1)
        self.sun = self.between(0.12, 0.88), self.horizon - height
        self.leaves = self.noise(16, octaves=3)
        self.land = np.array(_LAND[self.mood])
        self._sky()
        self._hills()
        self.shore = self.horizon + self.between(0.04, 0.12)
        self._ground()
        self._trees()
        if self.chance(0.35):
            self._haystacks()
        if self.chance(0.45):
            self._boat()
        self._water()
        if self.chance(0.55):
            self._bank()
        if self.chance(0.30):
            side, foot = self.choice((0.06, 0.94)), self.between(1.0, 1.08)
            self._tree(side, foot, self.between(0.6, 0.85), 0.3, haze=0)
        self.grain = self.noise(24)

    def _put(self, colour, share, angle=None, reach=None, part=...):
        self.image[part] = mix(self.image[part], colour, share)
        if angle is not None:
            inside = share > 0.5
            self.angle[part][inside] = np.broadcast_to(angle, inside.shape)[inside]
            self.reach[part][inside] = reach

    def _sky(self):
        x, y = self.x, self.y
        zenith, low, bright, dim = (np.array(c) for c in _MOODS[self.mood])
        down = np.clip(y / self.horizon, 0, 1)
        image = mix(zenith * self.between(0.9, 1.1), low, down**1.4 + 0 * x)
        distance = np.sqrt((x - self.sun[0]) ** 2 + (y - self.sun[1]) ** 2)
        warm = (1.0, 0.86, 0.62) if self.mood == 2 else (1.0, 0.97, 0.88)
        image = mix(image, warm, 0.35 * np.exp(-distance / 0.16))
        field = 0.6 * self.noise(9, 3, octaves=4) + 0.7 * self.noise(6, 4, octaves=4)
        bias = self.between(-0.05, 0.25) + 0.25 * down
        share = smooth(0.05, 0.75, field + bias - 0.1)
        drop = max(1, self.size // 32)
        deeper = np.concatenate([field[drop:], field[-1:].repeat(drop, 0)]) - field
        lit = np.clip(0.62 + 0.9 * deeper + 0.35 * np.exp(-distance / 0.3), 0, 1)
        image = mix(image, mix(dim, bright, lit), 0.9 * share)
        if self.chance(0.75):
            radius = self.between(0.02, 0.035)
            soft = 0.012 if self.mood == 2 else 0.045
            disc = (1 - smooth(radius, radius + soft, distance)) * (1 - 0.6 * share)
            image = mix(image, (1.0, 0.97, 0.86), disc)
        self.image = image
        self.angle = 0.45 * self.noise(3, octaves=2) + 0.5 * (share - 0.3)
        self.haze = mix(low, bright, 0.35)

    def _hills(self):
        for far in range(self.choice((1, 2, 2, 3)), 0, -1):
            height = self.between(0.06, 0.10) * far + 0.02
            line = self.noise(1, self.choice((2, 3, 4)), octaves=5)[0]
            line = self.horizon - height * (0.45 + 0.55 * line)[None, :]
            folds = self.noise(7, 9, octaves=4)
            rock = self.colour((0.20, 0.30, 0.24), (0.36, 0.42, 0.34)) * self.land
            rock = rock * (1 + 0.35 * folds + 0.12 * self.leaves)[..., None]
            veil = 0.28 + 0.18 * far + 0.25 * np.clip((self.y - line) / 0.25, 0, 1)
            colour = mix(rock, self.haze * (0.72, 0.80, 0.95), np.clip(veil, 0, 0.9))
            lean = 0.8 * np.arctan(np.gradient(line[0]) * self.size)[None]
            self._put(colour, cover(line - self.y, self.size), lean, 0.06)

    def _ground(self):
        x, size = self.x, self.size
        grass = self.colour((0.24, 0.36, 0.12), (0.42, 0.50, 0.20))
        crop = self.choice(((0.66, 0.56, 0.26), (0.38, 0.48, 0.18), (0.52, 0.56, 0.22)))
        depth = np.clip((self.y - self.horizon) / (1 - self.horizon), 0, 1)
        vanish = self.between(0.2, 0.8)
        rows = np.sin((x - vanish) * (1 / (depth + 0.16)) * self.between(9, 15))
        strips = self.noise(12, 3, octaves=2)
        field = mix(grass, crop, smooth(-0.35, 0.35, strips + 0.9 * depth - 0.35))
        light = 0.92 + 0.09 * rows * smooth(0.05, 0.4, depth)
        light = light + 0.20 * self.leaves * (0.4 + 0.6 * depth)
        field = field * light[..., None] * self.land
        field = mix(field, self.haze * 0.9, 0.35 * np.exp(-depth / 0.12) + 0 * x)
        if self.chance(0.45):
            specks = self.noise(min(50, size // 2), min(64, size // 2))
            flower = self.land * self.choice(((0.82, 0.16, 0.10), (0.90, 0.80, 0.30)))
            share = smooth(0.42, 0.7, specks) * smooth(0.05, 0.2, depth)
            field = mix(field, flower, share)
        lean = 0.25 * self.noise(4) + np.arctan((x - vanish) * 1.6) * depth
        self._put(field, cover(self.horizon - self.y + 0 * x, size), lean, 0.05)

    def _trees(self):
        if self.chance(0.55):
            self._wood()
        poplars, count = self.chance(0.35), self.choice((1, 2, 3, 4, 5))
        x = self.between(0.0, 0.5)
        for _ in range(count):
            height = self.between(0.20, 0.32) * (1.25 if poplars else 1)
            wide = height * (self.between(0.16, 0.22) if poplars else 0.62)
            x += wide * self.between(0.7, 2.0) + (0.03 if poplars else 0)
            self._tree(x, self.shore, height, wide, haze=0.16)
            if x > 1.05:
                break

    def _wood(self):
        crowns = self.noise(1, 14, octaves=4)[0][None, :]
        reach = self.noise(1, 2)[0][None, :] + self.between(-0.2, 0.5)
        top = self.shore - (0.045 + 0.022 * crowns) * smooth(-0.1, 0.35, reach)
        lit = 0.3 + 0.35 * ((self.shore - self.y) / 0.06) + 0.4 * self.leaves
        colour = mix((0.10, 0.16, 0.09), (0.30, 0.38, 0.16), lit)
        colour = mix(colour * self.land, self.haze * (0.75, 0.82, 0.95), 0.30)
        away = np.maximum(top - self.y, self.y - self.shore)
        self._put(colour, cover(away, self.size), np.pi / 2, 0.025)

    def _tree(self, x, foot, height, wide, haze):
        size, land = self.size, self.land
        rows = span(foot - 1.25 * height, foot + 0.06 * height, size)
        columns = span(x - 0.75 * wide, x + 0.75 * wide, size)
        across, down = self.x[:, columns], self.y[rows]
        # Another part of the same leaves for every tree, mirrored to hide the seam.
        shift = int(self.between(0, 2) * size)
        places = np.roll([*range(size), *range(size)[::-1]], -shift)[:size]
        lumps = self.leaves[places[rows, None], places[columns]]
        dark = self.colour((0.07, 0.13, 0.06), (0.12, 0.18, 0.09))
        light = self.colour((0.34, 0.44, 0.14), (0.50, 0.52, 0.20))
        u = (across - x) / (wide / 2)
        v = (down - foot + 0.56 * height) / (0.50 * height)
        share = smooth(-0.05, 0.16, 0.95 - np.sqrt(u**2 + v**2) + 0.36 * lumps)
        side = np.clip(u * np.sign(self.sun[0] - x), -1, 1)
        lit = np.clip(0.5 + 0.38 * side - 0.30 * v + 0.4 * lumps, 0, 1)
        colour = mix(mix(dark, light, lit) * land, self.haze * 0.9, haze)
        trunk = np.abs(across - x) - 0.026 * height
        trunk = np.maximum(trunk, np.abs(down - foot + 0.1 * height) - 0.14 * height)
        bark, part = np.array((0.20, 0.15, 0.12)) * land, (rows, columns)
        self._put(bark, cover(trunk, size), np.pi / 2, 0.03, part)
        self._put(colour, share, np.arctan2(v, u) + np.pi / 2, 0.045, part)

    def _boat(self):
        at, tall = self.between(0.2, 0.8), self.between(0.13, 0.20)
        across, up = (self.x - at) / tall, (self.shore + 0.005 - self.y) / tall
        sail = np.abs(across - 0.10 * up) - 0.34 * (1 - up)
        sail = np.maximum(sail, np.maximum(0.16 - up, up - 1)) * tall
        light = (0.85 + 0.15 * np.sign(self.x - at) + 0 * self.y)[..., None]
        cloth = light * self.choice(((0.95, 0.93, 0.88), (0.85, 0.45, 0.25)))
        self._put(cloth, cover(sail, self.size), 1.3, 0.03)
        hull = np.abs(across) - 0.36 - 0.12 * up
        hull = np.maximum(hull, np.maximum(-up - 0.02, up - 0.12)) * tall
        self._put((0.18, 0.12, 0.10), cover(hull, self.size), 0.0, 0.03)

    def _water(self):
        x, below, size = self.x, self.y - self.shore, self.size
        near = np.clip(below / (1 - self.shore), 0, 1)
        swell = self.noise(min(36, size // 3), 5, octaves=2)
        ripple = self.noise(min(64, size // 2), 12)
        wave = (0.6 * swell + 0.5 * ripple) * (0.15 + near)
        mirrored = self.shore - below * 0.92 + 0.05 * wave
        row = np.clip((mirrored * size).astype(int), 0, size - 1)
        column = np.clip((x + 0.012 * wave) * size, 0, size - 1).astype(int)
        image, deep = self.image[row, column], np.array(_DEEP[self.mood])
        image = mix(image * 0.93, deep, 0.14 + 0.34 * near + 0.10 * wave)
        image = image * (1 + 0.10 * wave)[..., None]
        path = np.exp(-(((x - self.sun[0]) / (0.035 + 0.07 * near)) ** 2))
        glitter = smooth(0.1, 0.6, ripple + 0.4 * swell) * path
        image = mix(image, (1.0, 0.93, 0.78), 0.5 * glitter)
        self._put(image, cover(0 * x - below, size), 0.10 * wave, 0.075)

    def _bank(self):
        side, low = self.choice((-1, 1)), self.between(0.90, 1.0)
        line = low - 0.14 * side * (self.x - 0.5)
        line = line - 0.03 * self.noise(1, 6, octaves=4)[0][None, :]
        reeds = self.noise(8, min(48, self.size // 2))
        tufts = cover(line - self.y - 0.03 * np.clip(reeds, 0, 1), self.size)
        colour = self.colour((0.20, 0.30, 0.10), (0.36, 0.42, 0.16)) * self.land
        light = 0.85 + 0.35 * reeds + 0.25 * self.leaves
        self._put(colour * light[..., None], tufts, -1.25 + 0.3 * reeds, 0.04)

    def _haystacks(self):
        for _ in range(self.choice((1, 2))):
            at, tall = self.between(0.12, 0.88), self.between(0.10, 0.16)
            foot = self.shore - self.between(0.01, 0.025)
            u, up = (self.x - at) / tall, (foot - self.y) / tall
            outline = 0.56 * np.clip(1 - up, 0, 1) ** 0.5 * (1 - 0.12 * (1 - up) ** 2)
            away = np.maximum(np.abs(u) - outline, np.maximum(-up - 0.03, up - 1))
            side = np.sign(self.sun[0] - at)
            shade = np.exp(-(((u + 0.5 * side) / 0.75) ** 2) - (up / 0.16) ** 2)
            self._put(self.image * (0.45, 0.48, 0.60), 0.8 * shade)
            lit = 0.5 + 0.55 * u * side + 0.12 * (up > 0.5) + 0.25 * self.leaves
            lean = np.where(up > 0.45, 0.9 * np.sign(u), 1.5)
            straw = mix((0.30, 0.22, 0.14), (0.86, 0.68, 0.36), np.clip(lit, 0, 1))
            self._put(straw * self.land, cover(away * tall, self.size), lean, 0.03)


def _impressionist_palette(image):
    """Repaint without black: violet shadows, yellow greens, mauves, warm lights."""
    red, green, blue = np.moveaxis(image, -1, 0)
    light = image @ np.array([0.30, 0.59, 0.11])
    lifted = 0.23 + 0.68 * np.clip(light, 0, 1) ** 0.85
    colour = lifted[..., None] + 0.95 * (image - light[..., None])
    leafy = np.clip(green - np.maximum(0.9 * red, blue), 0, 0.3)
    middle = np.exp(-(((light - 0.60) / 0.12) ** 2))
    for share, shift in (
        (smooth(0.46, 0.06, light), (0.18, -0.08, 0.31)),
        (leafy, (0.68, 0.75, -1.05)),
        (np.clip(blue - red, 0, 0.5), (0.32, 0.66, -0.12)),
        (smooth(0.25, 0.08, abs(blue - red)) * middle, (0.02, -0.05, 0.05)),
        (smooth(0.66, 0.90, light), (0.09, 0.0, -0.34)),
    ):
        colour += share[..., None] * np.array(shift)
    return colour


def paint_strokes(motif, rng):
    """Paint a `Landscape` in strokes; returns float `(size, size, 3)`."""
    size = len(motif.image)
    colours = _impressionist_palette(motif.image)
    wash = ndimage.gaussian_filter(colours, 0.012 * size, axes=(0, 1))
    canvas = Canvas(size, mix(wash, (0.90, 0.86, 0.76), np.full((size, size), 0.3)))
    for side, stretch, width in _LAYERS:
        seen = ndimage.gaussian_filter(colours, 0.35 * width * size, axes=(0, 1))
        jitter = rng.array(5, side**2)
        column, row = grid(side, *jitter[:2])
        at = places(size, row, column)
        length = motif.reach[at] * stretch * (0.7 + 0.6 * jitter[2])
        tone = _DAB * motif.grain[at][:, None] + 0.035 * (jitter[4, :, None] - 0.5)
        column = column - 0.5 * length * np.cos(motif.angle[at])
        row = row - 0.5 * length * np.sin(motif.angle[at])
        strokes = column, row, length, width * (0.75 + 0.5 * jitter[3]), seen[at] + tone
        # Short strokes on long ones: a painter ends with the detail.
        for some in np.array_split(np.argsort(-length), 4):
            canvas.lay(rng, motif.angle, *(part[some] for part in strokes), 0.11)
    return canvas.image(relief=0.08)

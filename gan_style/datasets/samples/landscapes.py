"""Landscapes, drawn: skies, hills, trees, water and fields, as a camera sees them."""

from dataclasses import dataclass

import numpy as np

from gan_style.datasets.samples.canvas import (
    Numbers,
    cover,
    finish,
    mix,
    noise,
    pixels,
    smooth,
)
from gan_style.datasets.samples.impressionism import paint_motif

KINDS = ("photograph", "painting")
_SCENE, _BRUSH = 11, 12


@dataclass
class Motif:
    """A view and, for whoever paints it, how its forms run."""

    image: np.ndarray
    angle: np.ndarray  # radians from the x axis downwards
    reach: np.ndarray  # how long a stroke fits, in sides of the image


def draw_landscape(kind, seed, size):
    """The image of one seed, uint8 `(size, size, 3)`; see `samples.landscape`."""
    motif = _motif(Numbers(_SCENE, seed), size)
    if kind == "painting":
        return finish(paint_motif(motif, Numbers(_BRUSH, seed)))
    grain = 0.016 * (Numbers(_SCENE, seed, 1).array(size, size) - 0.5)
    return finish(motif.image + grain[..., None])


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


def _motif(numbers, size):
    mood = numbers.choice((0, 0, 1, 1, 2))
    horizon = numbers.between(0.44, 0.52)
    height = numbers.between(0.12, 0.34) * (0.5 if mood == 2 else 1)
    sun = (numbers.between(0.12, 0.88), horizon - height)
    motif = Motif(
        np.zeros((size, size, 3)), np.zeros((size, size)), np.full((size, size), 0.09)
    )
    leaves = noise(numbers, size, 16, octaves=3)
    haze = _sky(numbers, motif, mood, horizon, sun, size)
    land = np.array(_LAND[mood])
    _hills(numbers, motif, horizon, haze, land, leaves, size)
    shore = horizon + numbers.between(0.04, 0.12)
    _ground(numbers, motif, horizon, haze, land, leaves, size)
    _trees(numbers, motif, shore, haze, land, leaves, sun, size)
    if numbers.chance(0.35):
        _haystacks(numbers, motif, shore, land, leaves, sun, size)
    if numbers.chance(0.45):
        _boat(numbers, motif, shore, size)
    _water(numbers, motif, shore, sun, mood, size)
    if numbers.chance(0.55):
        _bank(numbers, motif, land, leaves, size)
    if numbers.chance(0.30):
        side = numbers.choice((0.06, 0.94))
        foot = numbers.between(1.0, 1.08)
        height = numbers.between(0.6, 0.85)
        _tree(numbers, motif, side, foot, height, 0.3, land, leaves, sun, size)
    return motif


def _put(motif, colour, share, angle=None, reach=None):
    motif.image[:] = mix(motif.image, colour, share)
    inside = share > 0.5
    if angle is not None:
        motif.angle[inside] = np.broadcast_to(angle, inside.shape)[inside]
    if reach is not None:
        motif.reach[inside] = reach


def _sky(numbers, motif, mood, horizon, sun, size):
    x, y = pixels(size)
    zenith, low, bright, dim = (np.array(c) for c in _MOODS[mood])
    zenith = zenith * numbers.between(0.9, 1.1)
    image = mix(zenith, low, np.clip(y / horizon, 0, 1) ** 1.4 + 0 * x)
    distance = np.sqrt((x - sun[0]) ** 2 + (y - sun[1]) ** 2)
    warm = np.array((1.0, 0.86, 0.62) if mood == 2 else (1.0, 0.97, 0.88))
    image = mix(image, warm, 0.35 * np.exp(-distance / 0.16))
    cells = noise(numbers, size, 9, 3, octaves=4)
    puffs = noise(numbers, size, 6, 4, octaves=4)
    field = 0.6 * cells + 0.7 * puffs
    bias = numbers.between(-0.05, 0.25) + 0.25 * np.clip(y / horizon, 0, 1)
    share = smooth(0.05, 0.75, field + bias - 0.1)
    drop = max(1, size // 32)
    lower = np.concatenate([field[drop:], field[-1:].repeat(drop, 0)])
    lit = np.clip(0.62 + 0.9 * (lower - field) + 0.35 * np.exp(-distance / 0.3), 0, 1)
    image = mix(image, mix(dim, bright, lit), 0.9 * share)
    if numbers.chance(0.75):
        radius = numbers.between(0.02, 0.035)
        soft = 0.012 if mood == 2 else 0.045
        disc = (1 - smooth(radius, radius + soft, distance)) * (1 - 0.6 * share)
        image = mix(image, (1.0, 0.97, 0.86), disc)
    motif.image[:] = image
    motif.angle[:] = 0.45 * noise(numbers, size, 3, octaves=2) + 0.5 * (share - 0.3)
    return mix(low, bright, 0.35)


def _ridge(numbers, size, base, height, cells):
    line = noise(numbers, size, 1, cells, octaves=5)[0]
    return base - height * (0.45 + 0.55 * line)[None, :]


def _hills(numbers, motif, horizon, haze, land, leaves, size):
    _, y = pixels(size)
    for far in range(numbers.choice((1, 2, 2, 3)), 0, -1):
        height = numbers.between(0.06, 0.10) * far + 0.02
        line = _ridge(numbers, size, horizon, height, numbers.choice((2, 3, 4)))
        folds = noise(numbers, size, 7, 9, octaves=4)
        rock = numbers.colour((0.20, 0.30, 0.24), (0.36, 0.42, 0.34)) * land
        rock = rock * (1 + 0.35 * folds + 0.12 * leaves)[..., None]
        veil = 0.28 + 0.18 * far + 0.25 * np.clip((y - line) / 0.25, 0, 1)
        colour = mix(rock, haze * (0.72, 0.80, 0.95), np.clip(veil, 0, 0.9))
        slope = np.gradient(line[0]) * size
        _put(motif, colour, cover(line - y, size), 0.8 * np.arctan(slope)[None], 0.06)


def _ground(numbers, motif, horizon, haze, land, leaves, size):
    x, y = pixels(size)
    grass = numbers.colour((0.24, 0.36, 0.12), (0.42, 0.50, 0.20))
    crop = np.array(
        numbers.choice(((0.66, 0.56, 0.26), (0.38, 0.48, 0.18), (0.52, 0.56, 0.22)))
    )
    depth = np.clip((y - horizon) / (1 - horizon), 0, 1)
    near = 1 / (depth + 0.16)
    vanish = numbers.between(0.2, 0.8)
    rows = np.sin((x - vanish) * near * numbers.between(9, 15))
    strips = noise(numbers, size, 12, 3, octaves=2)
    field = mix(grass, crop, smooth(-0.35, 0.35, strips + 0.9 * depth - 0.35))
    light = (
        0.92
        + 0.09 * rows * smooth(0.05, 0.4, depth)
        + 0.20 * leaves * (0.4 + 0.6 * depth)
    )
    field = field * light[..., None] * land
    field = mix(field, haze * 0.9, 0.35 * np.exp(-depth / 0.12) + 0 * x)
    if numbers.chance(0.45):
        specks = noise(numbers, size, min(50, size // 2), min(64, size // 2))
        flower = np.array(numbers.choice(((0.82, 0.16, 0.10), (0.90, 0.80, 0.30))))
        share = smooth(0.42, 0.7, specks) * smooth(0.05, 0.2, depth)
        field = mix(field, flower * land, share)
    lean = 0.25 * noise(numbers, size, 4) + np.arctan((x - vanish) * 1.6) * depth
    _put(motif, field, cover(horizon - y + 0 * x, size), lean, 0.05)


def _trees(numbers, motif, foot, haze, land, leaves, sun, size):
    if numbers.chance(0.55):
        _wood(numbers, motif, foot, haze, land, leaves, size)
    poplars = numbers.chance(0.35)
    count = numbers.choice((1, 2, 3, 4, 5))
    x = numbers.between(0.0, 0.5)
    for _ in range(count):
        height = numbers.between(0.20, 0.32) * (1.25 if poplars else 1)
        wide = height * (numbers.between(0.16, 0.22) if poplars else 0.62)
        x += wide * numbers.between(0.7, 2.0) + (0.03 if poplars else 0)
        _tree(numbers, motif, x, foot, height, wide, land, leaves, sun, size, haze)
        if x > 1.05:
            break


def _wood(numbers, motif, foot, haze, land, leaves, size):
    """The edge of a wood, far away."""
    _, y = pixels(size)
    crowns = noise(numbers, size, 1, 14, octaves=4)[0][None, :]
    reach = noise(numbers, size, 1, 2)[0][None, :] + numbers.between(-0.2, 0.5)
    top = foot - (0.045 + 0.022 * crowns) * smooth(-0.1, 0.35, reach)
    up = (foot - y) / 0.06
    colour = mix((0.10, 0.16, 0.09), (0.30, 0.38, 0.16), 0.3 + 0.35 * up + 0.4 * leaves)
    colour = mix(colour * land, haze * (0.75, 0.82, 0.95), 0.30)
    _put(motif, colour, cover(np.maximum(top - y, y - foot), size), np.pi / 2, 0.025)


def _tree(numbers, motif, x, foot, height, wide, land, leaves, sun, size, haze=None):
    across, down = pixels(size)
    rows, columns = (
        slice(max(0, int(low * size)), max(0, int(high * size) + 1))
        for low, high in (
            (foot - 1.25 * height, foot + 0.06 * height),
            (x - 0.75 * wide, x + 0.75 * wide),
        )
    )
    across, down = across[:, columns], down[rows]
    # Another part of the same leaves for every tree; mirrored, so that it has no seam.
    turn = numbers.between(0, 2)
    places = (np.arange(size) + int(turn * size)) % (2 * size)
    places = np.where(places < size, places, 2 * size - 1 - places)
    lumps = leaves[places[rows, None], places[columns]]
    dark = numbers.colour((0.07, 0.13, 0.06), (0.12, 0.18, 0.09))
    light = numbers.colour((0.34, 0.44, 0.14), (0.50, 0.52, 0.20))
    u = (across - x) / (wide / 2)
    v = (down - foot + 0.56 * height) / (0.50 * height)
    share = smooth(-0.05, 0.16, 0.95 - np.sqrt(u**2 + v**2) + 0.36 * lumps)
    side = np.clip(u * np.sign(sun[0] - x), -1, 1)
    lit = np.clip(0.5 + 0.38 * side - 0.30 * v + 0.4 * lumps, 0, 1)
    colour = mix(dark, light, lit) * land
    if haze is not None:
        colour += 0.16 * (haze * 0.9 - colour)
    trunk = np.abs(across - x) - 0.026 * height
    trunk = np.maximum(trunk, np.abs(down - foot + 0.1 * height) - 0.14 * height)
    part = Motif(*(grid[rows, columns] for grid in vars(motif).values()))
    _put(part, np.array((0.20, 0.15, 0.12)) * land, cover(trunk, size), np.pi / 2, 0.03)
    _put(part, colour, share, np.arctan2(v, u) + np.pi / 2, 0.045)


def _boat(numbers, motif, shore, size):
    x, y = pixels(size)
    at, tall = numbers.between(0.2, 0.8), numbers.between(0.13, 0.20)
    up = (shore + 0.005 - y) / tall
    sail = np.abs((x - at) / tall - 0.10 * up) - 0.34 * (1 - up)
    sail = np.maximum(sail, np.maximum(0.16 - up, up - 1)) * tall
    white = numbers.choice(((0.95, 0.93, 0.88), (0.85, 0.45, 0.25)))
    tone = 0.85 + 0.15 * np.sign(x - at)
    cloth = np.array(white) * (tone + 0 * y)[..., None]
    _put(motif, cloth, cover(sail, size), 1.3, 0.03)
    hull = np.abs((x - at) / tall) - 0.36 - 0.12 * up
    hull = np.maximum(hull, np.maximum(-up - 0.02, up - 0.12)) * tall
    _put(motif, (0.18, 0.12, 0.10), cover(hull, size), 0.0, 0.03)


def _water(numbers, motif, shore, sun, mood, size):
    x, y = pixels(size)
    near = np.clip((y - shore) / (1 - shore), 0, 1)
    swell = noise(numbers, size, min(36, size // 3), 5, octaves=2)
    ripple = noise(numbers, size, min(64, size // 2), 12)
    wave = (0.6 * swell + 0.5 * ripple) * (0.15 + near)
    mirrored = shore - (y - shore) * 0.92 + 0.05 * wave
    row = np.clip((mirrored * size).astype(int), 0, size - 1)
    column = np.clip((x + 0.012 * wave) * size, 0, size - 1).astype(int)
    image = motif.image[row, column]
    deep = np.array(_DEEP[mood])
    image = mix(image * 0.93, deep, 0.14 + 0.34 * near + 0.10 * wave)
    image = image * (1 + 0.10 * wave)[..., None]
    path = np.exp(-(((x - sun[0]) / (0.035 + 0.07 * near)) ** 2))
    glitter = smooth(0.1, 0.6, ripple + 0.4 * swell) * path
    image = mix(image, (1.0, 0.93, 0.78), 0.5 * glitter)
    share = cover(shore - y + 0 * x, size)
    _put(motif, image, share, 0.10 * wave, 0.075)


def _bank(numbers, motif, land, leaves, size):
    x, y = pixels(size)
    side = numbers.choice((-1, 1))
    line = numbers.between(0.90, 1.0) - 0.14 * side * (x - 0.5)
    line = line - 0.03 * noise(numbers, size, 1, 6, octaves=4)[0][None, :]
    reeds = noise(numbers, size, 8, min(48, size // 2))
    tufts = cover(line - y - 0.03 * np.clip(reeds, 0, 1), size)
    colour = numbers.colour((0.20, 0.30, 0.10), (0.36, 0.42, 0.16)) * land
    light = 0.85 + 0.35 * reeds + 0.25 * leaves
    _put(motif, colour * light[..., None], tufts, -1.25 + 0.3 * reeds, 0.04)


def _haystacks(numbers, motif, shore, land, leaves, sun, size):
    x, y = pixels(size)
    for _ in range(numbers.choice((1, 2))):
        at, tall = numbers.between(0.12, 0.88), numbers.between(0.10, 0.16)
        foot = shore - numbers.between(0.01, 0.025)
        u, up = (x - at) / tall, (foot - y) / tall
        outline = 0.56 * np.clip(1 - up, 0, 1) ** 0.5 * (1 - 0.12 * (1 - up) ** 2)
        away = np.maximum(np.abs(u) - outline, np.maximum(-up - 0.03, up - 1)) * tall
        side = np.sign(sun[0] - at)
        shade = np.exp(-(((u + 0.5 * side) / 0.75) ** 2) - (up / 0.16) ** 2)
        _put(motif, motif.image * (0.45, 0.48, 0.60), 0.8 * shade)
        lit = np.clip(0.5 + 0.55 * u * side + 0.12 * (up > 0.5) + 0.25 * leaves, 0, 1)
        lean = np.where(up > 0.45, 0.9 * np.sign(u), 1.5)
        straw = mix((0.30, 0.22, 0.14), (0.86, 0.68, 0.36), lit) * land
        _put(
            motif,
            straw,
            cover(away, size),
            lean,
            0.03,
        )

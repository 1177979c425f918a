"""The skins of drawn apples and oranges: colours, pores, and the light on them."""

import numpy as np
from scipy import ndimage

from .canvas import cover, lookup, mix, smooth

_PORE, _FINE = 4, 44.0  # entries of a table to each pore, and to a radian


def _sphere(normal, pole):
    """Angle from the pole, direction away from it, and longitude."""
    towards = np.clip(normal @ pole, -1, 1)
    angle = np.arccos(towards)
    away = towards[..., None] * normal - pole
    away /= np.maximum(np.sin(angle), 1e-3)[..., None]
    side = np.array([0.0, pole[2], -pole[1]])
    return angle, away, np.arctan2(normal[..., 0], -(normal @ side))


def _unit(normal):
    return normal / np.sqrt((normal**2).sum(-1, keepdims=True))


def _dent(normal, angle, away, depth, width):
    """Normals of a ball with a dent at its pole."""
    pit = depth * np.exp(-((angle / width) ** 2))
    slope = 2 * angle / width**2 * pit
    normal = normal * (1 - pit)[..., None] - slope[..., None] * away
    return _unit(normal)


def _shade(normal, lamp, up, scene, gloss):
    """Light that falls on a surface, and light that it mirrors."""
    direct = np.clip(0.12 + 0.88 * (normal @ lamp), 0, None)
    sky = 0.5 + 0.5 * (normal @ up)
    # Where the fruit stands, little light gets in.
    rest = 0.38 + 0.62 * smooth(-1.0, -0.35, normal @ up)
    light = 0.92 * direct[..., None] + 0.34 * sky[..., None]
    light = light + 0.22 * (1 - sky[..., None]) * scene.bounce
    half = lamp + np.array([0.0, 0.0, 1.0])
    half /= np.sqrt((half**2).sum())
    mirror = np.clip(normal @ half, 0, 1)
    shine = sum(weight * mirror**power for power, weight in gloss)
    rim = 0.10 * (1 - np.clip(normal[..., 2], 0, 1)) ** 3 * sky
    return light * rest[..., None], (shine + rim)[..., None]


def pores(rng, count=24):
    """How deep a skin is at each entry of a table: round pores, about 1 at most."""
    depth = np.zeros((count, _PORE, count, _PORE))
    rows, columns = np.indices((count, count))
    down, right = (_PORE * rng.array(2, count, count)).astype(int)
    depth[rows, down, columns, right] = 0.3 + 0.7 * rng.array(count, count)
    depth = depth.reshape(2 * (count * _PORE,))
    return 2 * np.pi * ndimage.gaussian_filter(depth, 1.0, mode="wrap")


def _relief(depths, normal):
    """How deep the skin is at each pixel, and how that tilts its normals."""
    across, down = (_FINE * np.arcsin(np.clip(normal[..., i], -1, 1)) for i in (0, 1))
    depth = lookup(depths, down, across)
    right = lookup(depths, down, across + 1) - depth
    below = lookup(depths, down + 1, across) - depth
    return depth, np.stack([right, below, np.zeros_like(depth)], -1)


def apple_skin(normal, pole, lamp, up, scene, skin, depths, scale):
    """The colours of an apple under its light, for each pixel's normal."""
    angle, away, around = _sphere(normal, pole)
    turns = around / (2 * np.pi)
    red = skin.colour((0.68, 0.035, 0.05), (0.84, 0.09, 0.09))
    deep = red * np.array([0.62, 0.4, 0.55])
    ground = skin.colour((0.80, 0.66, 0.20), (0.90, 0.78, 0.32))
    streaks = lookup(skin.array(40, 4), turns * 40, angle * 1.2)
    streaks = 0.6 * streaks + 0.4 * lookup(skin.array(90, 5), turns * 90, angle * 1.6)
    blush = lookup(skin.array(4, 3), turns * 4, angle * 0.8)
    pale = smooth(0.58, 1.12, 0.62 * blush + 0.62 * streaks)
    colour = mix(mix(red, deep, 0.7 * streaks), ground, 0.55 * pale)
    ring = np.exp(-((angle / 0.40) ** 2))
    colour = mix(colour, (0.60, 0.56, 0.16), 0.75 * ring * (0.5 + 0.5 * streaks))
    dots, tilt = _relief(depths, normal)
    colour = mix(colour, (0.40, 0.17, 0.07), 0.45 * smooth(0.35, 0.9, dots))
    normal = _unit(_dent(normal, angle, away, 0.30, 0.36) + 0.28 * tilt)
    light, shine = _shade(normal, lamp, up, scene, ((70, 0.75), (9, 0.13)))
    pit = 1 - 0.62 * np.exp(-((angle / 0.2) ** 2))
    return (colour * light * pit[..., None] + shine * pit[..., None]) * scene.warmth


def orange_skin(normal, pole, lamp, up, scene, skin, depths, scale):
    """The colours of an orange under its light, for each pixel's normal."""
    angle, away, around = _sphere(normal, pole)
    peel = skin.colour((0.94, 0.43, 0.02), (0.98, 0.50, 0.05))
    across, down = (np.arcsin(np.clip(normal[..., i], -1, 1)) for i in (0, 1))
    spots, tilt = _relief(depths, normal)
    patches = lookup(skin.array(6, 6), down * 2, across * 2)
    light = 1 + 0.05 * (patches - 0.5) - 0.25 * smooth(0.3, 0.9, spots)
    colour = peel * light[..., None]
    colour = mix(colour, (0.90, 0.62, 0.10), 0.45 * np.exp(-((angle / 0.30) ** 2)))
    wrinkle = 0.5 + 0.5 * np.cos(11 * around)
    near = np.exp(-(((angle - 0.24) / 0.12) ** 2))
    colour = colour * (1 - 0.16 * wrinkle * near)[..., None]
    normal = _unit(_dent(normal, angle, away, 0.05, 0.24) + 0.42 * tilt)
    light, shine = _shade(normal, lamp, up, scene, ((22, 0.30), (6, 0.10)))
    body = colour * light + shine
    star = 0.115 * (1 + 0.55 * np.cos(5 * around))
    body = mix(body, np.array((0.36, 0.45, 0.17)) * light, cover(angle - star, scale))
    knob = np.array((0.62, 0.56, 0.36)) * light
    return mix(body, knob, cover(angle - 0.05, scale)) * scene.warmth

"""The skins of drawn apples and oranges: colours, pores, and the light on them."""

import numpy as np
from scipy import ndimage

from .canvas import cover, lookup, mix, smooth

_PORE, _FINE = 4, 44.0  # entries of a table to each pore, and to a radian


def pores(rng, count=24):
    """How deep a skin is at each entry of a table: round pores, about 1 at most."""
    depth = np.zeros((count, _PORE, count, _PORE))
    rows, columns = np.indices((count, count))
    down, right = (_PORE * rng.array(2, count, count)).astype(int)
    depth[rows, down, columns, right] = 0.3 + 0.7 * rng.array(count, count)
    depth = depth.reshape(2 * (count * _PORE,))
    return 2 * np.pi * ndimage.gaussian_filter(depth, 1.0, mode="wrap")


class _Surface:
    """A fruit, seen: where on it each pixel lies, and the light there.

    `dent` is depth and width of the pit at its pole, `rough` how far pores tilt it, and
    `gloss` powers and weights of what it mirrors.
    """

    def __init__(self, normal, pole, lamp, up, bounce, depths, dent, rough, gloss):
        towards = np.clip(normal @ pole, -1, 1)
        self.angle = np.arccos(towards)  # from the pole
        away = towards[..., None] * normal - pole
        away /= np.maximum(np.sin(self.angle), 1e-3)[..., None]
        side = np.array([0.0, pole[2], -pole[1]])
        self.longitude = np.arctan2(normal[..., 0], -(normal @ side))
        self.across, self.down = (
            np.arcsin(np.clip(normal[..., i], -1, 1)) for i in (0, 1)
        )
        across, down = _FINE * self.across, _FINE * self.down
        self.pores = depth = lookup(depths, down, across)
        right = lookup(depths, down, across + 1) - depth
        below = lookup(depths, down + 1, across) - depth
        tilt = np.stack([right, below, np.zeros_like(depth)], -1)
        depth, width = dent
        pit = depth * np.exp(-((self.angle / width) ** 2))
        slope = 2 * self.angle / width**2 * pit
        normal = _unit(normal * (1 - pit)[..., None] - slope[..., None] * away)
        normal = _unit(normal + rough * tilt)
        direct = np.clip(0.12 + 0.88 * (normal @ lamp), 0, None)
        sky = 0.5 + 0.5 * (normal @ up)
        # Where the fruit stands, little light gets in.
        rest = 0.38 + 0.62 * smooth(-1.0, -0.35, normal @ up)
        light = 0.92 * direct[..., None] + 0.34 * sky[..., None]
        light = light + 0.22 * (1 - sky[..., None]) * bounce
        mirror = np.clip(normal @ _unit(lamp + np.array([0.0, 0.0, 1.0])), 0, 1)
        shine = sum(weight * mirror**power for power, weight in gloss)
        rim = 0.10 * (1 - np.clip(normal[..., 2], 0, 1)) ** 3 * sky
        self.light, self.shine = light * rest[..., None], (shine + rim)[..., None]


def _unit(vectors):
    return vectors / np.sqrt((vectors**2).sum(-1, keepdims=True))


def apple_skin(skin, scale, *view):
    """The colours of an apple under its light, for each pixel's normal."""
    seen = _Surface(*view, (0.30, 0.36), 0.28, ((70, 0.75), (9, 0.13)))
    angle, turns = seen.angle, seen.longitude / (2 * np.pi)
    red = skin.colour((0.68, 0.035, 0.05), (0.84, 0.09, 0.09))
    ground = skin.colour((0.80, 0.66, 0.20), (0.90, 0.78, 0.32))
    streaks = lookup(skin.array(40, 4), turns * 40, angle * 1.2)
    streaks = 0.6 * streaks + 0.4 * lookup(skin.array(90, 5), turns * 90, angle * 1.6)
    blush = lookup(skin.array(4, 3), turns * 4, angle * 0.8)
    pale = smooth(0.58, 1.12, 0.62 * blush + 0.62 * streaks)
    red = mix(red, red * (0.62, 0.4, 0.55), 0.7 * streaks)
    colour = mix(red, ground, 0.55 * pale)
    ring = np.exp(-((angle / 0.40) ** 2))
    colour = mix(colour, (0.60, 0.56, 0.16), 0.75 * ring * (0.5 + 0.5 * streaks))
    colour = mix(colour, (0.40, 0.17, 0.07), 0.45 * smooth(0.35, 0.9, seen.pores))
    pit = (1 - 0.62 * np.exp(-((angle / 0.2) ** 2)))[..., None]
    return colour * seen.light * pit + seen.shine * pit


def orange_skin(skin, scale, *view):
    """The colours of an orange under its light, for each pixel's normal."""
    seen = _Surface(*view, (0.05, 0.24), 0.42, ((22, 0.30), (6, 0.10)))
    angle, around = seen.angle, seen.longitude
    peel = skin.colour((0.94, 0.43, 0.02), (0.98, 0.50, 0.05))
    patches = lookup(skin.array(6, 6), seen.down * 2, seen.across * 2)
    light = 1 + 0.05 * (patches - 0.5) - 0.25 * smooth(0.3, 0.9, seen.pores)
    colour = peel * light[..., None]
    colour = mix(colour, (0.90, 0.62, 0.10), 0.45 * np.exp(-((angle / 0.30) ** 2)))
    wrinkle = 0.5 + 0.5 * np.cos(11 * around)
    near = np.exp(-(((angle - 0.24) / 0.12) ** 2))
    colour = colour * (1 - 0.16 * wrinkle * near)[..., None]
    body = colour * seen.light + seen.shine
    star = 0.115 * (1 + 0.55 * np.cos(5 * around))
    body = mix(body, seen.light * (0.36, 0.45, 0.17), cover(angle - star, scale))
    return mix(body, seen.light * (0.62, 0.56, 0.36), cover(angle - 0.05, scale))

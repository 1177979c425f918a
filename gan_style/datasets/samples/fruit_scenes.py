"""Apples and oranges, drawn: one scene of a seed, filled with either fruit."""

from collections import namedtuple

import numpy as np
from scipy import ndimage

from gan_style.utils.checks import check_choice

from .canvas import SampleRNG, Sketch, checked, cover, finish, lookup, mix, smooth, span

_TABLES = ("_wood", "_wood", "_cloth", "_cloth", "_stone", "_plain")
_WALLS = (
    ((0.70, 0.68, 0.64), (0.78, 0.76, 0.72)),
    ((0.62, 0.66, 0.70), (0.69, 0.73, 0.78)),
    ((0.62, 0.66, 0.60), (0.69, 0.73, 0.66)),
    ((0.58, 0.59, 0.61), (0.66, 0.67, 0.69)),
    ((0.66, 0.63, 0.67), (0.73, 0.70, 0.74)),
)
_THREADS = np.array([[30, 40, 56], [36, 50, 44], [42, 44, 50], [34, 48, 56]]) / 100
_PORE, _FINE = 4, 44.0  # entries of a skin's table to each pore, and to a radian

# One fruit's place and attitude, in sides of the image and radians: it rolls to the
# right, pitches towards the viewer, and its height over its width is `squeeze`.
Fruit = namedtuple("Fruit", "x y radius roll pitch squeeze leaf")


def fruit(kind, seed, size=128):
    """Draw apples or oranges on a table.

    The same seed is the same scene for both kinds, with the same light, places and
    sizes, and even with the same pores, deeper in an orange's skin: a true pair, which
    tells how well an unpaired method found the mapping.

    Args:
        kind: "apple" or "orange".
        seed: integer from 0 up.
        size: side of the image in pixels, from 16 up.

    Returns:
        uint8 `(size, size, 3)`, RGB.

    Raises:
        ValueError: for another kind, seed or size.

    >>> apple, orange = fruit("apple", seed=7), fruit("orange", seed=7)
    >>> apple.shape, bool((apple[0] == orange[0]).all())
    ((128, 128, 3), True)
    """
    kinds = {"apple": 2, "orange": 3}
    skin = kinds[check_choice("fruit", "kind", kind, kinds)]
    seed, size = checked("fruit", seed, size)
    scene = Scene(size, 1, seed)
    grain = 0.008 * (scene.array(size, size) - 0.5)[..., None]
    skin, holes = SampleRNG(skin, seed), SampleRNG(4, seed)
    for one in scene.fruits:
        scene.shadow(one)
    for one in scene.fruits:
        _paint(scene, kind, one, skin, _pores(holes))
    return finish(scene.image + grain)


class Scene(Sketch):
    """All that apples and oranges of one seed share: light, places, the empty table."""

    def __init__(self, size, *key):
        super().__init__(size, *key)
        side = self.choice((-1, 1))
        light = [self.between(*b) for b in ((0.25, 0.75), (-0.95, -0.6), (0.55, 0.9))]
        self.light = _unit(np.array(light) * (side, 1, 1))  # right, down, to the viewer
        self.warmth = self.colour((0.98, 0.95, 0.88), (1.06, 1.02, 1.0))
        count = self.choice((1, 1, 1, 2, 2, 3, 3, 4))
        self.horizon = self.between(0.18, 0.42)
        fruits = [self._fruit(place, count) for place in range(count)]
        self.fruits = sorted(fruits, key=lambda fruit: fruit.y + fruit.radius)
        self.image = self._background()

    def _fruit(self, place, count):
        largest, room = {1: 0.44, 2: 0.33, 3: 0.285, 4: 0.255}[count], 1.0 / count
        radius = self.between(0.82, 1.0) * largest
        x = (place + 0.5) * room + self.between(-0.35, 0.35) * (1 - count * room / 2)
        if count > 1:
            x = 0.5 + (x - 0.5) * 0.35 + (place - (count - 1) / 2) * room * 0.62
            low = self.between(0.80, 0.93)
        else:
            x, low = 0.5 + self.between(-0.12, 0.12), self.between(0.89, 0.96)
        if count > 2:
            low = (0.93 if place % 2 else 0.74) + self.between(-0.04, 0.03)
        leaf = self.chance(0.3) and (self.choice((-1, 1)), self.between(0.5, 0.75))
        x = float(np.clip(x, radius + 0.02, 0.98 - radius))
        roll, pitch = self.between(-0.45, 0.45), self.between(0.3, 0.85)
        squeeze = self.between(0.92, 0.99)
        return Fruit(x, low - radius, radius, roll, pitch, squeeze, leaf)

    def _background(self):
        x, y = self.x, self.y
        wall, table = self.choice(_WALLS), self.choice(_TABLES)
        wall, side = self.colour(*wall), np.sign(self.light[0])
        fall = 1.04 - 0.22 * np.abs(x - (0.5 + 0.5 * side)) - 0.10 * y
        image = wall * (fall + 0.035 * self.noise(5, octaves=4))[..., None]
        surface, self.bounce = getattr(self, table)()
        depth = (y - self.horizon) / (1 - self.horizon)
        glow = 0.92 + 0.18 * np.clip(depth, 0, 1) - 0.14 * np.abs(x - 0.5 - 0.35 * side)
        surface = surface * glow[..., None]
        edge = smooth(-0.008, 0.008, y - self.horizon + 0 * x)
        dark = 0.25 * np.exp(-(((y - self.horizon) / 0.05) ** 2))
        return mix(image * (1 - dark)[..., None], surface, edge) * self.warmth

    def _floor(self):
        """Across and along the table, in perspective."""
        near = np.maximum(self.y - self.horizon, 0) + 0.22
        return (self.x - 0.5) / near * 0.6, 0.6 / near + 0 * self.x

    def _wood(self):
        across, along = self._floor()
        dark = self.colour((0.38, 0.26, 0.17), (0.48, 0.35, 0.25))
        light = self.colour((0.66, 0.50, 0.36), (0.80, 0.65, 0.50))
        grain, plank = self.array(96, 5), np.floor(along * 3.1)
        tone = lookup(self.array(64, 1), plank, 0 * plank)
        lines = lookup(grain, along * 34 + 9 * tone, across * 2 + 7 * tone)
        fine = lookup(grain, along * 90, across * 3)
        share = 0.25 + 0.4 * lines + 0.2 * fine + 0.3 * tone - 0.1
        gap = smooth(0.0, 0.05, np.abs(along * 3.1 - plank - 0.5) - 0.44)
        return mix(dark, light, share) * (1 - 0.55 * gap)[..., None], (dark + light) / 2

    def _cloth(self):
        across, along = self._floor()
        ground = self.colour((0.80, 0.78, 0.74), (0.93, 0.92, 0.90))
        thread = self.choice(_THREADS)
        turn, checks = self.between(-0.5, 0.5), 2 * np.pi * self.between(3.5, 6)
        one = across * np.cos(turn) - along * np.sin(turn)
        two = across * np.sin(turn) + along * np.cos(turn)
        bands = [smooth(-0.15, 0.15, np.sin(checks * place)) for place in (one, two)]
        share = 0.42 * (bands[0] + bands[1]) if self.chance(0.6) else 0.7 * bands[0]
        folds = self.noise(3, 4, octaves=2)
        light = 0.95 + 0.07 * folds + 0.03 * self.noise(min(64, self.size // 2))
        return mix(ground, thread, share) * light[..., None], ground * 0.9

    def _stone(self):
        ground = self.colour((0.60, 0.60, 0.61), (0.70, 0.70, 0.70))
        veins = np.abs(self.noise(4, octaves=5))
        speckle = self.noise(min(60, self.size // 2))
        light = 0.92 + 0.10 * smooth(0.0, 0.12, veins) * veins + 0.04 * speckle
        return ground * light[..., None], ground

    def _plain(self):
        ground = self.colour(*self.choice(_WALLS))
        return ground * (1 + 0.04 * self.noise(3, octaves=4))[..., None], ground

    def shadow(self, fruit):
        foot, share = fruit.y + 0.90 * fruit.radius, 0.0
        # Away from the lamp, and longer the lower it stands.
        reach = -self.light[0] / -self.light[1] * 0.55 * fruit.radius
        for shift, *shape, depth in ((1.0, 1.05, 0.30, 0.42), (0.25, 0.62, 0.13, 0.5)):
            across = (self.x - fruit.x - shift * reach) / (shape[0] * fruit.radius)
            down = (self.y - foot) / (shape[1] * fruit.radius)
            dark = depth * np.exp(-((across**2 + down**2) ** 1.5))
            share = 1 - (1 - share) * (1 - dark)
        share = share * smooth(-0.05, 0.02, self.y - self.horizon)
        self.image *= (1 - share)[..., None]


def _paint(scene, kind, fruit, skin, depths):
    size, reach = scene.size, 1.75 * fruit.radius
    rows, columns = (span(c - reach, c + reach, size) for c in (fruit.y, fruit.x))
    right = (scene.x[:, columns] - fruit.x) / fruit.radius
    down = (scene.y[rows] - fruit.y) / fruit.radius
    cos, sin = np.cos(fruit.roll), np.sin(fruit.roll)
    u, v = right * cos + down * sin, down * cos - right * sin
    v, scale = v / fruit.squeeze, size * fruit.radius
    outline = 1.0
    if kind == "apple":
        angle = np.abs(np.arctan2(u, -v))  # 0 at the stem, pi at the other end
        bumps = (0.04, 0.72, 0.42), (0.08 * np.sin(fruit.pitch) - 0.16, 0, 0.34)
        bumps += (-0.035, 2.35, 0.45), (-0.07, np.pi, 0.28)
        bumps = (high * np.exp(-(((angle - at) / w) ** 2)) for high, at, w in bumps)
        outline = sum(bumps, 0.985)
    distance = np.sqrt(u**2 + v**2)
    inside = np.minimum(distance / outline, 0.999)
    away = np.where(distance > 0, inside / np.maximum(distance, 1e-9), 1)
    normal = np.stack([u * away, v * away, np.sqrt(1 - inside**2)], -1)
    pole = np.array([0.0, -np.cos(fruit.pitch), np.sin(fruit.pitch)])
    x, y, z = scene.light
    lamp, up = np.array([[x * cos + y * sin, y * cos - x * sin, z], [-sin, -cos, 0.0]])
    part = scene.image[rows, columns]
    # The air between two fruits is dark.
    halo = 0.38 * np.exp(-((np.maximum(distance - 0.97, 0) / 0.16) ** 2))
    part *= (1 - halo * smooth(-0.2, 0.6, down))[..., None]
    make = _apple_skin if kind == "apple" else _orange_skin
    share = cover(distance - outline, scale)
    seen = share > 0
    body = make(skin, scale, normal[seen], pole, lamp, up, scene.bounce, depths)
    part[seen] = mix(part[seen], body * scene.warmth, share[seen])
    foot = pole[:2] * (0.80 if kind == "apple" else 0.96)
    if fruit.leaf:
        _leaf(part, u, v, foot, fruit.leaf, lamp, scale)
    if kind == "apple":
        top = 0.1 - fruit.y / fruit.radius / fruit.squeeze
        _stem(part, u, v, foot, skin, lamp, scale, foot[1] - top)


def _stem(part, u, v, foot, skin, lamp, scale, room):
    lean = skin.between(-0.28, 0.28)
    length = min(skin.between(0.38, 0.52), room)  # not beyond the image
    end, bend = foot + (lean, -length), foot + (0.15 * lean, -0.6 * length)
    distance, along = np.full(u.shape, 9.0), np.zeros(u.shape)
    for t in np.linspace(0, 1, 14):
        x, y = (1 - t) ** 2 * foot + 2 * t * (1 - t) * bend + t**2 * end
        away = np.sqrt((u - x) ** 2 + (v - y) ** 2) - (0.035 + t * (0.052 - 0.035))
        along = np.where(away < distance, t, along)
        distance = np.minimum(distance, away)
    side = smooth(-0.04, 0.04, -(u - foot[0] - lean * along**2) * np.sign(lamp[0]))
    bark = mix((0.50, 0.36, 0.20), (0.24, 0.15, 0.08), side)
    bark *= (0.55 + 0.5 * along)[..., None]
    part[:] = mix(part, bark, cover(distance, scale))


def _leaf(part, u, v, foot, leaf, lamp, scale):
    side, length = leaf
    u, v, axis = u - foot[0], v - foot[1], side * 0.93
    along, off = (u * axis + v * -0.37) / length, (u * 0.37 + v * axis) / length * side
    belly = np.clip(along * (1 - along), 0, None) ** 0.75
    bow = 0.16 * np.sin(np.pi * np.clip(along, 0, 1))
    away = (np.abs(off + bow) - 0.62 * belly) * length
    away = np.where((along < 0) | (along > 1), 1.0, away)
    rib = np.exp(-(((off + bow) / 0.025) ** 2))
    veins = 0.5 + 0.5 * np.cos(26 * (along - 0.8 * np.abs(off + bow)))
    tone = 0.75 + 0.25 * np.sign(off + bow) * -np.sign(lamp[1]) + 0.12 * veins
    green = mix(tone[..., None] * (0.25, 0.46, 0.13), (0.55, 0.70, 0.32), 0.6 * rib)
    part[:] = mix(part, green, cover(away, scale))


def _pores(rng, count=24):
    """How deep a skin is at each entry of a table: round pores, about 1 at most."""
    depth = np.zeros((count, _PORE, count, _PORE))
    rows, columns = np.indices((count, count))
    down, right = (_PORE * rng.array(2, count, count)).astype(int)
    depth[rows, down, columns, right] = 0.3 + 0.7 * rng.array(count, count)
    depth = depth.reshape(2 * (count * _PORE,))
    return 2 * np.pi * ndimage.gaussian_filter(depth, 1.0, mode="wrap")


class _Surface:
    """A fruit, seen: where on it each of some pixels lies, and the light there.

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
        self.across, self.down = np.arcsin(np.clip(normal[:, :2], -1, 1)).T
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


def _apple_skin(skin, scale, *view):
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


def _orange_skin(skin, scale, *view):
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
    body = colour * (1 - 0.16 * wrinkle * near)[..., None] * seen.light + seen.shine
    star = 0.115 * (1 + 0.55 * np.cos(5 * around))
    body = mix(body, seen.light * (0.36, 0.45, 0.17), cover(angle - star, scale))
    return mix(body, seen.light * (0.62, 0.56, 0.36), cover(angle - 0.05, scale))

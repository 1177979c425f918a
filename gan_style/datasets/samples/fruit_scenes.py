"""Apples and oranges, drawn: one scene of a seed, filled with either fruit."""

from dataclasses import dataclass, field

import numpy as np

from gan_style.datasets.samples.canvas import (
    Numbers,
    cover,
    finish,
    lookup,
    mix,
    noise,
    pixels,
    smooth,
)
from gan_style.datasets.samples.fruit_skins import apple_skin, orange_skin, pores

KINDS = ("apple", "orange")
_SCENE, _APPLE, _ORANGE, _PORES = 1, 2, 3, 4


@dataclass
class Fruit:
    """One fruit's place and attitude; sides of the image, radians."""

    x: float
    y: float
    radius: float
    roll: float  # to the right
    pitch: float  # towards the viewer
    squeeze: float  # height over width
    leaf: tuple | None


@dataclass
class Scene:
    """All that apples and oranges of one seed share."""

    fruits: list
    light: np.ndarray  # towards the lamp: right, down, to the viewer
    warmth: np.ndarray
    horizon: float
    bounce: np.ndarray = field(default_factory=lambda: np.zeros(3))


def draw_fruit(kind, seed, size):
    """The image of one seed, uint8 `(size, size, 3)`; see `samples.fruit`."""
    numbers = Numbers(_SCENE, seed)
    scene = _scene(numbers)
    image = _background(numbers, scene, size)
    grain = 0.008 * (numbers.array(size, size) - 0.5)[..., None]
    skin = Numbers(_APPLE if kind == "apple" else _ORANGE, seed)
    # Where an apple has its pores, the orange of the same scene has deeper ones.
    places = Numbers(_PORES, seed)
    for fruit in scene.fruits:
        _shadow(image, fruit, scene, size)
    for fruit in scene.fruits:
        _paint(image, kind, fruit, scene, skin, pores(places), size)
    return finish(image + grain)


def _scene(numbers):
    side = numbers.choice((-1, 1))
    light = np.array(
        [
            side * numbers.between(0.25, 0.75),
            numbers.between(-0.95, -0.6),
            numbers.between(0.55, 0.9),
        ]
    )
    light /= np.sqrt((light**2).sum())
    warmth = numbers.colour((0.98, 0.95, 0.88), (1.06, 1.02, 1.0))
    count = numbers.choice((1, 1, 1, 2, 2, 3, 3, 4))
    largest = {1: 0.44, 2: 0.33, 3: 0.285, 4: 0.255}[count]
    horizon = numbers.between(0.18, 0.42)
    fruits = []
    for place in range(count):
        radius = numbers.between(0.82, 1.0) * largest
        room = 1.0 / count
        x = (place + 0.5) * room + numbers.between(-0.35, 0.35) * (1 - count * room / 2)
        if count > 1:
            x = 0.5 + (x - 0.5) * 0.35 + (place - (count - 1) / 2) * room * 0.62
        else:
            x = 0.5 + numbers.between(-0.12, 0.12)
        low = numbers.between(0.80, 0.93) if count > 1 else numbers.between(0.89, 0.96)
        if count > 2:
            low = (0.93 if place % 2 else 0.74) + numbers.between(-0.04, 0.03)
        leaf = None
        if numbers.chance(0.3):
            leaf = (numbers.choice((-1, 1)), numbers.between(0.5, 0.75))
        fruits.append(
            Fruit(
                x=float(np.clip(x, radius + 0.02, 0.98 - radius)),
                y=low - radius,
                radius=radius,
                roll=numbers.between(-0.45, 0.45),
                pitch=numbers.between(0.3, 0.85),
                squeeze=numbers.between(0.92, 0.99),
                leaf=leaf,
            )
        )
    fruits.sort(key=lambda fruit: fruit.y + fruit.radius)
    return Scene(fruits, light, warmth, horizon)


def _background(numbers, scene, size):
    x, y = pixels(size)
    wall = numbers.choice(_WALLS)
    table = numbers.choice(_TABLES)
    wall = numbers.colour(*wall)
    side = np.sign(scene.light[0])
    fall = 1.04 - 0.22 * np.abs(x - (0.5 + 0.5 * side)) - 0.10 * y
    plaster = noise(numbers, size, 5, octaves=4)
    image = wall * (fall + 0.035 * plaster)[..., None]
    surface, scene.bounce = table(numbers, scene, size)
    depth = (y - scene.horizon) / (1 - scene.horizon)
    glow = 0.92 + 0.18 * np.clip(depth, 0, 1) - 0.14 * np.abs(x - 0.5 - 0.35 * side)
    surface = surface * glow[..., None]
    edge = smooth(-0.008, 0.008, y - scene.horizon + 0 * x)
    image = image * (1 - 0.25 * np.exp(-(((y - scene.horizon) / 0.05) ** 2)))[..., None]
    return mix(image, surface, edge) * scene.warmth


def _floor(scene, size):
    """Across and along the table, in perspective."""
    x, y = pixels(size)
    near = np.maximum(y - scene.horizon, 0) + 0.22
    return (x - 0.5) / near * 0.6, 0.6 / near + 0 * x


def _wood(numbers, scene, size):
    across, along = _floor(scene, size)
    dark = numbers.colour((0.38, 0.26, 0.17), (0.48, 0.35, 0.25))
    light = numbers.colour((0.66, 0.50, 0.36), (0.80, 0.65, 0.50))
    grain = numbers.array(96, 5)
    plank = np.floor(along * 3.1)
    tone = lookup(numbers.array(64, 1), plank, 0 * plank)
    lines = lookup(grain, along * 34 + 9 * tone, across * 2 + 7 * tone)
    fine = lookup(grain, along * 90, across * 3)
    share = 0.25 + 0.4 * lines + 0.2 * fine + 0.3 * tone - 0.1
    gap = smooth(0.0, 0.05, np.abs(along * 3.1 - plank - 0.5) - 0.44)
    return mix(dark, light, share) * (1 - 0.55 * gap)[..., None], (dark + light) / 2


def _cloth(numbers, scene, size):
    across, along = _floor(scene, size)
    ground = numbers.colour((0.80, 0.78, 0.74), (0.93, 0.92, 0.90))
    thread = np.array(numbers.choice(_THREADS))
    turn = numbers.between(-0.5, 0.5)
    checks = numbers.between(3.5, 6)
    one = across * np.cos(turn) - along * np.sin(turn)
    two = across * np.sin(turn) + along * np.cos(turn)
    bands = [smooth(-0.15, 0.15, np.sin(2 * np.pi * checks * c)) for c in (one, two)]
    share = 0.42 * (bands[0] + bands[1]) if numbers.chance(0.6) else 0.7 * bands[0]
    folds = noise(numbers, size, 3, 4, octaves=2)
    weave = noise(numbers, size, min(64, size // 2))
    image = mix(ground, thread, share)
    return image * (0.95 + 0.07 * folds + 0.03 * weave)[..., None], ground * 0.9


def _stone(numbers, scene, size):
    ground = numbers.colour((0.60, 0.60, 0.61), (0.70, 0.70, 0.70))
    veins = np.abs(noise(numbers, size, 4, octaves=5))
    speckle = noise(numbers, size, min(60, size // 2))
    light = 0.92 + 0.10 * smooth(0.0, 0.12, veins) * veins + 0.04 * speckle
    return ground * light[..., None], ground


def _plain(numbers, scene, size):
    ground = numbers.colour(*numbers.choice(_WALLS))
    soft = noise(numbers, size, 3, octaves=4)
    return ground * (1 + 0.04 * soft)[..., None], ground


_TABLES = (_wood, _wood, _cloth, _cloth, _stone, _plain)
_WALLS = (
    ((0.70, 0.68, 0.64), (0.78, 0.76, 0.72)),
    ((0.62, 0.66, 0.70), (0.69, 0.73, 0.78)),
    ((0.62, 0.66, 0.60), (0.69, 0.73, 0.66)),
    ((0.58, 0.59, 0.61), (0.66, 0.67, 0.69)),
    ((0.66, 0.63, 0.67), (0.73, 0.70, 0.74)),
)
_THREADS = (
    (0.30, 0.40, 0.56),
    (0.36, 0.50, 0.44),
    (0.42, 0.44, 0.50),
    (0.34, 0.48, 0.56),
)


def _shadow(image, fruit, scene, size):
    x, y = pixels(size)
    foot = fruit.y + 0.90 * fruit.radius
    # Away from the lamp, and longer the lower it stands.
    reach = -scene.light[0] / -scene.light[1] * 0.55 * fruit.radius
    share = 0.0
    for shift, wide, high, depth in ((1.0, 1.05, 0.30, 0.42), (0.25, 0.62, 0.13, 0.5)):
        across = (x - fruit.x - shift * reach) / (wide * fruit.radius)
        down = (y - foot) / (high * fruit.radius)
        share = 1 - (1 - share) * (1 - depth * np.exp(-((across**2 + down**2) ** 1.5)))
    share = share * smooth(-0.05, 0.02, y - scene.horizon)
    image *= (1 - share)[..., None]


def _paint(image, kind, fruit, scene, skin, depths, size):
    x, y = pixels(size)
    reach = 1.75 * fruit.radius
    rows, columns = (
        slice(max(0, int((c - reach) * size)), int((c + reach) * size) + 1)
        for c in (fruit.y, fruit.x)
    )
    right = (x[:, columns] - fruit.x) / fruit.radius
    down = (y[rows] - fruit.y) / fruit.radius
    cos, sin = np.cos(fruit.roll), np.sin(fruit.roll)
    u, v = right * cos + down * sin, down * cos - right * sin
    v = v / fruit.squeeze
    scale = size * fruit.radius
    if kind == "apple":
        outline = _apple_outline(u, v, fruit)
    else:
        outline = np.ones_like(u)
    distance = np.sqrt(u**2 + v**2)
    inside = np.minimum(distance / outline, 0.999)
    away = np.where(distance > 0, inside / np.maximum(distance, 1e-9), 1)
    normal = np.stack([u * away, v * away, np.sqrt(1 - inside**2)], -1)
    pole = np.array([0.0, -np.cos(fruit.pitch), np.sin(fruit.pitch)])
    lamp = np.array(
        [
            scene.light[0] * cos + scene.light[1] * sin,
            scene.light[1] * cos - scene.light[0] * sin,
            scene.light[2],
        ]
    )
    up = np.array([-sin, -cos, 0.0])
    make = apple_skin if kind == "apple" else orange_skin
    part = image[rows, columns]
    # The air between two fruits is dark.
    halo = 0.38 * np.exp(-((np.maximum(distance - 0.97, 0) / 0.16) ** 2))
    part *= (1 - halo * smooth(-0.2, 0.6, down))[..., None]
    body = make(normal, pole, lamp, up, scene, skin, depths, scale)
    part[:] = mix(part, body, cover(distance - outline, scale))
    foot = pole[:2] * (0.80 if kind == "apple" else 0.96)
    if fruit.leaf:
        _leaf(part, u, v, foot, fruit.leaf, lamp, scale)
    if kind == "apple":
        top = 0.1 - fruit.y / fruit.radius / fruit.squeeze
        _stem(part, u, v, foot, skin, lamp, scale, foot[1] - top)


def _apple_outline(u, v, fruit):
    angle = np.abs(np.arctan2(u, -v))  # 0 at the stem, pi at the other end

    def bump(at, width):
        return np.exp(-(((angle - at) / width) ** 2))

    return (
        0.985
        + 0.04 * bump(0.72, 0.42)
        - (0.16 - 0.08 * np.sin(fruit.pitch)) * bump(0, 0.34)
        - 0.035 * bump(2.35, 0.45)
        - 0.07 * bump(np.pi, 0.28)
    )


def _curve(u, v, start, bend, end, widths, count=14):
    """Distance to a thick curve, and how far along it the nearest point lies."""
    best, along = np.full(u.shape, 9.0), np.zeros(u.shape)
    for t in np.linspace(0, 1, count):
        point = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
        width = widths[0] + t * (widths[1] - widths[0])
        distance = np.sqrt((u - point[0]) ** 2 + (v - point[1]) ** 2) - width
        along = np.where(distance < best, t, along)
        best = np.minimum(best, distance)
    return best, along


def _stem(part, u, v, foot, skin, lamp, scale, room):
    lean = skin.between(-0.28, 0.28)
    length = min(skin.between(0.38, 0.52), room)  # not beyond the image
    end = foot + np.array([lean, -length])
    bend = foot + np.array([0.15 * lean, -0.6 * length])
    distance, along = _curve(u, v, foot, bend, end, (0.035, 0.052))
    side = smooth(-0.04, 0.04, -(u - foot[0] - lean * along**2) * np.sign(lamp[0]))
    bark = mix((0.50, 0.36, 0.20), (0.24, 0.15, 0.08), side)
    bark = bark * (0.55 + 0.5 * along)[..., None]
    part[:] = mix(part, bark, cover(distance, scale))


def _leaf(part, u, v, foot, leaf, lamp, scale):
    side, length = leaf
    axis = np.array([side * 0.93, -0.37])
    along = ((u - foot[0]) * axis[0] + (v - foot[1]) * axis[1]) / length
    off = ((u - foot[0]) * -axis[1] + (v - foot[1]) * axis[0]) / length * side
    belly = np.clip(along * (1 - along), 0, None) ** 0.75
    bow = 0.16 * np.sin(np.pi * np.clip(along, 0, 1))
    away = (np.abs(off + bow) - 0.62 * belly) * length
    away = np.where((along < 0) | (along > 1), 1.0, away)
    rib = np.exp(-(((off + bow) / 0.025) ** 2))
    veins = 0.5 + 0.5 * np.cos(26 * (along - 0.8 * np.abs(off + bow)))
    tone = 0.75 + 0.25 * np.sign(off + bow) * -np.sign(lamp[1]) + 0.12 * veins
    green = np.array((0.25, 0.46, 0.13)) * tone[..., None]
    green = mix(green, (0.55, 0.70, 0.32), 0.6 * rib)
    part[:] = mix(part, green, cover(away, scale))

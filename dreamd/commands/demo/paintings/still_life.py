"""Fruit and a jug on a table by a window, in the manner of the old Dutch: one light, a dark wall."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dreamd.commands.demo.paintings.canvas import (
    Field,
    blurred,
    brushed,
    colour,
    fractal,
    grid,
    looked_up,
    mix,
    picture_of,
    smooth_step,
)
from dreamd.commands.demo.paintings.solids import Met, Places, Values, ball, lit, meet, open_sky

_FRUIT = (
    # across, away, radius, squash, colour, colour of its cheek
    (-0.95, 3.05, 0.40, 0.94, (168, 30, 24), (214, 150, 60)),
    (-0.22, 2.72, 0.38, 0.93, (232, 128, 26), (246, 166, 60)),
    (0.50, 2.95, 0.33, 0.97, (110, 26, 40), (70, 20, 44)),
    (1.02, 2.62, 0.30, 0.95, (196, 176, 60), (120, 140, 46)),
    (-0.62, 2.45, 0.25, 0.96, (236, 200, 60), (206, 190, 70)),
    (0.22, 2.36, 0.17, 1.0, (86, 34, 70), (50, 26, 70)),
    (0.48, 2.28, 0.16, 1.0, (96, 40, 80), (60, 28, 76)),
    (0.36, 2.42, 0.16, 1.0, (76, 30, 60), (50, 24, 60)),
)
"""The fruit. Lengths are in units of the scene, in which the table's edge is about three wide."""

_JUG = 100
"""The number of the jug's stuff, after the fruit's."""

_LIGHT = (-0.75, 0.75, -0.55)


def still_life(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Paint fruit and a jug on a table, 8 bit RGB; the same for the same size and seed."""
    random = np.random.default_rng(seed)
    met = meet(_scene, width, height, eye=(0.0, 1.5, 0.0), look_down=0.30, focus=1.75, farthest=9)
    wall = _wall(random, width, height)
    stuff, shine = _stuff(random, met)
    sun = np.clip(met.normal @ _unit(_LIGHT), 0, 1) * lit(_scene, met, _LIGHT, softness=0.12, farthest=3)
    around = open_sky(_scene, met, 0.35) * (0.6 + 0.4 * met.normal[:, 1])
    gloss = _gloss(met) * shine * np.minimum(1, sun * 3)
    warm, cool = colour(1.28, 1.10, 0.84), colour(0.17, 0.18, 0.24)
    colours = stuff * (sun[:, None] * warm + around[:, None] * cool) + gloss[:, None] * colour(255, 240, 214)
    picture = wall.copy()
    picture[met.inside] = colours
    return picture_of(brushed(random, picture, (10, 5, 3), lively=4) + random.normal(0, 2, picture.shape))


def _unit(direction: tuple[float, float, float]) -> Places:
    return np.asarray(np.array(direction) / np.linalg.norm(direction), np.float32)


def _scene(place: Places) -> Values:
    nearest = np.minimum(place[:, 1], _jug(place))
    for fruit in _fruit(place):
        nearest = np.minimum(nearest, fruit)
    return np.asarray(nearest, np.float32)


def _fruit(place: Places) -> list[Values]:
    """Return the distance from each of the fruit."""
    return [ball(place, (x, size * squash, z), (size, size * squash, size)) for x, z, size, squash, _, _ in _FRUIT]


def _jug(place: Places) -> Values:
    """A body of revolution: a belly, a neck and a lip."""
    y = place[:, 1]
    from_axis = np.hypot(place[:, 0] - 0.30, place[:, 2] - 3.75)
    profile = 0.30 + 0.34 * np.exp(-(((y - 0.62) / 0.46) ** 2)) - 0.06 * smooth_step(1.1, 1.5, y)
    profile = profile + 0.10 * smooth_step(1.55, 1.78, y)
    body = (from_axis - profile) * 0.75
    handle = np.hypot(np.hypot(place[:, 0] - 0.78, y - 1.12) - 0.30, place[:, 2] - 3.75) - 0.06
    return np.asarray(np.minimum(np.maximum(body, np.maximum(y - 1.78, -y)), handle))


def _stuff(random: np.random.Generator, met: Met) -> tuple[Places, Values]:
    """Return the colour of each place, and how much it shines."""
    place = met.place
    distances = np.stack([place[:, 1], _jug(place), *_fruit(place)])
    number = distances.argmin(0)
    colours, shine = _table(random, place), np.full(len(place), 0.10, np.float32)
    glaze = _spread(random, place, 1, (3.0, 2.0))
    jug = number == 1
    band = smooth_step(0.35, 0.6, glaze + 0.25 * np.sin(place[:, 1] * 16))
    colours[jug] = mix(colour(58, 92, 120), colour(206, 208, 196), band)[jug]
    shine[jug] = 0.55
    for index, (x, z, size, _, skin, cheek) in enumerate(_FRUIT):
        own = number == index + 2
        blush = smooth_step(-0.3, 0.7, (place[:, 0] - x + place[:, 1] - size) / size + 0.9 * (glaze - 0.5))
        spots = _spread(random, place, index, (22.0, 22.0))
        hue = mix(colour(*skin), colour(*cheek), blush) * (0.82 + 0.36 * spots[:, None])
        dimple = smooth_step(0.22, 0.05, np.hypot(place[:, 0] - x, place[:, 2] - z) / size) * (place[:, 1] > size)
        colours[own] = mix(hue, np.broadcast_to(colour(60, 44, 20), hue.shape).astype(np.float32), dimple * 0.8)[own]
        shine[own] = 0.45
    return colours, shine


def _table(random: np.random.Generator, place: Places) -> Places:
    """Return the colours of wood, whose grain runs across, and of a white cloth over a part of it."""
    grain = _spread(random, place, 0, (1.2, 14.0))
    lines = 0.5 + 0.5 * np.sin(place[:, 2] * 60 + 9 * grain)
    wood = mix(colour(84, 48, 26), colour(140, 88, 48), np.clip(0.6 * grain + 0.3 * lines, 0, 1))
    folds = 0.5 + 0.5 * np.sin(place[:, 0] * 7 + place[:, 2] * 3 + 4 * _spread(random, place, 3, (2.0, 2.0)))
    cloth = colour(214, 206, 190) * (0.62 + 0.38 * folds[:, None])
    edge = smooth_step(0.02, 0.07, place[:, 0] + 0.10 * np.sin(place[:, 2] * 9) + 0.35 * (place[:, 2] - 2.6))
    return mix(wood, cloth, edge * smooth_step(3.6, 3.5, place[:, 2]))


def _spread(random: np.random.Generator, place: Places, number: int, cells: tuple[float, float]) -> Values:
    """Return noise over the scene, as if it were wrapped in a cloth that is printed with it."""
    cloth = fractal(random, 512, 512, 8, 0.6)
    across = (place[:, 0] + 0.7 * place[:, 1] + 3 + number) * cells[0] * 12
    away = (place[:, 2] + 0.7 * place[:, 1] + number) * cells[1] * 12
    return looked_up(cloth, across % 511, away % 511)


def _gloss(met: Met) -> Values:
    """Return the mirrored light, by the half-way vector between it and the eye."""
    half = _unit(_LIGHT) - met.ray
    half = half / np.linalg.norm(half, axis=1, keepdims=True)
    along = np.clip((met.normal * half).sum(1), 0, 1)
    return np.asarray(along**70 + 0.12 * along**12, np.float32)


def _wall(random: np.random.Generator, width: int, height: int) -> Field:
    x, y = grid(width, height)
    plaster = fractal(random, width, height, 5, 0.6)
    light = np.exp(-(((x / width - 0.2) / 0.55) ** 2) - ((y / height - 0.2) / 0.6) ** 2)
    dark = mix(colour(26, 22, 20), colour(120, 100, 76), np.asarray(light * (0.55 + 0.45 * plaster), np.float32))
    return blurred(dark, 1)

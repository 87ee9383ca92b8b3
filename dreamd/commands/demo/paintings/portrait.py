"""A head and shoulders in the light of a window: a likeness of nobody."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dreamd.commands.demo.paintings.canvas import (
    Field,
    brushed,
    colour,
    fractal,
    grid,
    looked_up,
    mix,
    picture_of,
    smooth_step,
)
from dreamd.commands.demo.paintings.solids import (
    Met,
    Places,
    Values,
    ball,
    carved,
    joined,
    lit,
    meet,
    open_sky,
    rod,
)

_LIGHT = (-0.8, 0.55, -0.75)

_TURN = 0.30
"""How far the head is turned to its right, in radians."""

_EYES = (-0.29, 0.29)
"""Where the eyes lie across the face. The head is about 1.6 wide and 2.2 high; its middle is the origin."""


def portrait(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Paint a head and shoulders, 8 bit RGB; the same for the same size and seed."""
    random = np.random.default_rng(seed)
    met = meet(_scene, width, height, eye=(0.06, -0.28, -5.2), look_down=0.0, focus=2.45, farthest=9)
    stuff, shine = _stuff(random, met)
    sun = np.clip(0.12 + 0.88 * (met.normal @ _unit(_LIGHT)), 0, 1) * lit(
        _scene, met, _LIGHT, softness=0.16, farthest=3
    )
    back = np.clip(met.normal @ _unit((0.9, 0.2, 0.45)), 0, 1) ** 2
    around = open_sky(_scene, met, 0.3)
    warm, cool = colour(1.06, 0.92, 0.76), colour(0.20, 0.21, 0.27)
    colours = stuff * (sun[:, None] * warm + around[:, None] * cool + back[:, None] * colour(0.14, 0.18, 0.26))
    colours += (_gloss(met) * shine * np.minimum(1, 2 * sun))[:, None] * colour(255, 240, 220)
    picture = _wall(random, width, height)
    picture[met.inside] = colours
    return picture_of(brushed(random, picture, (9, 4, 2), lively=3) + random.normal(0, 2, picture.shape))


def _unit(direction: tuple[float, float, float]) -> Places:
    return np.asarray(np.array(direction) / np.linalg.norm(direction), np.float32)


def _turned(place: Places) -> Places:
    """Return places as the turned head has them."""
    x, y, z = place.T
    cosine, sine = np.float32(np.cos(_TURN)), np.float32(np.sin(_TURN))
    return np.stack([x * cosine + z * sine, y, -x * sine + z * cosine], 1)


def _scene(place: Places) -> Values:
    head = _turned(place)
    return np.asarray(np.minimum(np.minimum(np.minimum(_skin(head), _hair(head)), _eyes(head)), _cloth(place)))


def _skin(place: Places) -> Values:
    """The head, from the skull down to the neck."""
    near = place.copy()
    near[:, 0] = np.abs(near[:, 0])  # a face is the same on both sides
    skin = joined(
        ball(place, (0, 0.22, 0.1), (0.74, 0.86, 0.90)), ball(place, (0, -0.38, -0.24), (0.52, 0.66, 0.52)), 0.30
    )
    skin = joined(skin, ball(place, (0, -0.92, -0.50), (0.20, 0.15, 0.18)), 0.24)
    skin = joined(skin, ball(near, (0.37, -0.24, -0.50), (0.22, 0.20, 0.20)), 0.26)
    skin = carved(skin, ball(near, (0.29, 0.06, -0.86), (0.19, 0.13, 0.16)), 0.16)
    skin = joined(skin, rod(near, (0.10, 0.22, -0.77), (0.44, 0.20, -0.60), 0.05), 0.14)
    skin = joined(skin, _nose(near), 0.09)
    skin = joined(skin, _mouth(near), 0.045)
    skin = joined(skin, ball(near, (0.75, -0.02, 0.14), (0.08, 0.22, 0.13)), 0.05)
    return joined(skin, rod(place, (0, -0.7, 0.16), (0, -1.8, 0.3), 0.36), 0.22)


def _nose(near: Places) -> Values:
    nose = joined(
        rod(near, (0, 0.16, -0.78), (0, -0.24, -0.98), 0.065), ball(near, (0, -0.27, -0.99), (0.10, 0.085, 0.10)), 0.08
    )
    nose = joined(nose, ball(near, (0.10, -0.30, -0.89), (0.065, 0.06, 0.08)), 0.06)
    return carved(nose, ball(near, (0.055, -0.365, -0.94), (0.032, 0.022, 0.04)), 0.02)


def _mouth(near: Places) -> Values:
    upper = rod(near, (0, -0.535, -0.84), (0.20, -0.565, -0.72), 0.046)
    lower = rod(near, (0, -0.635, -0.815), (0.15, -0.605, -0.74), 0.060)
    return np.asarray(np.minimum(upper, lower))


def _eyes(place: Places) -> Values:
    """The eyeballs, and the lids over them."""
    near = place.copy()
    near[:, 0] = np.abs(near[:, 0])
    eye = ball(near, (_EYES[1], 0.055, -0.655), (0.125, 0.125, 0.125))
    lid = np.maximum(ball(near, (_EYES[1], 0.055, -0.655), (0.15, 0.145, 0.15)), 0.055 - (near[:, 1] - 0.055) - 0.008)
    under = np.maximum(ball(near, (_EYES[1], 0.055, -0.655), (0.145, 0.14, 0.143)), near[:, 1] - 0.055 + 0.062)
    return np.asarray(np.minimum(eye, np.minimum(lid, under)))


def _hair(place: Places) -> Values:
    cap = ball(place, (0, 0.34, 0.22), (0.88, 0.94, 0.96))
    face = ball(place, (0.12, -0.28, -0.98), (0.72, 0.88, 0.78))
    cap = carved(cap, face, 0.12)
    side = np.abs(place[:, 0])
    fall = np.maximum(
        np.abs(np.hypot(side * 0.95, place[:, 2] * 0.8 - 0.18) - 0.72) - 0.14, np.abs(place[:, 1] + 0.55) - 1.0
    )
    fall = np.maximum(fall, -(place[:, 2] + 0.12)) * 0.8
    waves = 0.018 * np.sin(26 * np.arctan2(place[:, 0], place[:, 2] - 0.2) + 6 * np.sin(place[:, 1] * 3.1))
    return np.asarray(joined(cap, fall, 0.2) + waves, np.float32)


def _cloth(place: Places) -> Values:
    near = place.copy()
    near[:, 0] = np.abs(near[:, 0])
    body = joined(
        rod(near, (0.3, -2.15, 0.3), (1.15, -2.45, 0.3), 0.46), ball(place, (0, -2.9, 0.2), (1.2, 1.15, 0.7)), 0.4
    )
    folds = 0.02 * np.sin(place[:, 0] * 13 + place[:, 1] * 9 + 2 * np.sin(place[:, 1] * 4))
    collar = (
        np.hypot(np.hypot(place[:, 0], (place[:, 2] - 0.22)) - 0.50, place[:, 1] + 1.72 + 0.15 * place[:, 2]) - 0.10
    )
    return np.asarray(joined(body + folds, collar, 0.1), np.float32)


def _stuff(random: np.random.Generator, met: Met) -> tuple[Places, Values]:
    """Return the colour of each place, and how much it shines."""
    head = _turned(met.place)
    number = np.stack([_skin(head), _hair(head), _eyes(head), _cloth(met.place)]).argmin(0)
    fine = looked_up(fractal(random, 512, 512, 40, 0.7), (head[:, 0] * 90 + 256) % 511, (head[:, 1] * 90 + 256) % 511)
    strands = looked_up(
        fractal(random, 512, 512, 60, 0.8), (np.arctan2(head[:, 0], head[:, 2] - 0.2) * 150 + 256) % 511,
        (head[:, 1] * 14 + 256) % 511,
    )  # fmt: skip
    weave = 0.5 + 0.5 * np.sin(met.place[:, 0] * 90) * np.sin(met.place[:, 1] * 90)
    hair = mix(colour(40, 20, 12), colour(150, 84, 40), strands)
    cloth = mix(colour(24, 62, 60), colour(46, 96, 88), 0.5 * fine + 0.5 * weave)
    choices = [_face(head, fine), hair, _eyeballs(head), cloth]
    colours = np.select([(number == kind)[:, None] for kind in range(4)], choices)
    shine = np.select([number == kind for kind in range(4)], [0.16, 0.28, 0.5, 0.04])
    return np.asarray(colours, np.float32), np.asarray(shine, np.float32)


def _face(head: Places, fine: Values) -> Places:
    """Return the colours of skin: redder cheeks and nose, lips, brows."""
    side, y, z = np.abs(head[:, 0]), head[:, 1], head[:, 2]
    skin = mix(colour(206, 152, 122), colour(236, 188, 156), fine)
    red = np.exp(-(((side - 0.4) / 0.2) ** 2) - ((y + 0.25) / 0.17) ** 2) + 0.8 * np.exp(
        -((side / 0.1) ** 2) - ((y + 0.27) / 0.1) ** 2
    )
    skin = mix(skin, np.broadcast_to(colour(214, 116, 96), skin.shape), np.clip(0.5 * red, 0, 1))
    lips = smooth_step(1.15, 0.85, np.hypot(side / 0.225, (y + 0.59 - 0.012 * np.cos(side * 14)) / 0.082)) * (z < -0.5)
    skin = mix(skin, np.broadcast_to(colour(168, 66, 62), skin.shape), 0.85 * lips)
    parting = np.exp(-(((y + 0.582 + 0.06 * side**2) / 0.013) ** 2)) * (side < 0.21) * (z < -0.5)
    skin = mix(skin, np.broadcast_to(colour(84, 28, 28), skin.shape), 0.85 * parting)
    brow = smooth_step(0.062, 0.03, np.abs(y - 0.265 - 0.10 * side + 0.28 * (side - 0.28) ** 2 * 3)) * smooth_step(
        0.07, 0.13, side
    )
    brow = brow * smooth_step(0.54, 0.44, side) * (z < -0.2)
    return mix(skin, np.broadcast_to(colour(62, 34, 22), skin.shape), np.clip(brow * (0.5 + 0.5 * fine), 0, 1))


def _eyeballs(head: Places) -> Places:
    """Return the colours of eyes, which look at the painter, and of their lids with lashes."""
    gaze = np.array([-0.03, 0.045], np.float32)
    side = np.where(head[:, 0] > 0, head[:, 0] - _EYES[1], head[:, 0] - _EYES[0])
    away = np.hypot(side - gaze[0] * 0.6, head[:, 1] - gaze[1] - 0.01)
    ball_here = np.linalg.norm(np.stack([side, head[:, 1] - 0.055, head[:, 2] + 0.655], 1), axis=1) < 0.131
    white = np.broadcast_to(colour(196, 182, 172), head.shape)
    iris = mix(colour(70, 104, 96), colour(120, 140, 112), smooth_step(0.02, 0.058, away))
    eye = mix(white, iris, smooth_step(0.068, 0.060, away))
    eye = mix(eye, np.broadcast_to(colour(12, 10, 12), head.shape), smooth_step(0.032, 0.026, away))
    glint = smooth_step(0.020, 0.012, np.hypot(side - gaze[0] * 0.6 + 0.022, head[:, 1] - gaze[1] - 0.034))
    eye = mix(eye, np.broadcast_to(colour(255, 252, 246), head.shape), glint)
    lid = np.broadcast_to(colour(196, 138, 112), head.shape)
    return np.where(ball_here[:, None], eye, lid).astype(np.float32)


def _gloss(met: Met) -> Values:
    half = _unit(_LIGHT) - met.ray
    half = half / np.linalg.norm(half, axis=1, keepdims=True)
    return np.asarray(np.clip((met.normal * half).sum(1), 0, 1) ** 26, np.float32)


def _wall(random: np.random.Generator, width: int, height: int) -> Field:
    x, y = grid(width, height)
    plaster = fractal(random, width, height, 6, 0.6)
    light = np.exp(-(((x / width - 0.95) / 0.5) ** 2) - ((y / height - 0.45) / 0.7) ** 2)
    return mix(
        colour(34, 36, 36), colour(128, 122, 98), np.asarray(np.clip(light * (0.45 + 0.6 * plaster), 0, 1), np.float32)
    )

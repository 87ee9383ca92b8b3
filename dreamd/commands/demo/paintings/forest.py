"""A forest in the morning: trunks and ferns, layer behind layer, ever paler, and the sun between them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from dreamd.commands.demo.paintings.canvas import (
    Field,
    blurred,
    colour,
    fractal,
    grid,
    looked_up,
    mix,
    picture_of,
    smooth_step,
)

_SUN = (0.62, 0.26)
"""Where the sun stands, as shares of the picture's width and height."""

_LAYERS = 7
"""The layers of trees, from the farthest to the nearest."""


def forest(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Paint a forest, 8 bit RGB; the same for the same size and seed."""
    random = np.random.default_rng(seed)
    x, y = grid(width, height)
    away = np.hypot((x / width - _SUN[0]) * width / height, y / height - _SUN[1])
    light = np.exp(-away / 0.34)
    picture = mix(colour(116, 142, 110), colour(255, 240, 190), np.clip(light * 1.25, 0, 1))
    for number in range(_LAYERS):
        near = (number + 1) / _LAYERS
        picture = _with_leaves(random, picture, near, light)
        picture = _with_ground(random, picture, near, light)
        picture = _with_trunks(random, picture, near, light)
    picture = _with_ferns(random, picture, light)
    rays = _rays(random, width, height) * light
    picture = picture + rays[..., None] * colour(120, 104, 62)
    picture = picture + 0.35 * blurred(np.clip(picture - 170, 0, None), 12)
    dark = 1 - 0.35 * np.clip(np.hypot(x / width - 0.5, y / height - 0.5) - 0.25, 0, 1)
    return picture_of(picture * dark[..., None] + random.normal(0, 2, picture.shape))


def _faded(hue: Field, near: float, light: Field) -> Field:
    """Return colours as they are seen through the mist before them, which glows around the sun."""
    mist = mix(colour(118, 146, 116), colour(250, 234, 184), np.clip(light * 1.2, 0, 1))
    return mix(hue, mist, (1 - near) ** 1.4 * 0.9)


def _with_leaves(random: np.random.Generator, picture: Field, near: float, light: Field) -> Field:
    """Hang leaves from above: clusters with holes, bright where the light falls through."""
    height, width = light.shape
    y = grid(width, height)[1] / height
    clusters = fractal(random, width, height, 4 + 7 * (1 - near), 0.45)
    leaves = fractal(random, width, height, 26 + 40 * (1 - near), 0.8)
    cover = smooth_step(0.50, 0.60, clusters * 0.75 + leaves * 0.42 + 0.42 * (0.40 - y))
    cover = cover * smooth_step(0.62, 0.42, y + 0.3 * (1 - near))
    bright = smooth_step(0.45, 0.8, fractal(random, width, height, 50, 0.85))
    hue = mix(colour(18, 40, 14), mix(colour(96, 132, 30), colour(210, 210, 84), np.clip(light * 1.5, 0, 1)), bright)
    return mix(picture, _faded(hue, near, light), cover)


def _with_ground(random: np.random.Generator, picture: Field, near: float, light: Field) -> Field:
    height, width = light.shape
    y = grid(width, height)[1] / height
    line = 0.56 + 0.30 * near**1.5 + 0.05 * (fractal(random, width, 8, 4, 0.5)[4] - 0.5)
    cover = smooth_step(0, 0.02, y - line[None])
    moss = fractal(random, width, height, 20 + 50 * (1 - near), 0.85)
    patches = smooth_step(0.52, 0.62, fractal(random, width, height * 3, 9, 0.6)[::3])
    hue = mix(
        mix(colour(46, 34, 18), colour(92, 100, 30), moss),
        colour(226, 206, 96),
        patches * np.clip(light * 1.6, 0.1, 0.7),
    )
    return mix(picture, _faded(hue, near, light), cover)


def _with_trunks(random: np.random.Generator, picture: Field, near: float, light: Field) -> Field:
    """Stand trunks on the ground, round and rough, with branches, lit from the sun's side."""
    height, width = light.shape
    x, y = grid(width, height)
    bark = fractal(random, width * 2, height, 50, 0.8)
    for _ in range(round(11 - 8 * near)):
        foot, thick = random.uniform(-0.02, 1.02) * width, (5 + 50 * near**2) * random.uniform(0.7, 1.3) * height / 480
        if near > 0.8 and abs(foot / width - _SUN[0]) < 0.2:
            foot -= 0.3 * width
        lean, bend = random.uniform(-0.06, 0.06), random.uniform(-0.02, 0.02) * width
        middle = foot + lean * (height - y) + bend * np.sin(y / height * 4 + foot)
        half = thick / 2 * (0.75 + 0.45 * (y / height) ** 3) + 1.2 * near * (looked_up(bark, x * 0 + foot, y) - 0.5) * 8
        across = (x - middle) / half
        base = height * (0.60 + 0.32 * near**1.5) + 6 * np.cos(across * 2)
        cover = smooth_step(1.0, 1.0 - 1.6 / max(thick, 3), np.abs(across)) * smooth_step(2, -2, y - base)
        rough = looked_up(bark, (x * 2.2 + foot * 3) % (2 * width - 1), (y * 0.35 + foot) % (height - 1))
        rounded = np.sqrt(np.clip(1 - across**2, 0, 1))
        towards = np.clip(0.5 + 0.5 * across * np.sign(_SUN[0] * width - foot), 0, 1)
        shade = (0.35 + 0.65 * rounded * towards) * (0.5 + 0.95 * smooth_step(0.35, 0.65, rough))
        hue = mix(
            colour(24, 18, 14),
            mix(colour(120, 92, 66), colour(214, 176, 112), np.clip(light * 1.3, 0, 1)),
            np.clip(shade, 0, 1),
        )
        moss = smooth_step(0.55, 0.7, rough + 0.3 * (y / height - 0.5)) * (1 - towards)
        hue = mix(hue, np.broadcast_to(colour(62, 84, 30), hue.shape), 0.7 * moss)
        picture = mix(picture, _faded(hue, near, light), cover)
    return picture


def _with_ferns(random: np.random.Generator, picture: Field, light: Field) -> Field:
    """Grow ferns in front: arched stems with leaflets on both sides."""
    height, width = light.shape
    canvas = picture_of(picture)
    draw = ImageDraw.Draw(canvas)
    for foot_y in np.sort(random.uniform(0.80, 1.08, 46)):
        foot_x = random.uniform(0, 1) * width
        glow = float(np.exp(-abs(foot_x / width - _SUN[0]) * 2.2))
        for _ in range(random.integers(4, 8)):
            way, reach = random.uniform(-1, 1), height * 0.17 * random.uniform(0.6, 1.1) * (foot_y - 0.45) * 2
            hue = mix(
                colour(26, 54, 18), colour(150, 172, 54), float(np.clip(random.uniform(0.1, 0.6) + 0.35 * glow, 0, 1))
            )
            _frond(draw, (foot_x, foot_y * height), way, reach, hue)
    return np.asarray(canvas, np.float32)


def _frond(draw: ImageDraw.ImageDraw, foot: tuple[float, float], way: float, reach: float, hue: Field) -> None:
    for share in np.linspace(0.08, 1, 22):
        x = foot[0] + way * reach * share
        y = foot[1] - reach * (1.5 * share - 1.0 * share**2)
        long = reach * 0.20 * (1.05 - share)
        shade = hue * (0.7 + 0.5 * share)
        for side in (-1, 1):
            end = (x + way * long * 0.5 + side * long * 0.35, y + side * long * 0.8 - long * 0.2)
            draw.line([(x, y), end], fill=tuple(map(int, np.clip(shade * (1 + 0.15 * side), 0, 255))), width=2)


def _rays(random: np.random.Generator, width: int, height: int) -> Field:
    """Return the beams of the sun, which run away from it."""
    x, y = grid(width, height)
    turn = np.arctan2(y - _SUN[1] * height, x - _SUN[0] * width)
    beams = fractal(random, 720, 16, 26, 0.6)[8]
    return smooth_step(0.45, 0.85, beams[np.clip(((turn + np.pi) / (2 * np.pi) * 719).astype(int), 0, 719)])

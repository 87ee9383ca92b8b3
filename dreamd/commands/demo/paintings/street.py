"""A street at night in the rain: lit windows, signs, lamps, and all of it once more in the wet road."""

from __future__ import annotations

import numpy as np
from PIL import Image

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

_HORIZON = 0.56
"""Where the horizon lies, as a share of the picture from above."""

_HALF = 5.0
"""Half the street's width, in metres."""

_EYE = 1.7
"""The eye's height over the road, in metres."""

_FAR = 120.0
"""The distance in metres from which on all is haze."""

_NEON = ((255, 60, 120), (60, 200, 255), (255, 170, 40), (120, 255, 150), (190, 90, 255), (255, 80, 50))


def street(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Paint a street at night, 8 bit RGB; the same for the same size and seed."""
    random = np.random.default_rng(seed)
    standing = _houses(random, width, height)
    standing = _with_signs(random, standing)
    standing = _with_lamps(standing)
    standing = _with_people(random, standing)
    picture = _with_road(random, standing)
    glow = 0.5 * blurred(np.clip(picture - 110, 0, None), 5) + 0.6 * blurred(np.clip(picture - 90, 0, None), 22)
    picture = picture + glow
    picture += _rain(random, width, height)[..., None] * colour(60, 66, 80)
    return picture_of(255 * (1 - np.exp(-picture / 165)) * 1.12 + random.normal(0, 2.5, picture.shape))


def _walls(width: int, height: int) -> tuple[Field, Field, Field]:
    """Return for each pixel how far along the street its wall is, how high, in metres, and its side, -1 or 1."""
    x, y = grid(width, height)
    right, down = (x - width * 0.5) / width, (y - height * _HORIZON) / width
    away = 0.55 * _HALF / np.maximum(np.abs(right), 1e-3)
    return np.minimum(away, _FAR * 4), _EYE - down * away / 0.55, np.sign(right)


def _houses(random: np.random.Generator, width: int, height: int) -> Field:
    away, up, side = _walls(width, height)
    house = np.floor((away + 3 * side) / 9).astype(np.int32) % 40 + 40 * (side > 0)
    tall = 11 + 16 * random.random(80)
    tints = np.array([(74, 52, 44), (50, 54, 64), (82, 70, 56), (44, 46, 50), (64, 44, 48)], np.float32)
    tint = tints[random.integers(0, 5, 80)]
    brick = looked_up(fractal(random, 1024, 512, 60, 0.8), (away * 23) % 1023, np.abs(up * 23) % 511)
    wall = tint[house] * (0.35 + 0.75 * brick[..., None])
    wall = wall * (0.40 + 0.9 * np.exp(-np.abs(up - 3) / 5))[..., None]
    wall = _with_windows(random, wall, away + 3 * side, up, house)
    haze = 1 - np.exp(-away / 70)
    haze_colour = colour(54, 48, 66)
    wall = mix(wall.astype(np.float32), np.broadcast_to(haze_colour, wall.shape).astype(np.float32), haze)
    clouds = fractal(random, width, height, 4, 0.55)
    y = np.linspace(1, 0, height, dtype=np.float32)[:, None]
    sky = mix(colour(16, 18, 34), colour(76, 58, 72), np.clip((1 - y) * 0.9 + 0.5 * (clouds - 0.5), 0, 1))
    above = smooth_step(0, 0.25, (up - tall[house]) / np.maximum(1, away / 12))
    return mix(wall, sky, np.maximum(above, smooth_step(_FAR, _FAR * 2.5, away)))


def _with_windows(random: np.random.Generator, wall: Field, along: Field, up: Field, house: Field) -> Field:
    """Light some of the windows, and all of the shops; behind each is a room of its own."""
    across, story = np.floor(along / 1.8).astype(np.int32), np.floor(up / 3.1).astype(np.int32)
    inside_x, inside_y = along / 1.8 - across, up / 3.1 - story
    cell = (across * 7919 + story * 104729 + house.astype(np.int32) * 31) % 4096
    chance, hue = random.random(4096), random.random(4096)
    frame = smooth_step(0.20, 0.23, inside_x) * smooth_step(0.80, 0.77, inside_x)
    frame = frame * smooth_step(0.22, 0.25, inside_y) * smooth_step(0.86, 0.83, inside_y)
    bar = (
        1
        - 0.8 * smooth_step(0.03, 0.02, np.abs(inside_x - 0.5))
        - 0.5 * smooth_step(0.02, 0.01, np.abs(inside_y - 0.6))
    )
    room = looked_up(fractal(random, 512, 512, 40, 0.7), (along * 37 + cell) % 511, (up * 37) % 511)
    warm = mix(colour(255, 176, 84), colour(255, 226, 170), hue[cell].astype(np.float32))
    cold = mix(
        warm,
        np.broadcast_to(colour(150, 190, 255), warm.shape).astype(np.float32),
        (hue[cell] > 0.8).astype(np.float32),
    )
    light = np.where(chance[cell] < 0.42, 0.35 + 0.75 * hue[cell], 0.04) * (0.45 + 0.9 * room) * bar
    shop = (story == 0) * smooth_step(0.06, 0.09, inside_x) * smooth_step(0.94, 0.91, inside_x)
    shop = shop * smooth_step(0.12, 0.15, inside_y) * smooth_step(0.78, 0.75, inside_y)
    things = looked_up(fractal(random, 512, 512, 120, 0.6), (along * 47 + cell) % 511, (up * 9) % 511)
    shelves = 1 - 0.7 * smooth_step(0.06, 0.03, np.abs(inside_y * 4 % 1 - 0.5))
    goods = (0.25 + 0.6 * inside_y + 0.5 * room) * (0.2 + 1.3 * things) * shelves * 1.3
    upper = mix(wall, (cold * light[..., None] * 1.15).astype(np.float32), (frame * (story > 0)).astype(np.float32))
    return mix(
        upper, (warm * goods[..., None] * 0.8).astype(np.float32), (shop * (chance[cell] < 0.85)).astype(np.float32)
    )


def _with_signs(random: np.random.Generator, picture: Field) -> Field:
    """Hang signs of neon over the shops: a frame and strokes like writing."""
    height, width = picture.shape[:2]
    away, up, side = _walls(width, height)
    for number in range(16):
        place, own = 6.5 + 4.6 * (number // 2) * random.uniform(0.9, 1.1), -1 if number % 2 else 1
        long, tall, middle = random.uniform(0.7, 1.7), random.uniform(0.35, 1.3), random.uniform(3.4, 6.2)
        u, v = (away - place) / long, (up - middle) / tall
        edge = np.maximum(np.abs(u), np.abs(v))
        strokes = np.abs(v - 0.5 * np.sin(u * random.uniform(5, 9) + number) * np.cos(u * 13)) * tall
        tube = smooth_step(0.09, 0.03, np.abs(edge - 1) * min(long, tall)) + smooth_step(0.14, 0.05, strokes) * (
            edge < 0.82
        )
        hue = colour(*_NEON[random.integers(len(_NEON))])
        lit = np.clip(tube, 0, 1) * (side == own) * np.exp(-place / 60)
        picture = picture * (1 - 0.6 * (edge < 1.05) * (side == own))[..., None] + hue * 1.5 * lit[..., None]
    return picture.astype(np.float32)


def _with_lamps(picture: Field) -> Field:
    height, width = picture.shape[:2]
    x, y = grid(width, height)
    for away in (30.0, 22.0, 15.5, 10.5):
        scale = 0.55 * width / away
        for side in (-1, 1):
            foot, top = width / 2 + side * 3.6 * scale, height * _HORIZON - (5.2 - _EYE) * scale
            post = (
                smooth_step(0.09, 0.05, np.abs(x - foot) / scale) * (y > top) * (y < height * _HORIZON + _EYE * scale)
            )
            picture = picture * (1 - 0.9 * post[..., None])
            near = np.hypot(x - foot, y - top) / scale
            picture = picture + (np.exp(-((near / 0.22) ** 2)) * 420 + 46 * np.exp(-near / 0.9))[..., None] * colour(
                1, 0.82, 0.52
            )
    return picture.astype(np.float32)


def _with_people(random: np.random.Generator, picture: Field) -> Field:
    """Put a few people with umbrellas on the road, dark against the lights."""
    height, width = picture.shape[:2]
    x, y = grid(width, height)
    for away, across in ((21.0, 0.9), (17.0, -2.4), (13.0, 2.3), (8.6, -1.15)):
        scale = 0.55 * width / away
        u, v = (x - width / 2) / scale - across, (height * _HORIZON - y) / scale + _EYE
        legs = np.abs(np.abs(u) - 0.09 * (1.1 - v)) - 0.07
        body = np.where(v < 0.85, np.maximum(legs, -v), np.hypot(u / 0.26, (v - 1.15) / 0.48) - 1)
        head = np.hypot(u, v - 1.63) - 0.12
        shade = np.maximum(np.hypot(u / 0.62, (v - 1.74) / 0.42) - 1, 1.78 - v + 0.05 * np.abs(np.sin(u * 12)))
        shape = np.minimum(np.minimum(body, head), shade)
        cover = smooth_step(0.05, -0.02, shape)
        dark = mix(colour(14, 14, 20), colour(90, 24, 30), (shade < 0.02) * random.uniform(0.2, 1.0) * np.ones_like(u))
        picture = mix(picture, dark, cover)
    return picture


def _with_road(random: np.random.Generator, standing: Field) -> Field:
    """Lay the road and the pavements: rough stone that mirrors, the more so in puddles."""
    height, width = standing.shape[:2]
    x, y = grid(width, height)
    down = np.maximum((y - height * _HORIZON) / width, 1e-4)
    away = 0.55 * _EYE / down
    across = (x - width / 2) / width * away / 0.55
    on_road = (y > height * _HORIZON) * (np.abs(across) < _HALF)
    stone = looked_up(fractal(random, 1024, 1024, 90, 0.7), (across * 47 + 512) % 1023, (away * 47) % 1023)
    rows = np.abs(np.sin(away * 7.5)) * np.abs(np.sin((across + 0.2 * np.floor(away * 2.4)) * 7))
    wet = smooth_step(
        0.38, 0.66, looked_up(fractal(random, 512, 512, 16, 0.5), (across * 20 + 256) % 511, (away * 9) % 511)
    )
    wobble = (stone - 0.5) * (0.06 + 0.25 * (1 - wet)) * height * np.minimum(1, 4 * down)
    # What stands on the road at a distance is mirrored about its own foot.
    mirrored = looked_up(blurred(standing, 1.0, 6.0), x + wobble * 0.25, 2 * height * _HORIZON - y + wobble - 3)
    ground = mix(colour(16, 16, 20), colour(52, 50, 54), stone * (0.4 + 0.6 * np.sqrt(rows)))
    road = ground + mirrored * (0.30 + 0.55 * wet)[..., None] * colour(0.95, 0.95, 1.0)
    curb = smooth_step(0.35, 0.0, np.abs(np.abs(across) - 3.3)) * 26
    people = (standing.mean(2) < 22) * (y < height * (_HORIZON + 0.4))
    return np.where((on_road * (1 - people) > 0)[..., None], road + curb[..., None], standing).astype(np.float32)


def _rain(random: np.random.Generator, width: int, height: int) -> Field:
    drops = (random.random((height, width)) > 0.9965).astype(np.float32) * 6
    return np.clip(blurred(drops, 0.5, height / 60), 0, 1)

"""A lake under mountains: a map of heights, drawn from near to far, lit by a low sun, and mirrored in the water."""

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
    slope,
    smooth_step,
)

_MAP = 1024
"""The map's side, in cells."""

_NEAR, _FAR = 14.0, 1000.0
"""The nearest and the farthest that is seen, in cells of the map."""

_EYE = 17.0
"""The eye's height over the water, in cells of the map."""

_HORIZON = 0.47
"""Where the horizon lies, as a share of the picture from above."""

_SHORE = 0.8
"""The height in cells below which there is water."""


def landscape(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Paint a lake under mountains, 8 bit RGB; the same for the same size and seed."""
    random = np.random.default_rng(seed)
    heights, woods = _land(random)
    lit = _lit(heights)
    depth, across = _seen(heights, width, height)
    sky = _sky(random, width, height)
    ground = _ground(random, heights, woods, lit, across, depth)
    haze = 1 - np.exp(-np.minimum(depth, _FAR) / 900.0)
    far = mix(colour(150, 176, 206), colour(246, 214, 180), 0.35)
    picture = np.where(np.isfinite(depth)[..., None], mix(ground, np.broadcast_to(far, ground.shape), haze), sky)
    picture = _with_water(random, picture.astype(np.float32), depth, across, heights)
    return picture_of(picture + random.normal(0, 1.5, picture.shape))


def _land(random: np.random.Generator) -> tuple[Field, Field]:
    """Return the heights of the map, and where trees stand on it."""
    x, y = grid(_MAP, _MAP)
    ridges = 1 - np.abs(2 * fractal(random, _MAP, _MAP, 6, 0.42) - 1)
    rough = 1 - np.abs(2 * fractal(random, _MAP, _MAP, 18, 0.42) - 1)
    massif = smooth_step(0.25, 0.75, fractal(random, _MAP, _MAP, 3, 0.4))
    hills = fractal(random, _MAP, _MAP, 5, 0.5)
    far = smooth_step(360, 800, y)
    side = smooth_step(60, 330, np.abs(x - _MAP * 0.47 - 40 * np.sin(y / 120)))
    high = far * (14 + 150 * ridges**3 * (0.35 + 0.9 * massif) + 26 * rough * ridges)
    low = (26 * hills + 9 * rough) * side * smooth_step(40, 260, y) + 22 * hills * side
    heights = (high + low - 6 + 7 * smooth_step(0.45, 0.8, hills)).astype(np.float32)
    kind = fractal(random, _MAP, _MAP, 24, 0.6)
    woods = smooth_step(1.5, 5, heights) * (1 - smooth_step(34, 70, heights + 24 * kind)) * smooth_step(0.3, 0.5, kind)
    return heights + woods * _trees(random), woods


def _trees(random: np.random.Generator) -> Field:
    """Return the heights of a wood of conifers that covers the whole map."""
    tops = np.zeros((_MAP, _MAP), np.float32)
    x, y = np.mgrid[-3:4, -3:4]
    cone = np.clip(1 - np.hypot(x, y) / 2.6, 0, None)
    for top, left in random.integers(3, _MAP - 4, (30_000, 2)):
        here = tops[top - 3 : top + 4, left - 3 : left + 4]
        np.maximum(here, cone * random.uniform(3.5, 8.0), out=here)
    return tops


def _lit(heights: Field) -> Field:
    """Return how much sun falls on each cell: by its slope, and nothing in the shadow of what is higher."""
    shadow = np.zeros_like(heights)
    line = heights[:, 0].copy()
    for column in range(1, _MAP):
        line = np.maximum(line - 0.34, heights[:, column])
        shadow[:, column] = line - heights[:, column]
    gentle = blurred(heights, 0.6)
    facing = np.clip(0.42 + 0.30 * slope(gentle, 0, 2) + 0.10 * slope(gentle, 2, 0), 0, 1.4)
    return np.asarray(facing * (1 - 0.75 * blurred(smooth_step(0.2, 3.0, shadow), 1.2)), np.float32)


def _seen(heights: Field, width: int, height: int) -> tuple[Field, Field]:
    """Return for each pixel how far away the ground is, and where it lies across, in cells; infinite for the sky."""
    depth = np.full((height, width), np.inf, np.float32)
    across = np.zeros((height, width), np.float32)
    rows = np.arange(height, dtype=np.float32)[:, None]
    focus, horizon = width * 0.75, height * _HORIZON
    top = np.full(width, height, np.float32)
    for distance in np.geomspace(_NEAR, _FAR, 1500, dtype=np.float32):
        x = _MAP * 0.47 + (np.arange(width, dtype=np.float32) - width / 2) / focus * distance
        ground = looked_up(heights, x, np.full_like(x, distance))
        row = horizon - (np.maximum(ground, _SHORE) - _EYE) * focus / distance
        if (row < top).any():
            new = (rows >= row) & (rows < top)
            depth[new] = distance
            across = np.where(new, x, across)
            top = np.minimum(top, row)
    return depth, across


def _ground(random: np.random.Generator, heights: Field, woods: Field, lit: Field, x: Field, depth: Field) -> Field:
    """Return the colours of the ground: woods and grass below, rock above, snow where it is high and flat."""
    y = np.where(np.isfinite(depth), depth, 0)
    height, wood, sun = (looked_up(value, x, y) for value in (heights, woods, lit))
    fine = looked_up(fractal(random, _MAP, _MAP, 60, 0.75), x, y)
    steep = np.abs(looked_up(slope(blurred(heights, 1.5), 2, 2), x, y))
    meadow = mix(colour(86, 98, 44), colour(150, 132, 70), fine)
    rock = mix(colour(96, 84, 78), colour(170, 150, 132), fine)
    snow = colour(246, 246, 250)
    ground = mix(meadow, mix(colour(20, 38, 26), colour(58, 76, 38), fine), np.clip(wood * 1.4, 0, 1))
    ground = mix(ground, rock, smooth_step(38, 72, height + 40 * (fine - 0.5) + 5 * steep))
    ground = mix(ground, snow, smooth_step(84, 116, height + 50 * (fine - 0.5) - 5 * steep))
    shade, light = colour(0.42, 0.50, 0.68), colour(1.34, 1.16, 0.92)
    return np.asarray(ground * mix(shade, light, np.clip(sun, 0, 1)), np.float32)


def _sky(random: np.random.Generator, width: int, height: int) -> Field:
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None] / _HORIZON
    base = mix(colour(66, 112, 180), colour(248, 216, 178), np.broadcast_to(np.clip(y, 0, 1) ** 1.3, (height, width)))
    density = fractal(random, width, height * 2, 5, 0.55)[::2]
    thick = smooth_step(0.5, 0.78, density + 0.08 * (1 - y))
    relief = np.clip(slope(blurred(density, 1), height // 30, width // 60) * 6 + 0.6, 0, 1)
    return mix(base, mix(colour(146, 146, 172), colour(255, 246, 232), relief), thick * 0.9)


def _with_water(random: np.random.Generator, picture: Field, depth: Field, across: Field, heights: Field) -> Field:
    """Lay water where the ground is below the shore: a mirror that ripples, darker where one looks down on it."""
    height, width = depth.shape
    y = np.where(np.isfinite(depth), depth, 0)
    wet = np.isfinite(depth) * (1 - smooth_step(_SHORE - 0.4, _SHORE + 0.3, looked_up(heights, across, y)))
    x, row = grid(width, height)
    below = np.clip((row - height * _HORIZON) / height, 0, 1)
    ripples = fractal(random, width, height * 6, 40, 0.7)[::6] - 0.5
    # The shore is nearer than the horizon, so that what it mirrors begins a little below.
    mirrored = 2 * height * _HORIZON - row + 2 + ripples * 110 * below
    seen = looked_up(blurred(picture, 0.6, 1.6), x + ripples * 26 * below, np.clip(mirrored, 0, height * _HORIZON))
    deep = mix(np.broadcast_to(colour(26, 52, 66), seen.shape).astype(np.float32), seen * 0.94, 1 - 0.75 * below)
    glints = np.clip(ripples - 0.14, 0, 1)[..., None] * colour(240, 220, 190) * (0.4 + below[..., None])
    return mix(picture, np.asarray(deep + glints, np.float32), wet.astype(np.float32))

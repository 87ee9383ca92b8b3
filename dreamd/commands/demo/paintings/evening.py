"""A clear sky after sunset over the sea: nearly nothing, which is the hardest to dream well."""

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

_HORIZON = 0.80
"""Where the sea ends, as a share of the picture from above."""

_COLOURS = (
    (0.0, (38, 52, 98)),
    (0.35, (96, 100, 148)),
    (0.6, (196, 142, 150)),
    (0.85, (250, 178, 122)),
    (1.0, (255, 206, 138)),
)
"""The sky's colours by the share of the way down to the horizon."""


def evening(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Paint an evening sky over the sea, 8 bit RGB; the same for the same size and seed."""
    random = np.random.default_rng(seed)
    x, y = grid(width, height)
    u, down = x / width, y / (height * _HORIZON)
    sky = _sky(np.clip(down, 0, 1))
    glow = np.exp(-(((u - 0.68) / 0.35) ** 2) - ((down - 1.0) / 0.30) ** 2)
    sky = mix(sky, np.broadcast_to(colour(255, 226, 168), sky.shape), 0.75 * glow)
    wisps = fractal(random, width, height * 8, 7, 0.55)[::8]
    thin = smooth_step(0.60, 0.95, wisps) * np.exp(-(((down - 0.80) / 0.13) ** 2))
    sky = mix(sky, mix(colour(150, 92, 116), colour(255, 190, 150), np.clip(glow * 1.4, 0, 1)), thin * 0.8)
    picture = np.where((down < 1)[..., None], sky, _sea(random, sky))
    ridge = _HORIZON - 0.075 * fractal(random, width, 8, 5, 0.5)[4] * smooth_step(0.62, 0.0, np.linspace(0, 1, width))
    land = smooth_step(-0.002, 0.002, y / height - ridge[None]) * (down < 1.0)
    rough = fractal(random, width, height, 60, 0.8)
    picture = mix(picture, mix(colour(26, 26, 44), colour(70, 54, 72), rough), land)
    return picture_of(blurred(picture.astype(np.float32), 0.5) + random.normal(0, 1.6, picture.shape))


def _sky(down: Field) -> Field:
    places = [place for place, _ in _COLOURS]
    parts = [np.interp(down, places, [hue[part] for _, hue in _COLOURS]) for part in range(3)]
    return np.stack(parts, 2).astype(np.float32)


def _sea(random: np.random.Generator, sky: Field) -> Field:
    """Return the sea, which mirrors the sky in waves that are finer towards the horizon."""
    height, width = sky.shape[:2]
    x, y = grid(width, height)
    near = np.clip((y / height - _HORIZON) / (1 - _HORIZON), 1e-3, 1)
    waves = fractal(random, 1024, 1024, 60, 0.7)
    swell = looked_up(waves, ((x - width / 2) / (0.12 + near) * 0.6 + 5120) % 1023, (340 / (0.1 + near)) % 1023) - 0.5
    mirrored = looked_up(
        sky, x + swell * 60 * near, np.clip(height * _HORIZON * (1 - 0.75 * near + 1.2 * swell * near), 0, None)
    )
    deep = mix(mirrored * 0.72, np.broadcast_to(colour(30, 40, 70), sky.shape), 0.25 + 0.45 * near)
    return np.asarray(deep * (1 + 0.9 * swell[..., None]), np.float32)

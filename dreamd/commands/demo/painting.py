"""Clouds in an evening sky over hills, painted so that no file under another's licence is shipped.

The sky's clouds are fractal noise (sums of smoothed noise at halving scales; Perlin, 1985), thresholded softly.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from dreamd.commands.demo.paintings.canvas import Field, fractal, mix, slope, smooth_step

_ZENITH = np.array([52, 96, 168], np.float32)
_HORIZON = np.array([250, 196, 140], np.float32)
_CLOUD_LIGHT = np.array([255, 244, 228], np.float32)
_CLOUD_SHADE = np.array([132, 128, 158], np.float32)
_FAR_HILL = np.array([96, 108, 128], np.float32)
_NEAR_HILL = np.array([46, 66, 52], np.float32)


def clouds(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Paint clouds, 8 bit RGB; the same for the same size and seed."""
    random = np.random.default_rng(seed)
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    sky = mix(_ZENITH, _HORIZON, np.broadcast_to(y**1.4, (height, width)))
    density = fractal(random, width, height, 4.0)
    thickness = smooth_step(0.46, 0.66, density + 0.10 * (0.5 - y))
    relief = np.clip(slope(density, height // 40, width // 60) * 7 + 0.55, 0, 1)
    picture = mix(sky, mix(_CLOUD_SHADE, _CLOUD_LIGHT, relief), thickness)
    for colour, base, rise in ((_FAR_HILL, 0.80, 0.10), (_NEAR_HILL, 0.90, 0.14)):
        picture = _with_hill(random, picture, colour, base, rise)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def _with_hill(random: np.random.Generator, picture: Field, colour: Field, base: float, rise: float) -> Field:
    height, width, _ = picture.shape
    ridge = base - rise * (fractal(random, width, 8, 2.0)[4] - 0.35)
    inside = np.clip((np.linspace(0, 1, height)[:, None] - ridge[None]) * height, 0, 1).astype(np.float32)
    texture = 0.7 + 0.6 * fractal(random, width, height, 24.0)
    return mix(picture, colour * texture[:, :, None], inside)

"""The demo's picture: clouds in an evening sky over hills, painted so that no file under another's licence is shipped.

The sky's clouds are fractal noise (sums of smoothed noise at halving scales; Perlin, 1985), thresholded softly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]
"""A map of values in [0, 1], `[H, W]`."""

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
    sky = _mix(_ZENITH, _HORIZON, np.broadcast_to(y**1.4, (height, width)))
    density = _fractal(random, width, height, 4.0)
    thickness = _smooth_step(0.46, 0.66, density + 0.10 * (0.5 - y))
    relief = np.clip(_slope(density, height // 40, width // 60) * 7 + 0.55, 0, 1)
    picture = _mix(sky, _mix(_CLOUD_SHADE, _CLOUD_LIGHT, relief), thickness)
    for colour, base, rise in ((_FAR_HILL, 0.80, 0.10), (_NEAR_HILL, 0.90, 0.14)):
        picture = _with_hill(random, picture, colour, base, rise)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def _with_hill(
    random: np.random.Generator, picture: NDArray[np.float32], colour: Field, base: float, rise: float
) -> NDArray[np.float32]:
    height, width, _ = picture.shape
    ridge = base - rise * (_fractal(random, width, 8, 2.0)[4] - 0.35)
    inside = np.clip((np.linspace(0, 1, height)[:, None] - ridge[None]) * height, 0, 1).astype(np.float32)
    texture = 0.7 + 0.6 * _fractal(random, width, height, 24.0)
    return _mix(picture, colour * texture[:, :, None], inside)


def _fractal(random: np.random.Generator, width: int, height: int, cells: float) -> Field:
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    side = max(width, height)
    while cells < side / 2:
        shape = (max(2, round(cells * height / side) + 1), max(2, round(cells * width / side) + 1))
        noise = Image.fromarray(random.random(shape, np.float32))
        total += weight * np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC))
        cells, weight = cells * 2, weight * 0.55
    low, high = total.min(), total.max()
    return np.asarray((total - low) / (high - low or 1), np.float32)  # a pixel or two hold no noise


def _slope(value: Field, down: int, right: int) -> Field:
    """Tell how much a value grows over some pixels, seen from the light in the upper left."""
    height, width = value.shape
    return value - np.pad(value, ((down, 0), (right, 0)), mode="reflect")[:height, :width]


def _smooth_step(low: float, high: float, value: Field) -> Field:
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _mix(first: NDArray[np.float32], second: NDArray[np.float32], share: NDArray[np.float32]) -> NDArray[np.float32]:
    return first + (second - first) * share[:, :, None]

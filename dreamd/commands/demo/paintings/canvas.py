"""What all the paintings are painted with: noise, light, blur, and strokes of a brush.

Noise is fractal: sums of smoothed noise at halving scales (Perlin, 1985).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Field = NDArray[np.floating[Any]]
"""Values, `[H, W]`, mostly in [0, 1]; or colours from 0 to 255, `[H, W, 3]`."""

_BRISTLES = 5
"""The lines side by side that one stroke of the brush leaves."""

_REACH = 3.0
"""The strokes' length, in their widths."""


def fractal(random: np.random.Generator, width: int, height: int, cells: float, fade: float = 0.55) -> Field:
    """Return fractal noise from 0 to 1.

    Args:
        random: where it comes from.
        width: in pixels.
        height: in pixels.
        cells: how many bumps of the coarsest noise lie along the longer side.
        fade: how strong each finer noise is beside the one before it; much is rough.
    """
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    side = max(width, height)
    while cells < side / 2:
        shape = (max(2, round(cells * height / side) + 1), max(2, round(cells * width / side) + 1))
        noise = Image.fromarray(random.random(shape, np.float32))
        total += weight * np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC))
        cells, weight = cells * 2, weight * fade
    low, high = total.min(), total.max()
    return np.asarray((total - low) / (high - low or 1), np.float32)  # a pixel or two hold no noise


def colour(red: float, green: float, blue: float) -> Field:
    """Return one colour, its parts from 0 to 255."""
    return np.array([red, green, blue], np.float32)


def mix(first: Field, second: Field, share: Field | float) -> Field:
    """Mix two colours or pictures; a share of 0 is the first, and 1 the second."""
    weight = np.asarray(share, np.float32)
    return np.asarray(first + (second - first) * (weight[..., None] if weight.ndim else weight), np.float32)


def smooth_step(low: float, high: float, value: Field) -> Field:
    """Return how far a value has risen from one bound to the other, from 0 to 1, starting and ending gently."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def slope(value: Field, down: int, right: int) -> Field:
    """Tell how much a value grows over some pixels, seen from the light in the upper left."""
    height, width = value.shape
    return value - np.pad(value, ((down, 0), (right, 0)), mode="reflect")[:height, :width]


def blurred(value: Field, across: float, down: float | None = None) -> Field:
    """Blur values or colours by a Gaussian of a width in pixels, across and down; None: as across."""
    return _blurred_along(_blurred_along(value, across, 1), across if down is None else down, 0)


def grid(width: int, height: int) -> tuple[Field, Field]:
    """Return the place of each pixel, across and down, in pixels."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x, y


def looked_up(value: Field, x: Field, y: Field) -> Field:
    """Return values or colours at places between pixels; beyond the edges are those at the edge."""
    height, width = value.shape[:2]
    x, y = np.clip(x, 0, width - 1.001), np.clip(y, 0, height - 1.001)
    left, top = x.astype(np.int32), y.astype(np.int32)
    right, below = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = x - left, y - top
    if value.ndim == 3:
        across, down = across[..., None], down[..., None]
    upper = value[top, left] * (1 - across) + value[top, right] * across
    lower = value[below, left] * (1 - across) + value[below, right] * across
    return np.asarray(upper * (1 - down) + lower * down, np.float32)


def picture_of(colours: Field) -> Image.Image:
    """Return colours from 0 to 255 as a picture, 8 bit RGB."""
    return Image.fromarray(np.clip(colours, 0, 255).round().astype(np.uint8))


def brushed(random: np.random.Generator, colours: Field, widths: tuple[int, ...], lively: float = 9.0) -> Field:
    """Paint a picture anew by strokes that follow its shapes.

    Hertzmann: "Painterly Rendering with Curved Brush Strokes of Multiple Sizes", 1998, with straight strokes.

    Args:
        random: where strokes begin, in what order, and how their colour strays.
        colours: what is painted.
        widths: the brushes' widths in pixels, the widest first; each paints only what those before it missed.
        lively: how far a stroke's colour strays, of 255.
    """
    canvas = picture_of(blurred(colours, widths[0]))
    for number, width in enumerate(widths):
        wanted = blurred(colours, width / 3)
        missed = np.abs(np.asarray(canvas, np.float32) - wanted).mean(2)
        draw = ImageDraw.Draw(canvas)
        for x, y in _places(random, missed.shape, width):
            if number == 0 or missed[y, x] > _MISSED:
                _stroke(random, draw, wanted, (x, y), width, lively)
    return np.asarray(canvas, np.float32)


_MISSED = 5.0
"""The difference, of 255, from which on a finer brush paints over what is there."""


def _places(random: np.random.Generator, shape: tuple[int, ...], width: int) -> list[tuple[int, int]]:
    """Return where strokes begin: one in each cell of a grid, in any order."""
    height, across = shape[:2]
    step = max(2, round(width * 0.8))
    y, x = np.mgrid[0:height:step, 0:across:step]
    places = np.stack([x.ravel(), y.ravel()], 1) + random.integers(0, step, (x.size, 2))
    random.shuffle(places)
    return [(min(int(x), across - 1), min(int(y), height - 1)) for x, y in places]


def _stroke(
    random: np.random.Generator,
    draw: ImageDraw.ImageDraw,
    colours: Field,
    start: tuple[int, int],
    width: int,
    lively: float,
) -> None:
    x, y = start
    height, across = colours.shape[:2]
    reach = max(2, width // 2)
    light = [
        float(colours[min(max(y + down, 0), height - 1), min(max(x + right, 0), across - 1)].mean())
        for right, down in ((reach, 0), (-reach, 0), (0, reach), (0, -reach))
    ]
    rising, turn = (light[0] - light[1], light[2] - light[3]), random.normal(0, 0.25)
    angle = (
        math.atan2(rising[1], rising[0]) + math.pi / 2 if max(map(abs, rising)) > 2 else random.normal(0.4, 0.5)
    ) + turn
    along, aside = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
    length = width * _REACH * random.uniform(0.6, 1.2) / 2
    own = colours[y, x] + random.normal(0, lively)
    for bristle in range(_BRISTLES):
        off = (bristle / (_BRISTLES - 1) - 0.5) * width
        shade = np.clip(own + random.normal(0, lively), 0, 255).astype(int)
        reach_here = length * random.uniform(0.75, 1.0)
        middle = (x + aside[0] * off, y + aside[1] * off)
        ends = [
            (middle[0] + sign * along[0] * reach_here, middle[1] + sign * along[1] * reach_here) for sign in (-1, 1)
        ]
        draw.line(ends, fill=tuple(map(int, shade)), width=max(1, math.ceil(width / (_BRISTLES - 1))))


def _blurred_along(value: Field, sigma: float, axis: int) -> Field:
    if sigma <= 0:
        return value
    radius = min(math.ceil(3 * sigma), value.shape[axis] - 1)
    kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2)).astype(np.float32)
    kernel /= kernel.sum()
    sides = [(radius, radius) if own == axis else (0, 0) for own in range(value.ndim)]
    padded = np.pad(value, sides, mode="reflect")
    total = np.zeros_like(value)
    for place, weight in enumerate(kernel):
        total += weight * np.take(padded, range(place, place + value.shape[axis]), axis)
    return total

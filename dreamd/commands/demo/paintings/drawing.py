"""A drawing in ink: the fruit and the jug once more, by outlines and hatching, on white paper."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dreamd.commands.demo.paintings.canvas import Field, blurred, colour, fractal, grid, mix, picture_of, smooth_step
from dreamd.commands.demo.paintings.still_life import still_life


def drawing(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Draw fruit and a jug in ink, 8 bit RGB; the same for the same size and seed."""
    random = np.random.default_rng(seed + 1)
    colours = np.asarray(still_life(width, height, seed=seed), np.float32)
    light = blurred(colours.mean(2), 1.6)
    light = smooth_step(8, 190, light * 1.25)
    ink = np.maximum(_outlines(colours), _hatching(random, light))
    grain = fractal(random, width, height, 90, 0.9)
    ink = np.clip(ink * (0.72 + 0.5 * grain), 0, 1)
    paper = colour(244, 239, 226) * (0.965 + 0.05 * fractal(random, width, height, 60, 0.85)[..., None])
    return picture_of(mix(paper.astype(np.float32), np.broadcast_to(colour(34, 28, 32), paper.shape), ink))


def _outlines(colours: Field) -> Field:
    """Return ink where colours change abruptly."""
    edges = np.zeros(colours.shape[:2], np.float32)
    for channel in range(3):
        gentle = blurred(colours[..., channel], 2.0)
        down, across = np.gradient(gentle)
        edges = np.maximum(edges, np.hypot(down, across))
    strong = blurred(edges, 0.7)
    return smooth_step(5.0, 11.0, strong) * smooth_step(-0.5, 0.8, strong - blurred(strong, 4.0))


def _hatching(random: np.random.Generator, light: Field) -> Field:
    """Return strokes, of more directions where it is darker; none where it is light."""
    height, width = light.shape
    x, y = grid(width, height)
    sway = fractal(random, width, height, 4, 0.4) * 16
    ink = np.zeros_like(light)
    for angle, below, pitch in ((0.7, 0.44, 6.0), (-0.6, 0.26, 6.5), (0.1, 0.13, 5.5)):
        wave = np.sin((x * np.sin(angle) + y * np.cos(angle) + sway) * (2 * np.pi / pitch))
        width_here = np.clip((below - light) / below, 0, 1)
        ink = np.maximum(
            ink, smooth_step(0.95 - 0.9 * 0.8, 1.0, wave - 0.75 + width_here) * smooth_step(0, 0.12, width_here)
        )
    return ink

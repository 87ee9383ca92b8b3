"""A picture in memory, and the same picture made smaller."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dreamd.pictures.descriptions.description import Description

Bytes = NDArray[np.uint8]
"""An array of bytes: a picture's pixels, or its alpha channel."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A picture in memory.

    Attributes:
        pixels: `[H, W, 3]` uint8, sRGB, upright: the EXIF orientation is applied.
        alpha: `[H, W]` uint8, 255 is opaque; None when the whole picture is opaque.
        format: Pillow's name of the format it was read from: "JPEG", "PNG"; "PNG" when a plugin decoded it.
        description: what its authors wrote about it, as far as it is true of a dream of it.
        dpi: dots per inch, across and down; None when nobody said.
        sha256: of the file that it was read from, of the very bytes that were decoded; "" for one that was made.
        notes: what a person should know about how it was read or written, in words: that a part is missing.
    """

    pixels: Bytes
    alpha: Bytes | None
    format: str
    description: Description = field(default_factory=Description)
    dpi: tuple[float, float] | None = None
    sha256: str = ""
    notes: tuple[str, ...] = ()


def shrunk(picture: Picture, max_side: int | None) -> Picture:
    """Return the picture made smaller, so that no side is longer than `max_side` pixels; None leaves it as it is."""
    height, width = picture.pixels.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return picture
    scale = max_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    colour = Image.fromarray(picture.pixels)
    if picture.alpha is None:
        return replace(picture, pixels=np.array(colour.resize(size, Image.Resampling.LANCZOS)))
    # Premultiplied while it shrinks, or the colours hidden under transparent pixels would bleed into their edges.
    colour.putalpha(Image.fromarray(picture.alpha))
    small = np.array(colour.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA"))
    return replace(picture, pixels=np.ascontiguousarray(small[:, :, :3]), alpha=np.ascontiguousarray(small[:, :, 3]))

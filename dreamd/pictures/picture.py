"""A picture in memory, and the same picture made smaller."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dreamd.pictures.colours.conversion import Pixels, are_bytes, quantised
from dreamd.pictures.decoders.raster import Alpha
from dreamd.pictures.descriptions.description import Description

Bytes = NDArray[np.uint8]
"""An array of bytes: a picture's pixels, or its alpha channel."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A picture in memory.

    Attributes:
        pixels: `[H, W, 3]`, sRGB, upright: the EXIF orientation is applied. Bytes where 8 bit of sRGB hold all of it;
            else float32 from 0 to 1, and beyond for colours that sRGB lacks.
        alpha: `[H, W]` uint8 or uint16, the highest number is opaque; None when the whole picture is opaque.
        format: Pillow's name of the format it was read from: "JPEG", "PNG"; "PNG" when a plugin decoded it.
        depth: bits a sample that its file had: 8 to 16.
        profile: the ICC profile, of RGB or grey, that a result is written in; b"" for sRGB.
        is_grey: whether its file was grey.
        description: what its authors wrote about it, as far as it is true of a dream of it.
        dpi: dots per inch, across and down; None when nobody said.
        sha256: of the file that it was read from, of the very bytes that were decoded; "" for one that was made.
        notes: what a person should know about how it was read or written, in words: that a part is missing.
    """

    pixels: Pixels
    alpha: Alpha | None
    format: str
    depth: int = 8
    profile: bytes = b""
    is_grey: bool = False
    description: Description = field(default_factory=Description)
    dpi: tuple[float, float] | None = None
    sha256: str = ""
    notes: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """The bytes of memory that its pixels and its alpha channel take."""
        return self.pixels.nbytes + (0 if self.alpha is None else self.alpha.nbytes)


def in_bytes(picture: Picture) -> Picture:
    """Return the picture as an ordinary screen shows it: in bytes of sRGB, with alpha in bytes."""
    alpha = None if picture.alpha is None else alpha_in_bits(picture.alpha, 8)
    return replace(picture, pixels=bytes_of(picture.pixels), alpha=alpha, depth=8, profile=b"")


def bytes_of(pixels: Pixels) -> Bytes:
    """Return colours in bytes, rounded; what sRGB lacks is clipped."""
    return quantised(pixels, 8).astype(np.uint8, copy=False)


def alpha_in_bits(alpha: Alpha, bits: int) -> Alpha:
    """Return an alpha channel in so many bits, 8 to 16, of which the highest number is opaque."""
    top, full = (1 << bits) - 1, int(np.iinfo(alpha.dtype).max)
    if full == top:
        return alpha
    scaled: NDArray[Any] = np.rint(alpha * np.float64(top / full))
    return scaled.astype(np.uint8) if bits == 8 else scaled.astype(np.uint16)


def shrunk(picture: Picture, max_side: int | None) -> Picture:
    """Return the picture made smaller, so that no side is longer than `max_side` pixels; None leaves it as it is."""
    height, width = picture.pixels.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return picture
    scale = max_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if picture.pixels.dtype != np.uint8 or (picture.alpha is not None and picture.alpha.dtype != np.uint8):
        return _shrunk_in_floats(picture, size)
    colour = Image.fromarray(picture.pixels)
    if picture.alpha is None:
        return replace(picture, pixels=np.array(colour.resize(size, Image.Resampling.LANCZOS)))
    # Premultiplied while it shrinks, or the colours hidden under transparent pixels would bleed into their edges.
    colour.putalpha(Image.fromarray(picture.alpha))
    small = np.array(colour.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA"))
    return replace(picture, pixels=np.ascontiguousarray(small[:, :, :3]), alpha=np.ascontiguousarray(small[:, :, 3]))


def _shrunk_in_floats(picture: Picture, size: tuple[int, int]) -> Picture:
    """Shrink channel by channel, in floats, so that the depth stays; colours premultiplied as above."""
    pixels: NDArray[Any] = picture.pixels / np.float32(255) if are_bytes(picture.pixels) else picture.pixels
    if picture.alpha is None:
        return replace(picture, pixels=np.stack([_resized(pixels[..., at], size) for at in range(3)], axis=-1))
    kind = picture.alpha.dtype
    top = np.float32(np.iinfo(kind).max)
    opacity: NDArray[Any] = picture.alpha / top
    small = np.clip(_resized(opacity, size), 0, 1)
    visible = np.maximum(small, 1 / top)
    colours: list[NDArray[Any]] = [_resized(pixels[..., at] * opacity, size) / visible for at in range(3)]
    return replace(picture, pixels=np.stack(colours, axis=-1), alpha=np.rint(small * top).astype(kind))


def _resized(channel: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    image = Image.fromarray(np.ascontiguousarray(channel, np.float32))
    return np.array(image.resize(size, Image.Resampling.LANCZOS))

"""A raster: what a decoder makes of a file, before anything is known of its colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dreamd.pictures.colours.conversion import Levels

Alpha = NDArray[np.uint8] | NDArray[np.uint16]
"""An alpha channel `[H, W]`, of 8 or 16 bit."""

Codes = NDArray[np.uint8] | NDArray[np.uint16]
"""Whole numbers as a decoder hands them over."""

CheckSize = Callable[[int, int], None]
"""It is called with a width and a height before memory is taken for them, and raises where they are too large."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Raster:
    """Decoded values of grey or of red, green and blue.

    Attributes:
        levels: `[H, W]` or `[H, W, 3]`.
        white: the value of white; 1 for floats.
        depth: bits a sample that the file has, 8 to 16; floats count as 16.
        alpha: `[H, W]` from clear, 0, to the highest number of its type; None where the file has none.
    """

    levels: Levels
    white: int
    depth: int
    alpha: Alpha | None = None


def raster_of_codes(levels: Codes, bits: int, *, alpha: Codes | None = None, is_associated: bool = False) -> Raster:
    """Return whole numbers that fill a byte or, of more than 8 bit, stand at the upper end of 16, as a raster.

    Args:
        levels: `[H, W]` or `[H, W, 3]`.
        bits: bits a sample, where they have 16.
        alpha: `[H, W]`, as the levels; None for none.
        is_associated: whether the levels are multiplied by it.
    """
    full = int(np.iinfo(levels.dtype).max)
    bits = bits if levels.dtype == np.uint16 else 8
    white = ((1 << bits) - 1) << (16 - bits) if levels.dtype == np.uint16 else full
    if alpha is None:
        return Raster(levels=levels, white=white, depth=bits)
    if white != full:  # an alpha channel always fills its type
        alpha = np.rint(np.minimum(alpha / np.float32(white), 1) * full).astype(levels.dtype)
    if is_associated:
        levels = _separated(levels, alpha, white)
    return Raster(levels=levels, white=white, depth=bits, alpha=alpha)


def _separated(levels: Codes, alpha: Codes, white: int) -> Codes:
    """Return colours that were multiplied by an alpha channel as they were before; under what is clear they are 0.

    Args:
        levels: `[H, W]` or `[H, W, 3]`.
        alpha: `[H, W]`, which fills its type.
        white: the value of white.
    """
    share = np.maximum(alpha, 1).astype(np.float32) / np.float32(np.iinfo(alpha.dtype).max)
    share = share if levels.ndim == 2 else share[..., None]
    whole: NDArray[Any] = np.rint(np.minimum(levels / share, white)).astype(levels.dtype)
    return whole


@dataclass(frozen=True, kw_only=True, eq=False)
class Inks:
    """A picture that only colour management makes RGB of: CMYK or Lab, in 8 bit.

    Attributes:
        image: in mode CMYK or LAB.
    """

    image: Image.Image


@dataclass(frozen=True, kw_only=True, slots=True)
class DeepLayout:
    """How a file of more than 8 bit is to be decoded.

    Attributes:
        kind: "PNG", "TIFF" or "AVIF".
        bits: bits a sample.
        page: the number of the page of a TIFF, or of the picture of an AVIF, from 0; None for the main one.
        tile: the width and height of a TIFF's tiles, which are decoded whole; zeros for none.
        has_alpha: whether a channel after the colours is an alpha channel.
        is_associated: whether the colours are multiplied by that alpha channel.
        white_is_zero: whether 0 is white.
    """

    kind: str
    bits: int
    page: int | None = None
    tile: tuple[int, int] = (0, 0)
    has_alpha: bool = True
    is_associated: bool = False
    white_is_zero: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class DeepPicture:
    """A decoded picture, and what only its decoder knew.

    Attributes:
        raster: its values.
        profile: its ICC profile, of a format whose boxes only the decoder reads; b"" for none.
        xmp: its XMP, of such a format; b"" for none.
        exif: its EXIF, of such a format, where nothing but the decoder tells whose it is; b"" for none.
        is_main: whether it is the main picture of its file, of which the file's own description speaks.
        notes: what a person should know of what else the file holds, in words.
    """

    raster: Raster
    profile: bytes = b""
    xmp: bytes = b""
    exif: bytes = b""
    is_main: bool = True
    notes: tuple[str, ...] = ()

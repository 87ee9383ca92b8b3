"""A raster: what a decoder makes of a file, before anything is known of its colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dreamd.pictures.colours.conversion import Levels

Alpha = NDArray[np.uint8] | NDArray[np.uint16]
"""An alpha channel `[H, W]`, of 8 or 16 bit."""

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
        page: the number of the page of a TIFF, from 0.
        tile: the width and height of a TIFF's tiles, which are decoded whole; zeros for none.
        has_alpha: whether a channel after the colours is an alpha channel.
        is_associated: whether the colours are multiplied by that alpha channel.
        white_is_zero: whether 0 is white.
    """

    kind: str
    bits: int
    page: int = 0
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
        notes: what a person should know of what else the file holds, in words.
    """

    raster: Raster
    profile: bytes = b""
    xmp: bytes = b""
    notes: tuple[str, ...] = ()

"""What Pillow decoded, in any of its modes, as a raster."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from dreamd.pictures.decoders.raster import Inks, Raster

_BAND_ROWS = 256
"""A deep picture is scaled so many rows at a time: doubles of the whole would take twice its size."""

_WHITE_OF_16_BIT = 65_535
_WHITE_OF_12_BIT = 4095


def raster_of(image: Image.Image) -> Raster | Inks:
    """Take a decoded picture apart into its values and its alpha channel."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep_grey(image)
    if image.mode in ("CMYK", "LAB"):
        return Inks(image=image)
    grey = image.mode in ("1", "L", "LA", "La")
    if not image.has_transparency_data:
        return Raster(levels=np.asarray(image.convert("L" if grey else "RGB")), white=255, depth=8)
    if image.mode == "La":  # Pillow undoes the premultiplication on the way to LA only
        image = image.convert("LA")
    full = image.convert("RGBA")
    colour = full.getchannel("R") if grey else full.convert("RGB")
    return Raster(levels=np.asarray(colour), white=255, depth=8, alpha=np.array(full.getchannel("A")))


def _deep_grey(image: Image.Image) -> Raster:
    values = np.array(image)
    if image.mode == "F":
        raster = stretched_floats(values)
    elif image.mode == "I":
        raster = _from_int(values, white=_WHITE_OF_16_BIT if image.format == "PPM" else None)
    else:
        raster = _from_int(values, white=_white(image))
    if not _white_is_zero(image):
        return raster
    turned: NDArray[Any] = (raster.white - raster.levels).astype(raster.levels.dtype)
    return Raster(levels=turned, white=raster.white, depth=raster.depth)


def _tiff_tag(image: Image.Image, tag: int) -> object:
    return image.tag_v2.get(tag) if isinstance(image, TiffImagePlugin.TiffImageFile) else None


def _white(image: Image.Image) -> int:
    """Return the value of white in a 16-bit mode: Pillow leaves 12-bit TIFFs unscaled."""
    return _WHITE_OF_12_BIT if _tiff_tag(image, TiffImagePlugin.BITSPERSAMPLE) == (12,) else _WHITE_OF_16_BIT


def _white_is_zero(image: Image.Image) -> bool:
    """Tell whether zero is white in this TIFF: Pillow turns that round for 8 bit only."""
    return _tiff_tag(image, TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0


def _from_int(values: NDArray[np.integer], *, white: int | None) -> Raster:
    """Return whole numbers as a raster.

    Args:
        values: `[H, W]`.
        white: the value of white; None: values that fit 8 or 16 bit are that, others are stretched over their range.
    """
    if white is None:
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > _WHITE_OF_16_BIT:
            return _stretched(values, low, high)
        if high <= 255:
            return Raster(levels=values.astype(np.uint8), white=255, depth=8)
        white = _WHITE_OF_16_BIT
    return Raster(levels=values.astype(np.uint16), white=white, depth=12 if white == _WHITE_OF_12_BIT else 16)


def stretched_floats(values: NDArray[np.floating]) -> Raster:
    """Return floats `[H, W]` or `[H, W, 3]` as a raster: in [0, 1] as they are, others over the range of the finite.

    NaN becomes black, and infinities become the range's ends.
    """
    finite = np.isfinite(values)
    low = float(values.min(where=finite, initial=math.inf))
    high = float(values.max(where=finite, initial=-math.inf))
    if low > high or (low >= 0 and high <= 1):
        low, high = 0, 1
    return _stretched(values, low, high)


def _stretched(values: NDArray[np.integer] | NDArray[np.floating], low: float, high: float) -> Raster:
    levels = np.empty(values.shape, np.float32)
    scale = 1 / ((high - low) or 1)
    for top in range(0, len(values), _BAND_ROWS):
        band = np.nan_to_num(values[top : top + _BAND_ROWS].astype(np.float64), nan=low, posinf=high, neginf=low)
        levels[top : top + _BAND_ROWS] = np.clip((band - low) * scale, 0, 1)
    return Raster(levels=levels, white=1, depth=16)

"""Colour: pixels of any mode and profile become 8-bit sRGB and an alpha channel."""

from __future__ import annotations

import io
import logging
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin

from dreamd.pictures.damage import left_out_when_broken
from dreamd.pictures.picture import Bytes
from dreamd.pictures.spaces import ColourSpace, converted_to_srgb

log = logging.getLogger(__name__)

_BAND_ROWS = 256
"""A deep picture is scaled so many rows at a time: doubles of the whole would take eight times its size."""

_WHITE_OF_16_BIT = 65_535
_WHITE_OF_12_BIT = 4095


def colour_and_alpha(image: Image.Image) -> tuple[Image.Image, Bytes | None]:
    """Take a picture apart.

    Returns:
        The colour in a mode that an ICC profile may describe (L, RGB, CMYK or LAB), and the alpha channel `[H, W]`,
        None where the format has none.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _eight_bit_grey(image), None
    if image.mode in ("CMYK", "LAB"):
        return image, None
    grey = image.mode in ("1", "L", "LA", "La")
    if not image.has_transparency_data:
        return image.convert("L" if grey else "RGB"), None
    if image.mode == "La":  # Pillow undoes the premultiplication on the way to LA only
        image = image.convert("LA")
    full = image.convert("RGBA")
    return full.getchannel("R") if grey else full.convert("RGB"), np.array(full.getchannel("A"))


def _eight_bit_grey(image: Image.Image) -> Image.Image:
    values = np.array(image)
    if image.mode == "F":
        grey = _from_float(values)
    elif image.mode == "I":
        grey = _from_int(values, white=_WHITE_OF_16_BIT if image.format == "PPM" else None)
    else:
        grey = _from_int(values, white=_white(image))
    return Image.fromarray(~grey if _white_is_zero(image) else grey)


def _tiff_tag(image: Image.Image, tag: int) -> object:
    return image.tag_v2.get(tag) if isinstance(image, TiffImagePlugin.TiffImageFile) else None


def _white(image: Image.Image) -> int:
    """Return the value of white in a 16-bit mode: Pillow leaves 12-bit TIFFs unscaled."""
    return _WHITE_OF_12_BIT if _tiff_tag(image, TiffImagePlugin.BITSPERSAMPLE) == (12,) else _WHITE_OF_16_BIT


def _white_is_zero(image: Image.Image) -> bool:
    """Tell whether zero is white in this TIFF: Pillow turns that round for 8 bit only."""
    return _tiff_tag(image, TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0


def _from_int(values: NDArray[np.integer], *, white: int | None) -> Bytes:
    """Scale to 8 bit.

    Args:
        values: `[H, W]`.
        white: the value of white; None: values that fit 8 or 16 bit are that, others are stretched over their range.
    """
    if white is not None:
        return _stretched(values, 0, white)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > _WHITE_OF_16_BIT:
        return _stretched(values, low, high)
    return _stretched(values, 0, 255 if high <= 255 else _WHITE_OF_16_BIT)


def _from_float(values: NDArray[np.floating]) -> Bytes:
    """Take values in [0, 1] as they are, and stretch others over the range of the finite ones.

    NaN becomes black, and infinities become the range's ends.
    """
    finite = np.isfinite(values)
    low = float(values.min(where=finite, initial=math.inf))
    high = float(values.max(where=finite, initial=-math.inf))
    if low > high or (low >= 0 and high <= 1):
        low, high = 0, 1
    return _stretched(values, low, high)


def _stretched(values: NDArray[np.integer] | NDArray[np.floating], low: float, high: float) -> Bytes:
    grey = np.empty(values.shape, np.uint8)
    scale = 255 / ((high - low) or 1)
    for top in range(0, len(values), _BAND_ROWS):
        band = np.nan_to_num(values[top : top + _BAND_ROWS].astype(np.float64), nan=low, posinf=high, neginf=low)
        grey[top : top + _BAND_ROWS] = np.rint(np.clip((band - low) * scale, 0, 255))
    return grey


def in_srgb(colour: Image.Image, profile: bytes, space: ColourSpace | None, name: str) -> Image.Image:
    """Return the colour in sRGB; a broken profile is logged and left out.

    Args:
        colour: in a mode that `colour_and_alpha` gives.
        profile: its ICC profile; b"" when there is none.
        space: its colour space, where no profile tells it.
        name: the picture's file name, printable.
    """
    if profile:
        with left_out_when_broken("ICC profile", name):
            return _through_profile(colour, profile)
    if space is not None:
        log.info("%s: its colours are told by %s", name, space.name)
        colour = converted_to_srgb(colour, space)
    return colour.convert("RGB")


def _through_profile(colour: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = source.profile.xcolor_space.strip()
    mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}.get(space)
    if mode == "RGB" and colour.mode == "L":
        colour = colour.convert("RGB")
    if colour.mode != mode:
        raise ValueError(f"it describes {space}, the picture is {colour.mode}")
    converted = ImageCms.profileToProfile(colour, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert converted is not None  # only an in-place conversion returns nothing
    return converted

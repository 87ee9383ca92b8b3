"""Colouring: decoded values become sRGB, and it is remembered in which space the result is to be written."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from dreamd.pictures.colours.conversion import Pixels, are_bytes, quantised, srgb_floats
from dreamd.pictures.colours.profiles import profile_of, space_of_profile
from dreamd.pictures.colours.spaces import ColourSpace
from dreamd.pictures.damage import left_out_when_broken
from dreamd.pictures.decoders.raster import Inks, Raster

log = logging.getLogger(__name__)

_GREY_PROFILE, _RGB_PROFILE = "GRAY", "RGB"


@dataclass(frozen=True, kw_only=True, eq=False)
class Coloured:
    """A picture's colours.

    Attributes:
        pixels: as `Picture.pixels`.
        profile: the ICC profile to write the result in; b"" for sRGB.
        is_grey: whether the file is grey.
        notes: what a person should know, in words.
    """

    pixels: Pixels
    profile: bytes = b""
    is_grey: bool = False
    notes: tuple[str, ...] = ()


def coloured(values: Raster | Inks, profile: bytes, space: ColourSpace | None, name: str) -> Coloured:
    """Return decoded values in sRGB; a broken profile is logged and left out.

    Args:
        values: what was decoded.
        profile: its ICC profile; b"" when there is none.
        space: its colour space, where no profile tells it.
        name: the picture's file name, printable.
    """
    if profile:
        with left_out_when_broken("ICC profile", name):
            return _profiled(values, profile)
    if isinstance(values, Inks):
        return _inks(values.image.convert("RGB"), values.image.mode)
    if space is None:
        return Coloured(pixels=_as_they_are(values), is_grey=values.levels.ndim == 2)
    log.info("%s: its colours are told by %s", name, space.name)
    return _told(values, space)


def _told(values: Raster, space: ColourSpace) -> Coloured:
    """Return values of a space that numbers tell."""
    profile, is_grey = b"", values.levels.ndim == 2
    if space.has_way_back and not space.is_srgb:
        profile = profile_of(space)
        space = space_of_profile(profile) or space  # rounded as the way back will be
    pixels = srgb_floats(values.levels, values.white, space)
    return Coloured(pixels=pixels, profile=profile, is_grey=is_grey, notes=_shown(space))


def _shown(space: ColourSpace) -> tuple[str, ...]:
    """Return what is said of a picture that is made ready for an ordinary screen."""
    if space.glare is None:
        return ()
    return (f"its colours are {space.name}: they are compressed, and the result is sRGB, without the extra range",)


def _as_they_are(values: Raster) -> Pixels:
    """Return values of sRGB: bytes as bytes, deeper ones as floats."""
    return _rgb(values.levels) if are_bytes(values.levels) else srgb_floats(values.levels, values.white, None)


def _rgb(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return levels if levels.ndim == 3 else np.repeat(levels[..., None], 3, axis=2)


def _inks(converted: Image.Image, mode: str) -> Coloured:
    note = f"its {'Lab' if mode == 'LAB' else mode} colours came out as sRGB, in 8 bit"
    return Coloured(pixels=np.array(converted), notes=(note,))


def _profiled(values: Raster | Inks, profile: bytes) -> Coloured:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    channels = source.profile.xcolor_space.strip()
    if isinstance(values, Inks):
        if {"CMYK": "CMYK", "Lab": "LAB"}.get(channels) != values.image.mode:
            raise ValueError(f"it describes {channels}, the picture is {values.image.mode}")
        return _inks(_managed(values.image, source), values.image.mode)
    is_grey = values.levels.ndim == 2
    if channels != _RGB_PROFILE and not (is_grey and channels == _GREY_PROFILE):
        raise ValueError(f"it describes {channels}, the picture is {'grey' if is_grey else 'RGB'}")
    space = space_of_profile(profile)
    if space is None:
        return _by_tables(values, source, profile, channels)
    if not space.is_srgb:
        return Coloured(pixels=srgb_floats(values.levels, values.white, space), profile=profile, is_grey=is_grey)
    if are_bytes(values.levels):
        return Coloured(pixels=_managed_levels(values.levels, source, channels), profile=profile, is_grey=is_grey)
    return Coloured(pixels=_as_they_are(values), profile=profile, is_grey=is_grey)


def _by_tables(values: Raster, source: ImageCms.ImageCmsProfile, profile: bytes, channels: str) -> Coloured:
    """Return values through a profile with tables, which has no certain way back."""
    note = "its profile works by tables: the result is in sRGB"
    if are_bytes(values.levels):
        pixels = _managed_levels(values.levels, source, channels)
        return Coloured(pixels=pixels, is_grey=values.levels.ndim == 2, notes=(note,))
    from dreamd.pictures.decoders.vips import through_tables  # most pictures need none of it

    sixteen: NDArray[Any] = quantised(srgb_floats(values.levels, values.white, None), 16)
    if channels == _GREY_PROFILE:
        sixteen = np.ascontiguousarray(sixteen[..., 0])
    levels = through_tables(sixteen, profile)
    return Coloured(pixels=srgb_floats(levels, 65_535, None), is_grey=values.levels.ndim == 2, notes=(note,))


def _managed_levels(levels: NDArray[np.uint8], source: ImageCms.ImageCmsProfile, channels: str) -> NDArray[np.uint8]:
    image = Image.fromarray(np.ascontiguousarray(levels))
    return np.array(_managed(image.convert("RGB") if channels == _RGB_PROFILE else image, source))


def _managed(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert converted is not None  # only an in-place conversion returns nothing
    return converted

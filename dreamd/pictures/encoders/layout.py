"""What of a picture a format holds: how many bits, which space, grey or colours, alpha. The rest is said in notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dreamd.pictures.colours.conversion import Pixels, are_bytes, quantised, values_in
from dreamd.pictures.colours.profiles import space_of_profile
from dreamd.pictures.decoders.raster import Alpha
from dreamd.pictures.formats import Target
from dreamd.pictures.picture import Picture, alpha_in_bits

Depth = Literal["same", 8, 16]
"""The bits a sample that a recipe asks for; `same` is the original's."""

_BAND_ROWS = 256
"""Whether a picture is grey is looked at so many rows at a time."""

_MOST_SPREAD = 1 / 510
"""The channels of a grey pixel differ by no more than half a level of 8 bit."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """A picture as it is encoded.

    Attributes:
        levels: `[H, W]` grey or `[H, W, 3]`: bytes for 8 bit, else uint16, whose highest number is `2**bits - 1`.
        bits: bits a sample.
        alpha: `[H, W]`, of the same bits and type; None for none.
        profile: the ICC profile that the levels are in; b"" for sRGB.
        notes: what the format could not hold, in words.
    """

    levels: NDArray[Any]
    bits: int
    alpha: Alpha | None
    profile: bytes
    notes: tuple[str, ...]


def laid_out(picture: Picture, target: Target, *, depth: Depth, seed: int) -> Layout:
    """Return a picture as a format holds it.

    Args:
        picture: the picture.
        target: the format.
        depth: the bits that are asked for.
        seed: what a dither is drawn from, where more bits than 8 become 8.
    """
    bits = bits_for(target, depth, picture.depth)
    notes = []
    if depth == 16 and bits < 16:
        notes.append(f"{target.word} holds {bits} bit a channel; png and tiff hold 16")
    values, profile = _values(picture, target, notes)
    dither = seed if bits == 8 and not are_bytes(picture.pixels) and picture.depth > 8 else None
    return Layout(
        levels=quantised(values, bits, noise_seed=dither),
        bits=bits,
        alpha=None if picture.alpha is None else alpha_in_bits(picture.alpha, bits),
        profile=profile,
        notes=tuple(notes),
    )


def bits_for(target: Target, depth: Depth, source: int) -> int:
    """Return the bits a sample that are written.

    Args:
        target: the format.
        depth: what is asked for.
        source: the bits of the original.
    """
    if depth == 8:
        return 8
    wanted = 16 if depth == 16 else source
    return min((bits for bits in target.depths if bits >= wanted), default=max(target.depths))


def _values(picture: Picture, target: Target, notes: list[str]) -> tuple[NDArray[Any], bytes]:
    """Return values from 0 to 1, or bytes, in the space that is written, and its profile."""
    pixels, profile = picture.pixels, picture.profile
    space = space_of_profile(profile) if profile else None
    is_grey = picture.is_grey and target.grey and is_grey_everywhere(pixels)
    if space is not None and not target.profiled:
        if not space.is_srgb and not space.is_grey:
            notes.append(f"{target.word} has no place for a profile: the result is in sRGB")
        space, profile = None, b""
    if space is not None and space.is_grey and not is_grey:
        notes.append("its grey profile is not of use to a dream in colours: the result is in sRGB")
        space, profile = None, b""
    if space is None or space.is_srgb:
        single = is_grey and not profile
        return (np.ascontiguousarray(pixels[..., 1]) if single else pixels), profile
    floats = pixels / np.float32(255) if are_bytes(pixels) else pixels
    return values_in(floats.astype(np.float32, copy=False), space), profile


def is_grey_everywhere(pixels: Pixels) -> bool:
    """Return whether every pixel is grey, as far as 8 bit can tell."""
    most = 0.0 if are_bytes(pixels) else _MOST_SPREAD
    for top in range(0, len(pixels), _BAND_ROWS):
        band: NDArray[Any] = pixels[top : top + _BAND_ROWS]
        for other in (0, 2):
            one, two = band[..., 1].astype(np.float32), band[..., other].astype(np.float32)
            if np.abs(one - two).max() > most:
                return False
    return True

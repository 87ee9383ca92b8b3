"""Colour spaces that are told by numbers and not by an ICC profile, and the way from them to sRGB.

Sources: IEC 61966-2-1 (sRGB), ITU-T H.273 (the numbers of cICP and nclx), SMPTE ST 2084 (PQ), ITU-R BT.2100 (HLG),
Adobe RGB (1998) 4.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

Transfer = Callable[[Floats], Floats]
"""A transfer function makes light of values in [0, 1]; 1 is the white of paper, and highlights may be brighter."""

Point = tuple[float, float]
"""A chromaticity: x and y of CIE 1931."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Primaries:
    """The chromaticities of red, green, blue and white."""

    red: Point
    green: Point
    blue: Point
    white: Point


@dataclass(frozen=True, kw_only=True, slots=True)
class ColourSpace:
    """How values become light.

    Attributes:
        name: in words, for the log.
        primaries: the colours of the three channels.
        transfer: from values to light.
        full_range: whether 0 is black and 255 is white; False: 16 and 235 are, as in video.
    """

    name: str
    primaries: Primaries
    transfer: Transfer
    full_range: bool = True


_BAND_ROWS = 64
"""Colours are converted so many rows at a time, as floats take twelve times the memory of bytes."""

_KNEE = 0.8
"""Light above this is compressed, so that highlights brighter than white keep their shape; below it nothing changes."""

_WHITE_NITS = 203.0
"""The luminance that the white of paper has in PQ and HLG (ITU-R BT.2408)."""

D65 = (0.3127, 0.3290)
"""The white of daylight, which is the white of sRGB."""

_C = (0.3101, 0.3162)
_DCI_WHITE = (0.3140, 0.3510)

SRGB_PRIMARIES = Primaries(red=(0.64, 0.33), green=(0.30, 0.60), blue=(0.15, 0.06), white=D65)
"""The primaries of sRGB and of ITU-R BT.709."""

_P3_RED, _P3_GREEN, _P3_BLUE = (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)

_PRIMARIES = {
    1: SRGB_PRIMARIES,
    4: Primaries(red=(0.67, 0.33), green=(0.21, 0.71), blue=(0.14, 0.08), white=_C),
    5: Primaries(red=(0.64, 0.33), green=(0.29, 0.60), blue=(0.15, 0.06), white=D65),
    6: Primaries(red=(0.630, 0.340), green=(0.310, 0.595), blue=(0.155, 0.070), white=D65),
    7: Primaries(red=(0.630, 0.340), green=(0.310, 0.595), blue=(0.155, 0.070), white=D65),
    8: Primaries(red=(0.681, 0.319), green=(0.243, 0.692), blue=(0.145, 0.049), white=_C),
    9: Primaries(red=(0.708, 0.292), green=(0.170, 0.797), blue=(0.131, 0.046), white=D65),
    11: Primaries(red=_P3_RED, green=_P3_GREEN, blue=_P3_BLUE, white=_DCI_WHITE),
    12: Primaries(red=_P3_RED, green=_P3_GREEN, blue=_P3_BLUE, white=D65),
    22: Primaries(red=(0.630, 0.340), green=(0.295, 0.605), blue=(0.155, 0.077), white=D65),
}
"""H.273, table 2: a number leads to the chromaticities of red, green, blue and white."""


def srgb_light(values: Floats) -> Floats:
    """Return the light of sRGB's values."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def power(exponent: float) -> Transfer:
    """Return the transfer function of a plain gamma."""
    return lambda values: values**exponent


def _pq_light(values: Floats) -> Floats:
    root = values ** (32 / 2523)
    nits = 10_000 * (np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)) ** (8192 / 1305)
    return nits / _WHITE_NITS


def _hlg_light(values: Floats) -> Floats:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
    return 1000 / _WHITE_NITS * scene**1.2


_TRANSFERS: dict[int, Transfer] = {
    4: power(2.2),
    5: power(2.8),
    8: lambda values: values,
    16: _pq_light,
    17: power(2.6),
    18: _hlg_light,
}
"""H.273, table 3. Other numbers mean sRGB here: BT.709 and its kin are graded on screens that differ little from it."""

ADOBE_RGB = ColourSpace(
    name="Adobe RGB",
    primaries=Primaries(red=(0.64, 0.33), green=(0.21, 0.71), blue=(0.15, 0.06), white=D65),
    transfer=power(563 / 256),
)
"""Adobe RGB (1998), which cameras tell by EXIF alone."""


def coded_space(primaries: int, transfer: int, *, full_range: bool = True) -> ColourSpace | None:
    """Return the colour space of H.273's numbers; None for sRGB, and for what is not specified."""
    chosen = _PRIMARIES.get(primaries, SRGB_PRIMARIES)
    if full_range and chosen is SRGB_PRIMARIES and transfer not in _TRANSFERS:
        return None
    name = f"the colour space {primaries}/{transfer} of H.273"
    light = _TRANSFERS.get(transfer, srgb_light)
    return ColourSpace(name=name, primaries=chosen, transfer=light, full_range=full_range)


def measured_space(name: str, primaries: Primaries | None, gamma: float | None) -> ColourSpace | None:
    """Return the colour space of measured chromaticities and a gamma; None when that is as good as sRGB.

    Args:
        name: in words, for the log.
        primaries: None for sRGB's.
        gamma: the exponent that makes light of values; None for sRGB's curve.

    Raises:
        ValueError: no screen could have these numbers.
    """
    # The tolerance that libpng has: a file that says 2.2 means sRGB.
    if gamma is not None and abs(gamma / 2.2 - 1) < 0.05:
        gamma = None
    if gamma is not None and not 0.1 <= gamma <= 10:
        raise ValueError(f"a gamma of {gamma:g}")
    if primaries is not None and _are_near(primaries, SRGB_PRIMARIES):
        primaries = None
    if primaries is None and gamma is None:
        return None
    chosen = primaries or SRGB_PRIMARIES
    _to_xyz(chosen)
    return ColourSpace(name=name, primaries=chosen, transfer=srgb_light if gamma is None else power(gamma))


def _are_near(some: Primaries, other: Primaries) -> bool:
    pairs = ((some.red, other.red), (some.green, other.green), (some.blue, other.blue), (some.white, other.white))
    return all(abs(a - b) < 0.003 for one, two in pairs for a, b in zip(one, two, strict=True))


def converted_to_srgb(colour: Image.Image, space: ColourSpace) -> Image.Image:
    """Return a picture of mode L or RGB as sRGB, in the same mode; others are returned as they are."""
    values = np.arange(256) / 255
    if not space.full_range:
        values = np.clip((values * 255 - 16) / 219, 0, 1)
    light = space.transfer(values).astype(np.float32)
    is_glaring = light.max() > 1  # as PQ and HLG are, whose highlights are brighter than paper
    if colour.mode == "L":
        return colour.point([int(value) for value in _encoded(_without_glare(light) if is_glaring else light)])
    if colour.mode != "RGB":
        return colour
    matrix = _matrix(space.primaries).astype(np.float32)
    pixels = np.array(colour)
    for top in range(0, len(pixels), _BAND_ROWS):
        band = light[pixels[top : top + _BAND_ROWS]] @ matrix.T
        pixels[top : top + _BAND_ROWS] = _encoded(_without_glare(band) if is_glaring else band)
    return Image.fromarray(pixels)


def _without_glare(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring light that may be brighter than white below it."""
    room = 1 - _KNEE
    bright = np.maximum(light - _KNEE, 0)
    compressed: NDArray[np.float32] = np.minimum(light, _KNEE) + room * (1 - np.exp(-bright / room))
    return compressed


_CODES = 1 << 16
_light_of_code = np.arange(_CODES) / (_CODES - 1)
_BYTE_OF_LIGHT = np.rint(
    255 * np.where(_light_of_code <= 0.0031308, 12.92 * _light_of_code, 1.055 * _light_of_code ** (1 / 2.4) - 0.055)
).astype(np.uint8)
"""Light in 65,536 steps leads to sRGB's byte for it."""


def _encoded(light: NDArray[np.float32]) -> NDArray[np.uint8]:
    codes = np.rint(np.clip(light, 0, 1) * (_CODES - 1)).astype(np.uint16)
    encoded: NDArray[np.uint8] = _BYTE_OF_LIGHT[codes]
    return encoded


def _matrix(primaries: Primaries) -> Floats:
    """Return the 3 x 3 matrix from light of these primaries to light of sRGB's, white to white (Bradford)."""
    cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    scale = (cone @ _xyz(D65)) / (cone @ _xyz(primaries.white))
    adapted = np.linalg.inv(cone) @ np.diag(scale) @ cone
    result: Floats = np.linalg.inv(_to_xyz(SRGB_PRIMARIES)) @ adapted @ _to_xyz(primaries)
    return result


def _to_xyz(primaries: Primaries) -> Floats:
    columns = np.stack([_xyz(primaries.red), _xyz(primaries.green), _xyz(primaries.blue)], axis=1)
    if abs(np.linalg.det(columns)) < 1e-3:
        raise ValueError("primaries that span no colours")
    result: Floats = columns * np.linalg.solve(columns, _xyz(primaries.white))
    return result


def _xyz(point: Point) -> Floats:
    x, y = point
    if not (0 <= x <= 1 and 0 < y <= 1):
        raise ValueError(f"a chromaticity of {x:g}, {y:g}")
    return np.array([x / y, 1, (1 - x - y) / y])

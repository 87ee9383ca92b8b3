"""Colour spaces of red, green and blue or of grey: what their values mean, as light of sRGB's primaries.

Sources: IEC 61966-2-1 (sRGB), ITU-T H.273 (the numbers of cICP and nclx), SMPTE ST 2084 (PQ), ITU-R BT.2100 (HLG),
Adobe RGB (1998) 4.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamd.pictures.colours.curves import SRGB_CURVE, Curve

Matrix = NDArray[np.float64]
"""Three rows of three numbers, or a point of three."""

Transfer = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""A transfer function makes light of values in [0, 1]; 1 is the white of paper, and highlights are brighter."""

Point = tuple[float, float]
"""A chromaticity: x and y of CIE 1931."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Primaries:
    """The chromaticities of red, green, blue and white."""

    red: Point
    green: Point
    blue: Point
    white: Point


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ColourSpace:
    """How values become light.

    Attributes:
        name: in words, for the log.
        matrix: from its light to light of sRGB's primaries, white to white.
        curves: of its three channels; of a grey space, the same one three times.
        glare: the transfer function of a space whose highlights are brighter than paper; None for others.
        full_range: whether 0 is black and the highest value is white; False: 16 and 235 of 255 are, as in video.
        is_grey: whether it has one channel only.
    """

    name: str
    matrix: Matrix
    curves: tuple[Curve, Curve, Curve]
    glare: Transfer | None = None
    full_range: bool = True
    is_grey: bool = False

    @property
    def has_way_back(self) -> bool:
        """Whether pictures can be written in it: not in one of highlights, nor in video's range."""
        return self.glare is None and self.full_range

    @property
    def is_srgb(self) -> bool:
        """Whether its values are those of sRGB, but for less than half a level of 8 bit."""
        if self.is_grey or not self.has_way_back or np.abs(self.matrix - np.eye(3)).max() > _SAME_MATRIX:
            return False
        values = np.linspace(0, 1, 64, dtype=np.float32)
        light = SRGB_CURVE.light(values)
        return all(np.abs(curve.values(light) - values).max() < _SAME_VALUE for curve in self.curves)


_SAME_MATRIX = 0.004
"""The matrices of sRGB's many profiles, rounded in many ways, differ by less than this."""

_SAME_VALUE = 1 / 510
"""Half a level of 8 bit."""

WHITE_NITS = 203.0
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


def _power(exponent: float) -> Curve:
    return Curve(gamma=exponent)


def _pq_light(values: NDArray[np.float64]) -> NDArray[np.float64]:
    root = values ** (32 / 2523)
    nits = 10_000 * (np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)) ** (8192 / 1305)
    return nits / WHITE_NITS


def _hlg_light(values: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
    light: NDArray[np.float64] = 1000 / WHITE_NITS * scene**1.2
    return light


_CURVES = {4: _power(2.2), 5: _power(2.8), 8: _power(1.0), 17: _power(2.6)}
"""H.273, table 3. Other numbers mean sRGB here: BT.709 and its kin are graded on screens that differ little from it."""

_GLARES: dict[int, Transfer] = {16: _pq_light, 18: _hlg_light}
"""H.273, table 3: PQ and HLG."""


def coded_space(primaries: int, transfer: int, *, full_range: bool = True) -> ColourSpace | None:
    """Return the colour space of H.273's numbers; None for sRGB, and for what is not specified."""
    chosen = _PRIMARIES.get(primaries, SRGB_PRIMARIES)
    if full_range and chosen is SRGB_PRIMARIES and transfer not in (_CURVES.keys() | _GLARES.keys()):
        return None
    name = _GLARE_NAMES.get(transfer, f"the colour space {primaries}/{transfer} of H.273")
    curve = _CURVES.get(transfer, SRGB_CURVE)
    return ColourSpace(
        name=name,
        matrix=matrix_of(chosen),
        curves=(curve, curve, curve),
        glare=_GLARES.get(transfer),
        full_range=full_range,
    )


_GLARE_NAMES = {16: "PQ, with highlights brighter than paper", 18: "HLG, with highlights brighter than paper"}


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
    curve = SRGB_CURVE if gamma is None else _power(gamma)
    return ColourSpace(name=name, matrix=matrix_of(primaries or SRGB_PRIMARIES), curves=(curve, curve, curve))


def _are_near(some: Primaries, other: Primaries) -> bool:
    pairs = ((some.red, other.red), (some.green, other.green), (some.blue, other.blue), (some.white, other.white))
    return all(abs(a - b) < 0.003 for one, two in pairs for a, b in zip(one, two, strict=True))


def matrix_of(primaries: Primaries) -> Matrix:
    """Return the matrix from light of these primaries to light of sRGB's, white to white (Bradford).

    Raises:
        ValueError: they span no colours.
    """
    to_xyz = adapted(primaries.white, D65) @ _to_xyz(primaries)
    result: Matrix = np.linalg.inv(_to_xyz(SRGB_PRIMARIES)) @ to_xyz
    return result


def adapted(white: Point, other: Point) -> Matrix:
    """Return the matrix that makes colours seen under one white those seen under another one (Bradford)."""
    cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    scale = (cone @ _xyz(other)) / (cone @ _xyz(white))
    result: Matrix = np.linalg.inv(cone) @ np.diag(scale) @ cone
    return result


def _to_xyz(primaries: Primaries) -> Matrix:
    columns = np.stack([_xyz(primaries.red), _xyz(primaries.green), _xyz(primaries.blue)], axis=1)
    if abs(np.linalg.det(columns)) < 1e-3:
        raise ValueError("primaries that span no colours")
    result: Matrix = columns * np.linalg.solve(columns, _xyz(primaries.white))
    return result


def _xyz(point: Point) -> Matrix:
    x, y = point
    if not (0 <= x <= 1 and 0 < y <= 1):
        raise ValueError(f"a chromaticity of {x:g}, {y:g}")
    return np.array([x / y, 1, (1 - x - y) / y])


SRGB_TO_D50: Matrix = adapted(D65, (0.34567, 0.35850)) @ _to_xyz(SRGB_PRIMARIES)
"""From light of sRGB's primaries to XYZ under D50, the white by which ICC profiles connect."""

_adobe_primaries = Primaries(red=(0.64, 0.33), green=(0.21, 0.71), blue=(0.15, 0.06), white=D65)
_adobe_curve = _power(563 / 256)
ADOBE_RGB = ColourSpace(name="Adobe RGB", matrix=matrix_of(_adobe_primaries), curves=(_adobe_curve,) * 3)
"""Adobe RGB (1998), which cameras tell by EXIF alone."""

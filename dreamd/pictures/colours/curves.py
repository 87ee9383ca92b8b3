"""Transfer curves: from a channel's values to light, and back.

Sources: ICC.1:2022, 10.6 (curveType) and 10.18 (parametricCurveType); IEC 61966-2-1 (sRGB).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
"""An array of values or of light, of any shape."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Curve:
    """A curve that grows from 0 to 1: light is (a · value + b) ** gamma + e from `start` on, c · value + f below it.

    Attributes:
        gamma: the exponent, above 0.
        a: the slope inside the power.
        b: the offset inside the power.
        c: the slope of the straight part.
        start: the value where the power begins; 0 where there is no straight part.
        e: what is added to the power.
        f: what is added to the straight part.
        table: light at evenly spaced values from 0 to 1, which never falls; where it is given, nothing else counts.
    """

    gamma: float = 1.0
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    start: float = 0.0
    e: float = 0.0
    f: float = 0.0
    table: Floats | None = None

    @property
    def is_power(self) -> bool:
        """Whether it is a plain power, without a straight part."""
        return self.table is None and (self.a, self.b, self.start, self.e) == (1.0, 0.0, 0.0, 0.0)

    def light(self, values: Floats) -> Floats:
        """Return the light of values from 0 to 1."""
        if self.table is not None:
            return np.interp(values, np.linspace(0, 1, len(self.table)), self.table).astype(np.float32)
        if self.is_power:
            return values if self.gamma == 1 else values ** np.float32(self.gamma)
        power = np.maximum(np.float32(self.a) * values + np.float32(self.b), 0) ** np.float32(self.gamma)
        straight = np.float32(self.c) * values + np.float32(self.f)
        whole: Floats = np.where(values >= np.float32(self.start), power + np.float32(self.e), straight)
        return whole

    def values(self, light: Floats) -> Floats:
        """Return the values of light from 0 to 1."""
        if self.table is not None:
            return _looked_up(self.table, light)
        root = np.float32(1 / self.gamma)
        if self.is_power:
            return light if self.gamma == 1 else light**root
        power = (np.maximum(light - np.float32(self.e), 0) ** root - np.float32(self.b)) / np.float32(self.a)
        if self.c <= 0:
            rising: Floats = np.maximum(power, 0)
            return rising
        straight = (light - np.float32(self.f)) / np.float32(self.c)
        whole: Floats = np.where(light >= np.float32(self.c * self.start + self.f), power, straight)
        return whole


def _looked_up(table: Floats, light: Floats) -> Floats:
    """Return the values of light by a table; where a table is level, the darkest value, and for all light white."""
    points, firsts = np.unique(table, return_index=True)
    values = firsts / (len(table) - 1)
    values[-1] = 1
    return np.interp(light, points, values).astype(np.float32)


SRGB_CURVE = Curve(gamma=2.4, a=1 / 1.055, b=0.055 / 1.055, c=1 / 12.92, start=0.04045)
"""The curve of sRGB, which Display P3 has too."""


def srgb_light(values: Floats) -> Floats:
    """Return the light of sRGB values; values beyond 0 to 1 are mirrored about 0, as scRGB has it."""
    return np.copysign(SRGB_CURVE.light(np.abs(values)), values)


def srgb_values(light: Floats) -> Floats:
    """Return the sRGB values of light; light below 0 is mirrored about 0."""
    return np.copysign(SRGB_CURVE.values(np.abs(light)), light)

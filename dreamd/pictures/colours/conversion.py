"""From the values of a colour space to sRGB in floats, and back: band by band, on a few threads, in little memory.

sRGB in floats is not clipped: a colour that sRGB lacks has values below 0 or above 1, and comes back as it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from dreamd.pictures.colours.curves import Floats, srgb_light, srgb_values
from dreamd.pictures.colours.spaces import ColourSpace

Levels = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]
"""Values as a file holds them: whole numbers from 0 to that of white, or floats from 0 to 1."""

Pixels = NDArray[np.uint8] | NDArray[np.float32]
"""A picture's colours: bytes, or floats in which 1 is white."""

_BAND_ROWS = 64
"""A band of so many rows fits a processor's cache with all that is computed of it."""

_MOST_THREADS = 4

_KNEE = 0.8
"""Light above this is compressed, so that highlights brighter than white keep their shape; below it nothing changes."""


def srgb_floats(levels: Levels, white: int, space: ColourSpace | None) -> Floats:
    """Return values as sRGB in floats `[H, W, 3]`.

    Args:
        levels: `[H, W]` grey or `[H, W, 3]`.
        white: the value of white; 1 for floats.
        space: the space that they are in; None for sRGB.
    """
    pixels = np.empty((*levels.shape[:2], 3), np.float32)
    table = _table(levels, white, space)
    matrix = None if space is None else space.matrix.T.astype(np.float32)

    def convert(rows: slice) -> None:
        light = _looked_up(levels[rows], table, space)
        if space is not None:
            light = light if matrix is None or light.ndim == 2 else light @ matrix
            light = srgb_values(light if space.glare is None else _without_glare(light))
        pixels[rows] = light[..., None] if light.ndim == 2 else light

    _in_bands(convert, len(pixels))
    return pixels


def _table(levels: NDArray[Any], white: int, space: ColourSpace | None) -> list[Floats] | None:
    """Return the light of every whole number that a channel may have, for each channel; None for floats."""
    if levels.dtype == np.float32:
        return None
    codes = np.minimum(np.arange(int(np.iinfo(levels.dtype).max) + 1, dtype=np.float64) / white, 1)
    if space is None:
        return [codes.astype(np.float32)] * 3
    if space.glare is not None or _is_alike(space):
        return [_light_of(codes, space, 0)] * 3
    return [_light_of(codes, space, channel) for channel in range(3)]


def _is_alike(space: ColourSpace) -> bool:
    return space.curves[0] is space.curves[1] is space.curves[2]


def _light_of(values: NDArray[np.float64], space: ColourSpace, channel: int) -> Floats:
    if not space.full_range:
        values = np.clip((values * 255 - 16) / 219, 0, 1)
    if space.glare is not None:
        return space.glare(values).astype(np.float32)
    return space.curves[channel].light(values.astype(np.float32))


def _looked_up(band: NDArray[Any], table: list[Floats] | None, space: ColourSpace | None) -> Floats:
    if table is None:
        values = band.astype(np.float32)
        if space is None:
            return values
        if values.ndim == 2:
            return _light_of(values.astype(np.float64), space, 0)
        return np.stack([_light_of(values[..., at].astype(np.float64), space, at) for at in range(3)], axis=-1)
    if band.ndim == 2 or table[0] is table[1] is table[2]:
        return table[0].take(band)
    return np.stack([table[at].take(band[..., at]) for at in range(3)], axis=-1)


def _without_glare(light: Floats) -> Floats:
    """Bring light that may be brighter than white below it."""
    room = np.float32(1 - _KNEE)
    bright = np.maximum(light - np.float32(_KNEE), 0)
    compressed: Floats = np.minimum(light, np.float32(_KNEE)) + room * (1 - np.exp(-bright / room))
    return compressed


def values_in(pixels: Floats, space: ColourSpace) -> Floats:
    """Return sRGB in floats `[H, W, 3]` as values of a space, from 0 to 1; what the space lacks is clipped.

    A grey space gives the green channel's values, `[H, W]`: a grey pixel has the same in all.
    """
    matrix = np.linalg.inv(space.matrix).T.astype(np.float32)
    shape = pixels.shape[:2] if space.is_grey else pixels.shape
    values = np.empty(shape, np.float32)

    def convert(rows: slice) -> None:
        band = pixels[rows][..., 1] if space.is_grey else pixels[rows]
        light = srgb_light(band)
        light = np.clip(light if space.is_grey else light @ matrix, 0, 1)
        if _is_alike(space):
            values[rows] = space.curves[0].values(light)
        else:
            for at in range(3):
                values[rows][..., at] = space.curves[at].values(light[..., at])

    _in_bands(convert, len(pixels))
    return np.clip(values, 0, 1, out=values)


def quantised(values: Pixels, bits: int, *, noise_seed: int | None = None) -> Levels:
    """Return values from 0 to 1 as whole numbers of so many bits, in bytes up to 8 bit and in two bytes above.

    Args:
        values: `[H, W]` or `[H, W, 3]`; bytes are taken as 8 bit.
        bits: 8 to 16.
        noise_seed: for a dither: noise of one level, equal in all channels, is drawn from it before the values are cut,
            so that no steps show and a mean is kept. Black and white stay. None: values are rounded.
    """
    top, kind = (1 << bits) - 1, np.uint8 if bits <= 8 else np.uint16
    if are_bytes(values):
        return values if bits == 8 else np.rint(values.astype(np.float32) * np.float32(top / 255)).astype(np.uint16)
    levels: NDArray[Any] = np.empty(values.shape, kind)
    for number, start in enumerate(range(0, len(values), _BAND_ROWS)):
        band: NDArray[Any] = values[start : start + _BAND_ROWS]
        band = np.clip(band, 0, 1) * np.float32(top)
        if noise_seed is None:
            levels[start : start + _BAND_ROWS] = np.rint(band)
        else:
            noise = np.random.default_rng((noise_seed, number)).random(band.shape[:2], np.float32)
            noisy = band + (noise if band.ndim == 2 else noise[..., None])
            levels[start : start + _BAND_ROWS] = np.minimum(noisy, top)  # in floats the sum may round up to the next
    return levels


def are_bytes(array: NDArray[Any]) -> TypeGuard[NDArray[np.uint8]]:
    """Tell whether an array is of bytes."""
    return array.dtype == np.uint8


def _in_bands(convert: Callable[[slice], None], rows: int) -> None:
    bands = [slice(start, start + _BAND_ROWS) for start in range(0, rows, _BAND_ROWS)]
    threads = min(_MOST_THREADS, len(os.sched_getaffinity(0)), len(bands))
    if threads <= 1:
        for band in bands:
            convert(band)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(convert, bands):
            pass

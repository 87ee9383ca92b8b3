"""Alpha: which pixels of a picture are clear, where the decoder does not say it or is not to be believed."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from PIL import Image

from dreamd.pictures.containers.png import ClearColour
from dreamd.pictures.picture import Bytes

_UNDEFINED_ALPHA = ("BMP", "DIB", "ICO", "TGA", "SGI")
"""In these formats many programs leave the fourth channel at zero, and viewers take it for unused then.

In the others it is defined: a PNG that is clear everywhere is an empty sheet in every viewer, and stays one.
"""

_HIGH_BYTES, _LOW_BYTES = "RGB;16B", "RGB;16L"
"""Pillow takes the first or the second of each sample's two bytes, which in a PNG are the high and the low one."""


def is_unused(alpha: Bytes, picture_format: str) -> bool:
    """Tell whether an alpha channel is zero everywhere in a format where that means that nobody wrote it."""
    return picture_format in _UNDEFINED_ALPHA and not alpha.any()


def alpha_of_clear_colour(image: Image.Image, clear: ClearColour, stream: BinaryIO) -> Bytes:
    """Return the alpha channel `[H, W]` of a PNG of which one colour is clear.

    Args:
        image: the PNG, decoded: grey in mode 1, L or I;16, or RGB.
        clear: that colour.
        stream: the PNG, for the other half of its samples where they have 16 bits and Pillow drops the low ones.
    """
    values = np.asarray(image)
    if len(clear.samples) == 1:
        return _opaque_but(values == _as_decoded(clear, image.mode))
    if clear.depth == 8:
        return _opaque_but((values == np.array(clear.samples, np.uint8)).all(axis=2))
    high = (values == np.array([sample >> 8 for sample in clear.samples], np.uint8)).all(axis=2)
    if not high.any():
        return _opaque_but(high)
    low = _low_bytes(stream) == np.array([sample & 255 for sample in clear.samples], np.uint8)
    return _opaque_but(high & low.all(axis=2))


def _as_decoded(clear: ClearColour, mode: str) -> int | bool:
    """Return the clear grey as Pillow decodes it: one bit is a truth, fewer than 8 bits fill the range of 8."""
    (sample,) = clear.samples
    if mode == "1":
        return bool(sample)
    return sample * 255 // ((1 << clear.depth) - 1) if clear.depth < 8 else sample


def _opaque_but(is_clear: np.ndarray) -> Bytes:
    return np.where(is_clear, np.uint8(0), np.uint8(255))


def _low_bytes(stream: BinaryIO) -> Bytes:
    stream.seek(0)
    with Image.open(stream, formats=["PNG"]) as image:
        image.tile = [tile._replace(args=_LOW_BYTES) for tile in image.tile if tile.args == _HIGH_BYTES]
        return np.array(image)

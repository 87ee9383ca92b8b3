"""Alpha: which pixels of a picture are clear, where the decoder does not say it or is not to be believed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dreamd.pictures.colours.conversion import Levels
from dreamd.pictures.containers.png import ClearColour
from dreamd.pictures.decoders.raster import Alpha
from dreamd.pictures.picture import Bytes

_UNDEFINED_ALPHA = ("BMP", "DIB", "ICO", "TGA", "SGI")
"""In these formats many programs leave the fourth channel at zero, and viewers take it for unused then.

In the others it is defined: a PNG that is clear everywhere is an empty sheet in every viewer, and stays one.
"""

_BAND_ROWS = 256
"""Pixels are compared so many rows at a time."""


def is_unused(alpha: Alpha, picture_format: str) -> bool:
    """Tell whether an alpha channel is zero everywhere in a format where that means that nobody wrote it."""
    return picture_format in _UNDEFINED_ALPHA and not alpha.any()


def alpha_of_clear_colour(image: Image.Image, clear: ClearColour) -> Bytes:
    """Return the alpha channel `[H, W]` of a PNG of which one colour is clear.

    Args:
        image: the PNG, decoded: grey in mode 1, L or I;16, or RGB of 8 bit.
        clear: that colour.
    """
    if len(clear.samples) == 1:
        return _clear_where(image, [_as_decoded(clear, image.mode)])
    return _clear_where(image, clear.samples)


def clear_where(levels: Levels, colour: Sequence[int]) -> NDArray[np.uint16]:
    """Return the alpha channel of colours of 16 bit, `[H, W, 3]`: 0 where they are that one, 65535 elsewhere."""
    alpha = np.empty(levels.shape[:2], np.uint16)
    for top in range(0, len(levels), _BAND_ROWS):
        is_clear = (levels[top : top + _BAND_ROWS] == np.array(colour, np.uint16)).all(axis=2)
        alpha[top : top + _BAND_ROWS] = np.where(is_clear, 0, 65_535)
    return alpha


def _clear_where(image: Image.Image, colour: Sequence[int]) -> Bytes:
    """Return 0 where the picture has a colour, of one sample or three, and 255 elsewhere."""
    alpha = np.empty((image.height, image.width), np.uint8)
    for top in range(0, image.height, _BAND_ROWS):
        band = np.asarray(image.crop((0, top, image.width, min(top + _BAND_ROWS, image.height))))
        is_clear = band == colour[0] if band.ndim == 2 else (band == np.array(colour, np.uint8)).all(axis=2)
        alpha[top : top + _BAND_ROWS] = np.where(is_clear, 0, 255)
    return alpha


def _as_decoded(clear: ClearColour, mode: str) -> int:
    """Return the clear grey as Pillow decodes it: one bit is a truth, and other depths below 8 fill the range of 8."""
    (sample,) = clear.samples
    if mode == "1" or clear.depth >= 8:
        return sample
    return sample * 255 // ((1 << clear.depth) - 1)

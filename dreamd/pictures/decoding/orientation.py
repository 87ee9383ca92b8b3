"""Orientation: a picture that a camera stored lying or mirrored is put upright (CIPA DC-008, 4.6.5)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def upright(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return a contiguous, writable copy of `[H, W, …]`, of any numbers, turned as EXIF orientation 1 to 8 says."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.array(array, order="C")

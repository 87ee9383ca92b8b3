"""The colours of films: the matrices and ranges that they are made with, and HDR on an ordinary screen.

Numbers are those of ITU-T H.273, where nothing else is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_HD_LINES = 720
"""From so many lines on, a film that does not say how its colours were made is taken for one in HD, BT.709."""

BT709, _BT601, _BT2020 = 1, 6, 9
MATRICES = (BT709, 5, _BT601, _BT2020)
"""Numbers of ITU-T H.273: the matrices that results are made with; 5 is BT.601 of PAL."""

TRANSFERS = {BT709: 1, _BT2020: 14}
"""The transfer function of a matrix, numbered as there; 6 for those of BT.601."""

HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions of HDR, numbered as there."""

_BAD_MATRICES = (0, 2, 3)
"""Matrices that say nothing: of RGB, unspecified, reserved."""

LIMITED, FULL = 1, 2
"""FFmpeg's numbers of the ranges of colours."""

_FROM_BT2020 = np.array(
    [[1.6605, -0.1246, -0.0182], [-0.5876, 1.1329, -0.1006], [-0.0728, -0.0083, 1.1187]], np.float32
)
"""Linear BT.2020 to linear BT.709, for rows of colours: ITU-R BT.2087."""


def matrix_of(frame: VideoFrame) -> int:
    """Return the matrix that a film's colours were made with; where it does not say, by its size."""
    matrix = int(frame.colorspace)
    if matrix in _BAD_MATRICES:
        return matrix_by_size(frame.width, frame.height)
    return matrix


def matrix_by_size(width: int, height: int) -> int:
    """Return the matrix that a film of this size in pixels is usually made with."""
    return BT709 if min(width, height) >= _HD_LINES else _BT601


def exact_scaling(chroma: str) -> Any:
    """Return how FFmpeg's scaler computes: the same everywhere, and colours at full width, by the name of that flag."""
    from av.video.reformatter import Interpolation

    exact = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
    return exact | Interpolation[chroma]


def swscale(matrix: int) -> int:
    """Return a matrix as FFmpeg's scaler numbers it."""
    return 5 if matrix in (5, 6) else 9 if matrix in (9, 10) else matrix


def tone_mapped(rgb: NDArray[np.uint16], transfer: int) -> NDArray[np.uint8]:
    """Bring PQ (SMPTE ST 2084) or HLG (ITU-R BT.2100) to an ordinary screen, by Reinhard's curve on the brightness."""
    table = np.linspace(0, 1, 65536, dtype=np.float32)
    if HDR[transfer] == "PQ":
        root = table ** (1 / 78.84375)
        linear = (
            (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125) * 10000 / 203
        )
    else:
        linear = (
            np.where(table <= 0.5, table**2 / 3, (np.exp((table - 0.55991073) / 0.17883277) + 0.28466892) / 12) * 4.9
        )
    light = linear.astype(np.float32)[rgb] @ _FROM_BT2020
    brightness = np.maximum(light.max(2, keepdims=True), 1e-6)
    mapped = light * (1 + brightness / 16) / (1 + brightness) * (1 + 1 / 4)
    screen: NDArray[np.uint8] = (np.clip(mapped, 0, 1) ** (1 / 2.2) * 255).round().astype(np.uint8)
    return screen

"""The colours of films: how they are made, and HDR on an ordinary screen.

Numbers are those of ITU-T H.273, where nothing else is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_HD_LINES = 720
"""From so many lines on, a film that does not say how its colours were made is taken for one in HD, BT.709."""

_BT709, _BT601, _BT2020 = 1, 6, 9
_MATRICES = (_BT709, 5, _BT601, _BT2020)
"""The matrices that results are made with; 5 is BT.601 of PAL."""

_TRANSFERS = {_BT709: 1, _BT2020: 14}
"""The transfer function of a matrix where a film does not say; 6 for those of BT.601."""

_HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions of HDR."""

_SILENT = (0, 2, 3)
"""Numbers that say nothing: 2 is unspecified, the others are reserved, and as a matrix 0 is that of RGB."""

LIMITED, FULL = 1, 2
"""FFmpeg's numbers of the ranges of colours."""

_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.1246, -0.0182], [-0.5876, 1.1329, -0.1006], [-0.0728, -0.0083, 1.1187]], np.float32
)
"""Linear BT.2020 to linear BT.709, for rows of colours: ITU-R BT.2087."""

_P3_TO_BT709 = np.array([[1.2249, -0.0420, -0.0197], [-0.2247, 1.0419, -0.0786], [-0.0002, 0.0001, 1.0983]], np.float32)
"""Linear Display P3 to linear BT.709, for rows of colours: out of the primaries of SMPTE EG 432-1 and of BT.709."""

_TO_BT709 = {_BT709: np.eye(3, dtype=np.float32), 12: _P3_TO_BT709}
"""From primaries to those of BT.709; the others of HDR are BT.2020's."""


@dataclass(frozen=True, kw_only=True)
class Colours:
    """How the colours of a film are made.

    Attributes:
        matrix: of which colours and brightness are.
        primaries: which red, green and blue they mean.
        transfer: how light becomes numbers.
    """

    matrix: int
    primaries: int
    transfer: int

    @property
    def hdr(self) -> str | None:
        """The name of the film's HDR; None for an ordinary film."""
        return _HDR.get(self.transfer)


def colours_of(frame: VideoFrame) -> Colours:
    """Return how a film's colours are made; what it does not say is 2, and a matrix is then told by the size."""
    matrix = int(frame.colorspace)
    if matrix in _SILENT:
        matrix = _matrix_by_size(frame.width, frame.height)
    return Colours(matrix=matrix, primaries=int(frame.color_primaries), transfer=int(frame.color_trc))


def colours_of_result(source: Colours | None, width: int, height: int) -> Colours:
    """Return how the colours of a result are made: as its source's, or as those of an ordinary screen after HDR.

    Args:
        source: the source's; None where a picture became a film.
        width: of the result, in pixels.
        height: the same.
    """
    if source is None or source.hdr is not None:  # the frames are in sRGB, whose primaries are BT.709's
        matrix = _BT709 if source else _matrix_by_size(width, height)
        return Colours(matrix=matrix, primaries=_BT709, transfer=_TRANSFERS[_BT709])
    matrix = source.matrix if source.matrix in _MATRICES else _BT709
    return Colours(
        matrix=matrix,
        primaries=matrix if source.primaries in _SILENT else source.primaries,
        transfer=_TRANSFERS.get(matrix, 6) if source.transfer in _SILENT else source.transfer,
    )


def _matrix_by_size(width: int, height: int) -> int:
    return _BT709 if min(width, height) >= _HD_LINES else _BT601


def exact_scaling(chroma: str) -> Any:
    """Return how FFmpeg's scaler computes: the same everywhere, and colours at full width, by the name of that flag."""
    from av.video.reformatter import Interpolation

    exact = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
    return exact | Interpolation[chroma]


def swscale(matrix: int) -> int:
    """Return a matrix as FFmpeg's scaler numbers it."""
    return 5 if matrix in (5, 6) else 9 if matrix in (9, 10) else matrix


def tone_mapped(rgb: NDArray[np.uint16], colours: Colours) -> NDArray[np.uint16]:
    """Bring PQ (SMPTE ST 2084) or HLG (ITU-R BT.2100) to an ordinary screen, by Reinhard's curve on the brightness.

    Args:
        rgb: `[H, W, 3]` in 16 bits.
        colours: how they are made.

    Returns:
        Colours of BT.709 for a screen of gamma 2.2, `[H, W, 3]` in 16 bits.
    """
    table = np.linspace(0, 1, 65536, dtype=np.float32)
    if colours.hdr == "PQ":
        root = table ** (1 / 78.84375)
        linear = (
            (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125) * 10000 / 203
        )
    else:
        linear = (
            np.where(table <= 0.5, table**2 / 3, (np.exp((table - 0.55991073) / 0.17883277) + 0.28466892) / 12) * 4.9
        )
    light = linear.astype(np.float32)[rgb] @ _TO_BT709.get(colours.primaries, _BT2020_TO_BT709)
    brightness = np.maximum(light.max(2, keepdims=True), 1e-6)
    mapped = light * (1 + brightness / 16) / (1 + brightness) * (1 + 1 / 4)
    screen: NDArray[np.uint16] = (np.clip(mapped, 0, 1) ** (1 / 2.2) * 65535).round().astype(np.uint16)
    return screen

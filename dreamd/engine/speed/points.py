"""Points: the transforms of Winograd's convolution of 3×3 kernels, from its six points along each side.

They are 0, ±√2, ±1/√2 and infinity. Each point's reciprocal is among them, so that a kernel turned round has the
kernel's own values in another order: one set of values serves the convolution and its gradient.

How much a cell errs, in roundings of float32 (2^-24) of the result's norm, by arithmetic on noise: a product is a sum
over C channels, one after the other. Each of its C roundings is off by 0.425 of a rounding (√(1/3), and the mean of 1/m
over the numbers m from 1 to 2, in squares), and half of the sum is there on average: 0.425 · √(C / 2) together. A cell
is made of products whose norm is 5.02 times its own. The transforms' own roundings add some 8, measured, in squares:
15 at 64 channels, 25 at 256, 35 at 512. It grows with the root of C, as torch's own convolution with AVX2 does (20 at
512). No other points are much better: a search found 4.74 in place of 5.02.

Knows arithmetic. Knows no convolutions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.polynomial.polynomial import polyfromroots
from numpy.typing import NDArray
from torch import Tensor

TILE, WINDOW = 4, 6
"""The cells along a tile's side, and the inputs along a side that they come from."""


@dataclass(frozen=True)
class Transforms:
    """What turns pixels into values, and values into cells.

    Attributes:
        values: gives a window's values at the six points along a side, `[6, 6]`.
        cells: gives a tile's cells from its window's values, `[16, 36]`.
    """

    values: Tensor
    cells: Tensor


_POINTS = np.array([0, math.sqrt(2), -math.sqrt(2), math.sqrt(0.5), -math.sqrt(0.5)])
"""The points except infinity, which comes last."""
_RECIPROCALS = [5, 3, 4, 1, 2, 0]
"""The places of the points' reciprocals."""


def _powers(count: int) -> NDArray[np.floating]:
    """Return the powers of each point, `[6, count]`. At infinity only a polynomial's highest power is left."""
    finite = np.vander(_POINTS, count, increasing=True)
    return np.vstack([finite, np.eye(count)[-1]])


def _kernel_values() -> NDArray[np.floating]:
    """Return what makes a kernel's side its values, `[6, 3]`.

    Each is divided by its point's size, so that it is also the reciprocal's.
    """
    return _powers(3) / _sizes()[:, None]


def _window_values() -> NDArray[np.floating]:
    """Return what makes a window's side its values, `[6, 6]`: Lagrange's polynomials, transposed as in Winograd's."""
    others = [np.delete(_POINTS, index) for index in range(len(_POINTS))]
    finite = [
        np.append(polyfromroots(rest), 0) / np.prod(point - rest) for point, rest in zip(_POINTS, others, strict=True)
    ]
    values: NDArray[np.floating] = np.vstack([*finite, polyfromroots(_POINTS)]) * _sizes()[:, None]
    return values


def _sizes() -> NDArray[np.floating]:
    return np.array([*(abs(point) or 1.0 for point in _POINTS), 1.0])


def _transforms(order: list[int]) -> Transforms:
    """Return the transforms for kernels whose values are those of the points in that order along each side."""
    cells = _powers(TILE).T[:, order]
    return Transforms(_tensor(_window_values()[order]), _tensor(np.kron(cells, cells)))


def _tensor(values: NDArray[np.floating]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


_KERNEL_VALUES = _tensor(np.kron(_kernel_values(), _kernel_values()))
FORWARD, BACKWARD = _transforms(list(range(WINDOW))), _transforms(_RECIPROCALS)
"""The transforms of a convolution, and those of its gradient."""


def values_of(kernels: Tensor) -> Tensor:
    """Return the values `[36, K, C]` of kernels `[K, C, 3, 3]` at all pairs of points."""
    out_channels, channels = kernels.shape[:2]
    flat = kernels.permute(2, 3, 0, 1).reshape(9, -1)
    return (_KERNEL_VALUES @ flat).view(WINDOW**2, out_channels, channels)

"""Products: the 36 matrix products of a Winograd convolution, as one convolution in 36 groups.

oneDNN computes that at nine tenths of a processor's speed with AVX2, where MKL's products take up to 1.6 times as long.
It wants the matrices in an order of memory of its own, which depends on how many tiles there are. They are brought into
it once and kept, and again when the tiles ask for another order. The bits are the same in any order.

Knows Winograd's values. Knows no pictures.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from dreamd.engine.speed.points import WINDOW, values_of

_POINTS = WINDOW**2

_MOST_ALONE = 64
"""The most tiles that are one row of the convolution's picture."""
_ROWS = (48, 36, 24)
"""How many tiles a row may have where there are more. Rows of these lengths want the same order of memory."""

Grid = tuple[int, int]
"""How many rows of the convolution's picture there are, and how many tiles in each."""


def grid_of(tiles: int) -> Grid:
    """Return how some tiles are laid out, with as few as can be that are computed for nothing."""
    if tiles <= _MOST_ALONE:
        return 1, tiles
    length = min(_ROWS, key=lambda row: math.ceil(tiles / row) * row)
    return math.ceil(tiles / length), length


class Products:
    """Multiplies the values of tiles with those of kernels, in one direction.

    What is kept is counted by `bytes_kept`, since torch does not tell the size of a tensor in oneDNN's order.
    """

    def __init__(self, *, turned: bool) -> None:
        """Keep nothing yet.

        Args:
            turned: take the matrices from result to input, for the gradient.
        """
        self._turned = turned
        self._kept: tuple[Grid, Tensor] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Products:
        """Return another that keeps nothing yet: torch cannot copy what is in oneDNN's order."""
        del memo
        return Products(turned=self._turned)

    def of(self, values: Tensor, grid: Grid, weight: Tensor) -> Tensor:
        """Multiply values `[tiles, 36, C]`, as many as the grid has, with those of a weight `[K, C, 3, 3]`.

        Returns `[tiles, 36, K]`. For the gradient, `[tiles, 36, K]` gives `[tiles, 36, C]`.
        """
        tiles, _, channels = values.shape
        picture = values.view(*grid, 1, _POINTS * channels).permute(0, 3, 1, 2)
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            picture, self._matrices(grid, weight), None, [0, 0], [1, 1], [1, 1], _POINTS, "none", [], ""
        )
        return result.permute(0, 2, 3, 1).reshape(tiles, _POINTS, -1)

    def _matrices(self, grid: Grid, weight: Tensor) -> Tensor:
        """Return the matrices in the order that the grid asks for."""
        kind = grid if grid[0] == 1 else (2, 0)  # more rows all ask for the same order
        if self._kept is None or self._kept[0] != kind:
            self._kept = kind, self._packed(grid, weight)
        return self._kept[1]

    def _packed(self, grid: Grid, weight: Tensor) -> Tensor:
        values = values_of(weight.detach())
        matrices = values.transpose(1, 2) if self._turned else values
        size = [grid[0], _POINTS * matrices.shape[2], grid[1], 1]
        flat = matrices.reshape(_POINTS * matrices.shape[1], matrices.shape[2], 1, 1)
        result: Tensor = torch.ops.mkldnn._reorder_convolution_weight(flat, [0, 0], [1, 1], [1, 1], _POINTS, size)
        return result


def bytes_kept(weight: Tensor) -> int:
    """Return the bytes that the matrices of a weight `[K, C, 3, 3]` take at most, for both directions."""
    return 2 * _POINTS * weight.shape[0] * weight.shape[1] * weight.element_size()

"""Winograd: 3×3 convolutions on a processor with a quarter of the multiplications, in float32.

S. Winograd's minimal filtering, as A. Lavin and S. Gray brought it to networks ("Fast Algorithms for Convolutional
Neural Networks", 2015): a tile of 4×4 cells comes from 6×6 inputs, as a polynomial's coefficients come from its values
at six points along each side. At each of the 36 pairs of points the products of all tiles are one matrix product, so
that a cell costs 36/16 multiplications a channel in place of 9.

The points here are 0, ±√2, ±1/√2 and infinity. With them the error is about 1e-6 of the norm at 512 channels, some
20 roundings of float32. torch's own convolution errs as much with AVX2, and by 2e-7 with AVX-512. And each point's
reciprocal is among them, so that a kernel turned round has the kernel's own values in another order: one set of values
serves the convolution and its gradient.

Knows convolutions. Knows no devices and no precisions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import torch
from numpy.polynomial.polynomial import polyfromroots
from numpy.typing import NDArray
from torch import Tensor, nn

from dreamd.engine.speed.frozen import FrozenConv2d, Join, freeze, through_clamp

_TILE, _WINDOW = 4, 6
"""The cells along a tile's side, and the inputs along a side that they come from."""

_LEAST_CHANNELS = 64 * 96
"""The least C·K of a kernel from C to K channels. Below it the transforms cost more than the products save."""
_LEAST_TILES = 16
"""The least tiles of a picture."""
_LEAST_WORK = 25 * 64 * 128
"""The least tiles times C·K. All three were found by timing sides from 6 to 160 and 64 to 512 channels on two cores
with AVX2."""

_TILES_AT_ONCE = 192
"""The tiles that are computed at once: enough for a matrix product at full speed, few enough to stay in the cache."""


def use_winograd(network: nn.Module) -> None:
    """Have each convolution of a network that gains by it take Winograd's way.

    A convolution stays the object that it is, and only its class changes: a network may hold it in more places than its
    tree of modules, and its hooks, names and weights stay.

    Args:
        network: frozen, in float32 on the CPU; changed in place.
    """
    for module in network.modules():
        if _is_eligible(module):
            freeze(module, WinogradConv2d)
            module.register_buffer("values", _values_of(module.weight), persistent=False)


def _is_eligible(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Return whether a module is a plain 3×3 convolution that moves by single cells, with enough channels."""
    return (
        type(module) is nn.Conv2d
        and (module.kernel_size, module.stride, module.dilation, module.groups) == ((3, 3), (1, 1), (1, 1), 1)
        and module.padding_mode == "zeros"
        and all(0 <= side < 3 for side in _padding_of(module))
        and module.in_channels * module.out_channels >= _LEAST_CHANNELS
    )


def _padding_of(convolution: nn.Conv2d) -> tuple[int, int]:
    """Return how many zeros are put above the picture and left of it, for a 3×3 kernel."""
    if isinstance(convolution.padding, str):
        return (1, 1) if convolution.padding == "same" else (0, 0)
    above, left = convolution.padding
    return above, left


class WinogradConv2d(FrozenConv2d):
    """A 3×3 convolution that takes Winograd's way where a picture is large enough for it. Made by `use_winograd`.

    The result `[N, K, H, W]` lies in memory with the channels innermost.

    Attributes:
        values: its kernels' values, `[36, K, C]`: four times the weights' memory.
    """

    values: Tensor

    def computed(self, x: Tensor, join: Join | None) -> Tensor:
        """Return the convolution, clamped with it if there is a `join`."""
        if not self._gains(x):
            return super().computed(x, join)
        result: Tensor = _Convolution.apply(x, self.values, self.bias, _padding_of(self), join)
        return result

    def _gains(self, x: Tensor) -> bool:
        if x.dtype != torch.float32:
            return False
        tiles = math.prod(_tiles_along(x.shape, _padding_of(self)))
        return tiles >= _LEAST_TILES and tiles * self.in_channels * self.out_channels >= _LEAST_WORK


def cells_at_once(network: nn.Module) -> int:
    """Return how many cells along a side a network computes together.

    A piece of a picture must begin between two tiles. Otherwise its tiles are others than the whole picture's, and so
    are its last bits, which ReLUs and maxima make more of (2e-3 of the gradient's norm in a VGG19 to relu5_1).
    """
    return _TILE if any(isinstance(module, WinogradConv2d) for module in network.modules()) else 1


class _Convolution(torch.autograd.Function):
    """The convolution, clamped if there is a join, and its gradient for the input; weights have none."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, values: Tensor, bias: Tensor | None, padding: tuple[int, int], join: Join | None
    ) -> Tensor:
        ctx.values, ctx.padding, ctx.join = values, padding, join
        result = _convolve(_Input(x), values.transpose(1, 2), _FORWARD, padding, _After(bias, join))
        ctx.save_for_backward(None if join is None else result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        down, right = (2 - side for side in ctx.padding)
        (result,) = ctx.saved_tensors
        given = _Input(gradient, result, ctx.join)
        return _convolve(given, ctx.values, _BACKWARD, (down, right), _After()), None, None, None, None


@dataclass(frozen=True)
class _After:
    """What is done to a tile's cells.

    Attributes:
        bias: is added, one value a channel.
        join: clamps them.
    """

    bias: Tensor | None = None
    join: Join | None = None


@dataclass(frozen=True)
class _Input:
    """What is convolved, `[N, C, H, W]`: a tensor, or the gradient that a clamp lets through.

    Attributes:
        x: the tensor, or the gradient at the clamp's result.
        result: of the clamp.
        join: the clamp.
    """

    x: Tensor
    result: Tensor | None = None
    join: Join | None = None

    def copy_into(self, pixels: Tensor) -> None:
        """Copy it into `[N, H, W, C]`."""
        x = self.x.permute(0, 2, 3, 1)
        if self.result is None or self.join is None:
            pixels.copy_(x)
        else:
            through_clamp(x, self.result.permute(0, 2, 3, 1), self.join, pixels)


@dataclass(frozen=True)
class _Transforms:
    """What turns pixels into values, and values into cells.

    Attributes:
        values: gives a window's values at the six points along a side, `[6, 6]`.
        cells: gives a tile's cells from its window's values, `[16, 36]`.
    """

    values: Tensor
    cells: Tensor


def _convolve(
    given: _Input, kernels: Tensor, transforms: _Transforms, padding: tuple[int, int], after: _After
) -> Tensor:
    """Convolve `[N, C, H, W]` with kernels given by their values `[36, C, K]`."""
    x = given.x
    batch, channels, height, width = x.shape
    rows, columns = _tiles_along(x.shape, padding)
    top, left = padding
    bottom, right = top + height, left + width
    pixels = x.new_empty(batch, _TILE * rows + 2, _TILE * columns + 2, channels)
    for zeros in (pixels[:, :top], pixels[:, bottom:], pixels[:, :, :left], pixels[:, :, right:]):
        zeros.zero_()
    given.copy_into(pixels[:, top:bottom, left:right])
    cells = x.new_empty(batch, rows, _TILE, columns, _TILE, kernels.shape[2])
    band = _Band(kernels, transforms, after, rows, columns)
    for picture, result in zip(pixels, cells, strict=True):
        for row in range(0, rows, band.rows):
            band.convolve(picture[_TILE * row :], result[row : row + band.rows])
    whole = cells.view(batch, _TILE * rows, _TILE * columns, -1).permute(0, 3, 1, 2)
    result = whole[:, :, : height + 2 * top - 2, : width + 2 * left - 2]
    return result.contiguous(memory_format=torch.channels_last)


def _tiles_along(shape: torch.Size, padding: tuple[int, int]) -> tuple[int, int]:
    """Return how many tiles a result has along its height and width."""
    down, right = (-(-(side + 2 * zeros - 2) // _TILE) for side, zeros in zip(shape[2:], padding, strict=True))
    return down, right


class _Band:
    """Computes a few rows of tiles at a time, each band in the memory of the one before.

    Attributes:
        rows: the rows of tiles in a band.
    """

    def __init__(self, kernels: Tensor, transforms: _Transforms, after: _After, rows: int, columns: int) -> None:
        self._kernels, self._transforms, self._after, self._columns = kernels, transforms, after, columns
        _, self._channels, self._out_channels = kernels.shape
        widest = max(self._channels, self._out_channels)
        bands = math.ceil(rows / max(1, _TILES_AT_ONCE // columns))
        self.rows = math.ceil(rows / bands)  # so that no band is much smaller than the others
        self._first, self._second = (
            kernels.new_empty(_WINDOW**2 * self.rows * (columns + 1) * widest) for _ in range(2)
        )

    def convolve(self, pixels: Tensor, cells: Tensor) -> None:
        """Convolve from the first rows of `pixels` `[H, W, C]` into all of `cells` `[rows, 4, columns, 4, K]`."""
        rows, columns, channels = len(cells), self._columns, self._channels
        values = self._values(pixels, rows)
        products = self._view(self._second, _WINDOW**2, rows * columns, self._out_channels)
        torch.bmm(values.view(_WINDOW**2, rows * columns, channels), self._kernels, out=products)
        flat = self._view(self._first, _TILE**2, rows * columns * self._out_channels)
        torch.mm(self._transforms.cells, products.view(_WINDOW**2, -1), out=flat)
        tiles = flat.view(_TILE, _TILE, rows, columns, -1).permute(2, 0, 3, 1, 4)
        if self._after.bias is None:
            cells.copy_(tiles)
        else:
            torch.add(tiles, self._after.bias, out=cells)
        if self._after.join is not None:
            cells.clamp_(self._after.join.low, self._after.join.high)

    def _values(self, pixels: Tensor, rows: int) -> Tensor:
        """Compute the values of the windows of some rows of tiles at all pairs of points, `[6, 6, windows·C]`."""
        columns, channels, line = self._columns, self._channels, pixels.stride(0)
        one_side = self._view(self._first, rows, _WINDOW, line)
        for row, values in enumerate(one_side):
            windows = pixels[_TILE * row : _TILE * row + _WINDOW].view(_WINDOW, line)
            # Row by row: one `bmm` of all rows has other last bits than of a single one, and tiles would not join.
            torch.mm(self._transforms.values, windows, out=values)
        strides = (line, channels, _WINDOW * line, _TILE * channels, 1)
        apart = self._view(self._second, _WINDOW, _WINDOW, rows * columns * channels)
        apart.view(_WINDOW, _WINDOW, rows, columns, channels).copy_(
            one_side.as_strided((_WINDOW, _WINDOW, rows, columns, channels), strides)
        )
        both = self._view(self._first, _WINDOW, _WINDOW, rows * columns * channels)
        torch.bmm(self._transforms.values.expand(_WINDOW, -1, -1), apart, out=both)
        return both

    @staticmethod
    def _view(memory: Tensor, *shape: int) -> Tensor:
        return memory[: math.prod(shape)].view(shape)


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


def _transforms(order: list[int]) -> _Transforms:
    """Return the transforms for kernels whose values are those of the points in that order along each side."""
    cells = _powers(_TILE).T[:, order]
    return _Transforms(_tensor(_window_values()[order]), _tensor(np.kron(cells, cells)))


def _tensor(values: NDArray[np.floating]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


_KERNEL_VALUES = _tensor(np.kron(_kernel_values(), _kernel_values()))
_FORWARD, _BACKWARD = _transforms(list(range(_WINDOW))), _transforms(_RECIPROCALS)


def _values_of(kernels: Tensor) -> Tensor:
    """Return the values `[36, K, C]` of kernels `[K, C, 3, 3]` at all pairs of points."""
    out_channels, channels = kernels.shape[:2]
    flat = kernels.permute(2, 3, 0, 1).reshape(9, -1)
    return (_KERNEL_VALUES @ flat).view(_WINDOW**2, out_channels, channels)

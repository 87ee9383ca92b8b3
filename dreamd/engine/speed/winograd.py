"""Winograd: 3×3 convolutions on a processor with a quarter of the multiplications, in float32.

S. Winograd's minimal filtering, as A. Lavin and S. Gray brought it to networks ("Fast Algorithms for Convolutional
Neural Networks", 2015): a tile of 4×4 cells comes from 6×6 inputs, as a polynomial's coefficients come from its values
at six points along each side. At each of the 36 pairs of points the products of all tiles are one matrix product, so
that a cell costs 36/16 multiplications a channel in place of 9.

The points and what follows from them are in `points`, the products in `products`.

Knows convolutions. Knows no devices and no precisions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from dreamd.engine.speed.clamps import Join, through_clamp
from dreamd.engine.speed.fixed import fix
from dreamd.engine.speed.frozen import FrozenConv2d
from dreamd.engine.speed.points import BACKWARD, FORWARD, TILE, WINDOW, Transforms
from dreamd.engine.speed.products import Products, bytes_kept, grid_of

_LEAST_CHANNELS = 48 * 48
"""The least C·K of a kernel from C to K channels. Below it the transforms cost more than the products save."""
_LEAST_TILES = 16
"""The least tiles of a picture."""
_LEAST_WORK = 25 * 64 * 128
"""The least tiles times C·K. All three were found by timing sides from 6 to 224 and 32 to 512 channels with AVX2."""

_TILES_AT_ONCE = 192
"""The tiles that are computed at once: enough for a matrix product at full speed, few enough to stay in the cache."""


def use_winograd(network: nn.Module) -> None:
    """Have each convolution of a network that gains by it take Winograd's way.

    Args:
        network: frozen, in float32 on the CPU; changed in place.
    """
    for module in network.modules():
        if _is_eligible(module):
            fixed = fix(module, WinogradConv2d)
            fixed.forth, fixed.back = Products(turned=False), Products(turned=True)


def bytes_of_values(network: nn.Module) -> int:
    """Return the bytes of all values that a network keeps once all of it has run, forth and back."""
    convolutions = (module for module in network.modules() if isinstance(module, WinogradConv2d))
    return sum(bytes_kept(module.weight) for module in convolutions)


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
        forth: multiplies with its kernels' values, of which it keeps four times the weights' memory.
        back: does so for the gradient, and keeps as much again.
    """

    forth: Products
    back: Products

    def computed(self, x: Tensor, join: Join | None) -> Tensor:
        """Return the convolution, clamped with it if there is a `join`."""
        if not self._gains(x):
            return super().computed(x, join)
        result: Tensor = _Convolution.apply(x, self, join)
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
    return TILE if any(isinstance(module, WinogradConv2d) for module in network.modules()) else 1


class _Convolution(torch.autograd.Function):
    """The convolution, clamped if there is a join, and its gradient for the input; weights have none."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, convolution: WinogradConv2d, join: Join | None) -> Tensor:
        ctx.convolution, ctx.join = convolution, join
        kernels = _Kernels(convolution.forth, convolution.weight, convolution.out_channels, FORWARD)
        bias = None if convolution.bias is None else convolution.bias.detach()
        result = _convolve(_Input(x), kernels, _padding_of(convolution), _After(bias, join))
        ctx.save_for_backward(None if join is None else result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        convolution: WinogradConv2d = ctx.convolution
        down, right = (2 - side for side in _padding_of(convolution))
        (result,) = ctx.saved_tensors
        kernels = _Kernels(convolution.back, convolution.weight, convolution.in_channels, BACKWARD)
        return _convolve(_Input(gradient, result, ctx.join), kernels, (down, right), _After()), None, None


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
class _Kernels:
    """What is convolved with.

    Attributes:
        products: multiply with the kernels' values.
        weight: the kernels, `[K, C, 3, 3]`.
        channels: of the result.
        transforms: belong to the products' direction.
    """

    products: Products
    weight: Tensor
    channels: int
    transforms: Transforms


def _convolve(given: _Input, kernels: _Kernels, padding: tuple[int, int], after: _After) -> Tensor:
    """Convolve `[N, C, H, W]`."""
    x = given.x
    batch, _, height, width = x.shape
    rows, columns = _tiles_along(x.shape, padding)
    top, left = padding
    bottom, right = top + height, left + width
    pixels = _room_for_pixels(x, rows, columns)
    for zeros in (pixels[:, :top], pixels[:, bottom:], pixels[:, :, :left], pixels[:, :, right:]):
        zeros.zero_()
    given.copy_into(pixels[:, top:bottom, left:right])
    cells = x.new_empty(batch, rows, TILE, columns, TILE, kernels.channels)
    band = _Band(kernels, after, x.shape[1], rows, columns)
    for picture, result in zip(pixels, cells, strict=True):
        for row in range(0, rows, band.rows):
            band.convolve(picture[TILE * row :], result[row : row + band.rows])
    whole = cells.view(batch, TILE * rows, TILE * columns, -1).permute(0, 3, 1, 2)
    result = whole[:, :, : height + 2 * top - 2, : width + 2 * left - 2]
    return result.contiguous(memory_format=torch.channels_last)


def _tiles_along(shape: torch.Size, padding: tuple[int, int]) -> tuple[int, int]:
    """Return how many tiles a result has along its height and width."""
    down, right = (-(-(side + 2 * zeros - 2) // TILE) for side, zeros in zip(shape[2:], padding, strict=True))
    return down, right


def _room_for_pixels(x: Tensor, rows: int, columns: int) -> Tensor:
    """Return room for the pixels of some tiles, `[N, H, W, C]`.

    A row of pixels has room for one tile more, so that all windows of a band lie equally far from each other. The last
    of these begins in the last row and ends two pixels behind it.
    """
    batch, channels, height, width = x.shape[0], x.shape[1], TILE * rows + 2, TILE * (columns + 1)
    flat = x.new_empty((batch * height * width + 2) * channels)
    flat[-2 * channels :].zero_()
    return flat[: -2 * channels].view(batch, height, width, channels)


class _Band:
    """Computes a few rows of tiles at a time, each band in the memory of the one before.

    Attributes:
        rows: the rows of tiles in a band.
    """

    def __init__(self, kernels: _Kernels, after: _After, channels: int, rows: int, columns: int) -> None:
        self._kernels, self._after, self._channels, self._columns = kernels, after, channels, columns
        bands = math.ceil(rows / max(1, _TILES_AT_ONCE // columns))
        self.rows = math.ceil(rows / bands)  # so that no band is much smaller than the others
        windows = (TILE * self.rows + 2) * (columns + 1)
        cells = TILE**2 * self.rows * columns * kernels.channels
        self._first = kernels.weight.new_empty(max(WINDOW * windows * channels, cells))
        tiles = max(math.prod(grid_of(count)) for count in range(columns, self.rows * columns + 1, columns))
        self._second = kernels.weight.new_empty(WINDOW**2 * tiles * channels)

    def convolve(self, pixels: Tensor, cells: Tensor) -> None:
        """Convolve from the first rows of `pixels` `[H, W, C]` into all of `cells` `[rows, 4, columns, 4, K]`."""
        rows, columns, kernels = len(cells), self._columns, self._kernels
        count, grid = rows * columns, grid_of(rows * columns)
        values = self._view(self._second, math.prod(grid), WINDOW**2, self._channels)
        self._evaluate(pixels, values, rows)
        products = kernels.products.of(values, grid, kernels.weight)[:count]
        flat = self._view(self._first, count, TILE**2, kernels.channels)
        torch.bmm(kernels.transforms.cells.expand(count, -1, -1), products, out=flat)
        tiles = flat.view(rows, columns, TILE, TILE, -1).permute(0, 2, 1, 3, 4)
        if self._after.bias is None:
            cells.copy_(tiles)
        else:
            torch.add(tiles, self._after.bias, out=cells)
        if self._after.join is not None:
            cells.clamp_(self._after.join.low, self._after.join.high)

    def _evaluate(self, pixels: Tensor, values: Tensor, rows: int) -> None:
        """Compute the values of the windows of some rows of tiles at all pairs of points, `[tiles, 36, C]`."""
        channels, across = self._channels, self._columns + 1
        side, line = self._kernels.transforms.values, WINDOW * channels
        windows = pixels.as_strided(((TILE * rows + 2) * across, WINDOW, channels), (TILE * channels, channels, 1))
        along = self._view(self._first, *windows.shape)
        torch.bmm(side.expand(len(windows), -1, -1), windows, out=along)
        for row, both in enumerate(values[: rows * self._columns].view(rows, self._columns, WINDOW, line)):
            lines = along[TILE * row * across :].as_strided((self._columns, WINDOW, line), (line, across * line, 1))
            torch.bmm(side.expand(self._columns, -1, -1), lines, out=both)

    @staticmethod
    def _view(memory: Tensor, *shape: int) -> Tensor:
        return memory[: math.prod(shape)].view(shape)

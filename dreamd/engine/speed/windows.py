"""Windows: how a convolution with fixed weights is computed at one size of picture, and its gradient for the input.

oneDNN wants the weights in an order of memory of its own. They are brought into it once, and not each time. The
gradient is computed as a convolution with the kernels turned round where that is no slower: it then has such weights.

Knows convolutions and oneDNN. Knows no clamps and no precisions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dreamd.engine.speed.fixed import Pair, zeros_around
from dreamd.engine.speed.phases import Phases, phases_of

Zeros = tuple[int, int, int, int]
"""Zeros to the left, right, above and below."""

_MOST_TAPS_TURNED = 9
"""The most cells of a kernel that goes channel by channel in float32 whose gradient is computed as a convolution. For
larger ones oneDNN's own way is a fifth faster with AVX2, and as fast with AVX-512."""

_MOST_ORDERS = 3
"""The most orders of memory in which weights are kept for later sizes of picture."""

_BEFORE_ORDER = 112
"""The bytes before the strides and blocks in what torch says of an order: the shape, the number format, and some that
hold whatever was in the memory."""


@dataclass
class Weight:
    """Weights in torch's order, and in those that oneDNN asked for: it has two or three for all sizes of picture.

    Attributes:
        plain: `[K, C / groups, h, w]`.
        packed: the same in oneDNN's orders, by what torch says of the order.
    """

    plain: Tensor
    packed: dict[bytes, Tensor] = field(default_factory=dict)

    def for_pictures(self, shape: torch.Size, cells: Cells) -> Tensor:
        """Return the weights in the order that oneDNN wants for pictures `[N, C, H, W]`."""
        packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
            self.plain, cells.padding, cells.stride, cells.dilation, cells.groups, list(shape)
        )
        order = bytes(torch.ops.mkldnn._get_mkldnn_serialized_md(packed)[_BEFORE_ORDER:].tolist())
        if order not in self.packed and len(self.packed) >= _MOST_ORDERS:
            return next(iter(self.packed.values()))  # right as well, and put in order each time
        return self.packed.setdefault(order, packed)


@dataclass(frozen=True)
class Kernels:
    """What a convolution and its gradient are computed with.

    Attributes:
        weight: the kernels.
        turned: the kernels of the convolution that the gradient is; None where it is no such one.
        phases: the kernels of the gradient where a stride leaves out cells of few channels; None elsewhere.
    """

    weight: Weight
    turned: Weight | None
    phases: Phases | None


@dataclass(frozen=True)
class Cells:
    """Which cells of a picture a kernel meets.

    Attributes:
        padding: zeros above and left, and as many below and right.
        stride: cells from one place of the kernel to the next.
        dilation: cells from one of the kernel's own to the next.
        groups: in how many groups the channels are convolved.
    """

    padding: list[int]
    stride: list[int]
    dilation: list[int]
    groups: int

    def count(self, shape: torch.Size, kernel: torch.Size) -> list[int]:
        """Return the height and width of the result for pictures `[N, C, H, W]` and kernels `[K, C / groups, h, w]`."""
        sides = zip(shape[2:], kernel[2:], self.padding, self.stride, self.dilation, strict=True)
        return [
            (side + 2 * zeros - dilation * (reach - 1) - 1) // stride + 1
            for side, reach, zeros, stride, dilation in sides
        ]


@dataclass(frozen=True)
class Window:
    """One convolution at one size of picture.

    Attributes:
        kernels: what is computed with.
        weight: the kernels in oneDNN's order.
        turned: the turned kernels in oneDNN's order.
        bias: one value a channel; None for none.
        cells: which cells the kernel meets.
        turned_cells: which cells of the gradient the turned kernel meets; None without one.
        zeros: what is put around the picture by copying it; None for nothing.
    """

    kernels: Kernels
    weight: Tensor
    turned: Tensor | None
    bias: Tensor | None
    cells: Cells
    turned_cells: Cells | None
    zeros: Zeros | None

    def convolve(self, x: Tensor, attribute: str, bounds: list[float]) -> Tensor:
        """Convolve `x`, and have oneDNN do with the result what the attribute says."""
        x = x if self.zeros is None else F.pad(x, self.zeros)
        x = x.contiguous(memory_format=torch.channels_last)
        return _convolved(x, self.weight, self.bias, self.cells, attribute, bounds)

    def pull(self, gradient: Tensor, shape: torch.Size) -> Tensor:
        """Return the gradient at pictures of a shape for one at the result."""
        if self.kernels.phases is not None:
            return self.kernels.phases.pull(gradient, shape, self._zeros_before())
        if self.turned is None or self.turned_cells is None:
            return self._gradient(gradient, shape)
        if self.cells.stride != [1, 1]:
            gradient = self._spread(gradient, shape)
        return self._inside(_convolved(gradient, self.turned, None, self.turned_cells), shape)

    def _zeros_before(self) -> Pair:
        """Return the zeros above and left of the picture."""
        left, _, above, _ = self.zeros or (0, 0, 0, 0)
        return above + self.cells.padding[0], left + self.cells.padding[1]

    def _spread(self, gradient: Tensor, shape: torch.Size) -> Tensor:
        """Put zeros between the cells of a gradient, as many as the stride left out."""
        kernel = self.kernels.weight.plain.shape
        height, width = Cells(self.cells.padding, [1, 1], self.cells.dilation, self.cells.groups).count(shape, kernel)
        down, right = self.cells.stride
        spread = gradient.new_zeros(shape[0], height, width, gradient.shape[1]).permute(0, 3, 1, 2)
        rows, columns = gradient.shape[2:]
        spread[:, :, : (rows - 1) * down + 1 : down, : (columns - 1) * right + 1 : right] = gradient
        return spread

    def _gradient(self, gradient: Tensor, shape: torch.Size) -> Tensor:
        """Have torch compute the gradient, for which it looks at the pictures' shape and order of memory alone."""
        left, right, above, below = self.zeros or (0, 0, 0, 0)
        batch, channels, height, width = shape
        unread = gradient.new_empty(batch, height + above + below, width + left + right, channels)
        cells = self.cells
        window = (cells.stride, cells.padding, cells.dilation, False, [0, 0], cells.groups, [True, False, False])
        pictures, weight = unread.permute(0, 3, 1, 2), self.kernels.weight.plain
        whole: Tensor = torch.ops.aten.convolution_backward(gradient, pictures, weight, None, *window)[0]
        return self._inside(whole, shape)

    def _inside(self, whole: Tensor, shape: torch.Size) -> Tensor:
        """Return what of a gradient is at the pictures themselves, and not at zeros around them."""
        if self.zeros is None:
            return whole
        left, _, above, _ = self.zeros
        return whole[:, :, above : above + shape[2], left : left + shape[3]]


def _convolved(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    cells: Cells,
    attribute: str = "none",
    bounds: list[float] | None = None,
) -> Tensor:
    result: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, weight, bias, cells.padding, cells.stride, cells.dilation, cells.groups, attribute, bounds or [], ""
    )
    return result


def window_of(convolution: nn.Conv2d, shape: torch.Size, *, is_same: bool, known: dict[Pair, Kernels]) -> Window:
    """Return how a convolution is computed for pictures `[N, C, H, W]`.

    Args:
        convolution: the convolution, whose weights do not change.
        shape: of the pictures.
        is_same: whether it pads as TensorFlow does.
        known: its kernels, by how many rows and columns of zeros are in front of them; more are put there.
    """
    padding, zeros = _padding_of(convolution, shape, is_same=is_same)
    more = (0, 0)
    if zeros is not None and _is_channel_by_channel(convolution):
        left, right, above, below = zeros
        padding, zeros, more = [below, right], None, (below - above, right - left)
    if more not in known:
        known[more] = _kernels(convolution, more, padding)
    kernels = known[more]
    cells = Cells(padding, list(convolution.stride), list(convolution.dilation), convolution.groups)
    padded = shape if zeros is None else _padded(shape, zeros)
    back = None if kernels.turned is None else _turned_cells(cells, kernels.turned)
    return Window(
        kernels=kernels,
        weight=kernels.weight.for_pictures(padded, cells),
        turned=_turned_for(padded, kernels, cells, back),
        bias=None if convolution.bias is None else convolution.bias.detach(),
        cells=cells,
        turned_cells=back,
        zeros=zeros,
    )


def _padded(shape: torch.Size, zeros: Zeros) -> torch.Size:
    left, right, above, below = zeros
    return torch.Size((*shape[:2], shape[2] + above + below, shape[3] + left + right))


def _turned_cells(cells: Cells, turned: Weight) -> Cells:
    """Return which cells of the gradient, spread by the stride, the turned kernels meet."""
    padding = [
        dilation * (side - 1) - zeros
        for dilation, side, zeros in zip(cells.dilation, turned.plain.shape[2:], cells.padding, strict=True)
    ]
    return Cells(padding, [1, 1], cells.dilation, cells.groups)


def _turned_for(shape: torch.Size, kernels: Kernels, cells: Cells, back: Cells | None) -> Tensor | None:
    """Return the turned kernels in oneDNN's order for pictures `[N, C, H, W]`."""
    if kernels.turned is None or back is None:
        return None
    kernel = kernels.weight.plain.shape
    spread = Cells(cells.padding, [1, 1], cells.dilation, cells.groups).count(shape, kernel)
    return kernels.turned.for_pictures(torch.Size((shape[0], kernel[0], *spread)), back)


def _padding_of(convolution: nn.Conv2d, shape: torch.Size, *, is_same: bool) -> tuple[list[int], Zeros | None]:
    """Return the zeros on both sides, or those that must be put around the picture since the sides differ."""
    (above, below), (left, right) = zeros_around(convolution, shape, is_same=is_same)
    return ([above, left], None) if (above, left) == (below, right) else ([0, 0], (left, right, above, below))


def _kernels(convolution: nn.Conv2d, more: Pair, padding: list[int]) -> Kernels:
    """Return kernels with rows and columns of zeros in front, and those of the gradient.

    A stride leaves cells out, which would have to be filled with zeros. That costs more than it gains, but in bf16,
    where oneDNN's gradient of strided convolutions channel by channel is ten times slower than in float32.
    """
    weight = convolution.weight.detach()
    if more != (0, 0):
        weight = F.pad(weight, (more[1], 0, more[0], 0)).contiguous(memory_format=torch.channels_last)
    is_turned = _reaches(convolution, weight, padding) and (
        _gains_by_turning_a_channel(convolution, weight)
        if _is_channel_by_channel(convolution)
        else convolution.groups == 1 and convolution.stride == (1, 1)
    )
    return Kernels(
        weight=Weight(weight),
        turned=Weight(_turned(convolution, weight)) if is_turned else None,
        phases=phases_of(convolution, weight),
    )


def _reaches(convolution: nn.Conv2d, weight: Tensor, padding: list[int]) -> bool:
    """Return whether no cell of the result sees zeros alone, which a convolution the other way could not leave out."""
    sides = zip(convolution.dilation, weight.shape[2:], padding, strict=True)
    return all(zeros <= dilation * (side - 1) for dilation, side, zeros in sides)


def _gains_by_turning_a_channel(convolution: nn.Conv2d, weight: Tensor) -> bool:
    """Return whether the gradient of a convolution channel by channel is faster as a convolution."""
    if weight.dtype is torch.bfloat16:
        return True
    return convolution.stride == (1, 1) and math.prod(weight.shape[2:]) <= _MOST_TAPS_TURNED


def _turned(convolution: nn.Conv2d, weight: Tensor) -> Tensor:
    turned = weight.flip(2, 3) if _is_channel_by_channel(convolution) else weight.flip(2, 3).transpose(0, 1)
    return turned.contiguous(memory_format=torch.channels_last)


def _is_channel_by_channel(convolution: nn.Conv2d) -> bool:
    return convolution.groups == convolution.in_channels == convolution.out_channels

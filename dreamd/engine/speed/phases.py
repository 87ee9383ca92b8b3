"""Phases: the gradient of a picture for a convolution that strides over it, without the zeros between its cells.

The pixels that lie alike between a stride's cells are a phase. Each phase's gradient is a convolution with some of the
kernel's cells, and all phases are one convolution with as many channels. oneDNN's own gradient fills no register with
a picture's three channels: for a first layer of 32 channels it takes 1.4 times as long in float32, 3 times in bf16.

Knows convolutions and oneDNN. Knows no clamps and no precisions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_MOST_CHANNELS = 4
"""The most channels of what a convolution strides over."""

_LANES = 8
"""Channels of all phases are filled up to a multiple of this with zeros, so that registers are full."""

_MOST_OF_PHASES = 64
"""The most channels that all phases have together: beyond it too little of the kernel is in each."""


def phases_of(convolution: nn.Conv2d, weight: Tensor) -> Phases | None:
    """Return the phases of a convolution with kernels `[K, C, h, w]`; None where it gains nothing by them."""
    stride, channels = convolution.stride, convolution.in_channels
    if convolution.groups != 1 or convolution.dilation != (1, 1) or channels > _MOST_CHANNELS:
        return None
    if stride == (1, 1) or channels * math.prod(stride) > _MOST_OF_PHASES:
        return None
    if any(side < step for side, step in zip(weight.shape[2:], stride, strict=True)):
        return None
    return Phases(_kernels(weight, (stride[0], stride[1])), (stride[0], stride[1]), channels)


def _kernels(weight: Tensor, stride: tuple[int, int]) -> Tensor:
    """Return the kernels of all phases, `[phases · C and some zeros, K, h, w]`."""
    (out_channels, channels, *sides), (down, right) = weight.shape, stride
    rows, columns = (-(-side // step) for side, step in zip(sides, stride, strict=True))
    filled = F.pad(weight, (0, columns * right - sides[1], 0, rows * down - sides[0]))
    apart = filled.view(out_channels, channels, rows, down, columns, right).flip(2, 4)
    kernels = apart.permute(3, 5, 1, 0, 2, 4).reshape(-1, out_channels, rows, columns)
    more = -len(kernels) % _LANES
    return F.pad(kernels, (0, 0, 0, 0, 0, 0, 0, more)).contiguous(memory_format=torch.channels_last)


@dataclass
class Phases:
    """The gradient of a picture, phase by phase.

    Attributes:
        kernels: of all phases, `[phases · C and some zeros, K, h, w]`.
        stride: of the convolution.
        channels: of the picture.
        packed: the kernels in oneDNN's order, for the size that came last.
    """

    kernels: Tensor
    stride: tuple[int, int]
    channels: int
    packed: tuple[torch.Size, Tensor] | None = field(default=None, repr=False)

    def pull(self, gradient: Tensor, shape: torch.Size, zeros: tuple[int, int]) -> Tensor:
        """Return the gradient at pictures of a shape for one at the result.

        Args:
            gradient: at the result, `[N, K, h, w]`, channels innermost.
            shape: of the pictures, `[N, C, H, W]`.
            zeros: above and left of the picture.
        """
        phases, (down, right) = self._phases(gradient), self.stride
        pixels = gradient.new_zeros(shape) if self._leaves_out(phases, shape, zeros) else gradient.new_empty(shape)
        for place, (row, column) in enumerate(product(range(down), range(right))):
            above, left = -(-(zeros[0] - row) // down), -(-(zeros[1] - column) // right)
            above, left = max(0, above), max(0, left)
            top, first = down * above + row - zeros[0], right * left + column - zeros[1]
            for channel in range(self.channels):
                into = pixels[:, channel, top::down, first::right]
                own = phases[:, place * self.channels + channel, above:, left:]
                height, width = (min(sides) for sides in zip(into.shape[1:], own.shape[1:], strict=True))
                into[:, :height, :width] = own[:, :height, :width]
        return pixels

    def _phases(self, gradient: Tensor) -> Tensor:
        """Return the gradient of all phases, `[N, phases · C and more, h, w]`."""
        padding = [side - 1 for side in self.kernels.shape[2:]]
        window = (padding, [1, 1], [1, 1], 1)
        if self.packed is None or self.packed[0] != gradient.shape:
            packed = torch.ops.mkldnn._reorder_convolution_weight(self.kernels, *window, list(gradient.shape))
            self.packed = gradient.shape, packed
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            gradient, self.packed[1], None, *window, "none", [], ""
        )
        return result

    def _leaves_out(self, phases: Tensor, shape: torch.Size, zeros: tuple[int, int]) -> bool:
        """Return whether the convolution does not reach the picture's last rows or columns."""
        sides = zip(phases.shape[2:], self.stride, shape[2:], zeros, strict=True)
        return any(step * cells < side + before for cells, step, side, before in sides)

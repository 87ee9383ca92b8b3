"""Frozen convolutions: what a processor need not do for a convolution whose weights never change.

Four things are spared. The weights are brought into oneDNN's own order of memory once. The clamp behind a convolution
is computed with it (oneDNN does that while a result is in the registers), and its gradient in the memory of the one
that came in. The "same" padding of TensorFlow, which is one longer at the end than at the start, costs no copy of the
activation: a kernel with one more row of zeros at its start, padded alike on both sides, gives the same to the bit. And
the gradient for the input is computed as a convolution again where that is faster (`windows`, `phases`).

Knows convolutions and the clamps behind them. Knows no precisions.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from dreamd.engine.speed.clamps import Join, through_join
from dreamd.engine.speed.fixed import FixedConv2d, Pair, Way, fix, pads_as_tensorflow
from dreamd.engine.speed.windows import Kernels, Window, window_of

_FORMATS = (torch.float32, torch.bfloat16)
"""The number formats that are computed in this way."""


def freeze_convolutions(network: nn.Module) -> None:
    """Have the convolutions of a network spare what frozen ones need not do.

    Args:
        network: frozen, on the CPU, in its precision; changed in place.
    """
    for module in network.modules():
        if is_eligible(module):
            fix(module, FrozenConv2d)


def bytes_of_turned(network: nn.Module) -> int:
    """Return the bytes of the weights that a network's frozen convolutions keep for their gradients."""
    weights = (module.weight for module in network.modules() if isinstance(module, FrozenConv2d))
    return sum(weight.numel() * weight.element_size() for weight in weights)


def is_eligible(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Return whether a module is a convolution padded with zeros, by fixed numbers or as TensorFlow does."""
    if not isinstance(module, nn.Conv2d) or module.padding_mode != "zeros" or module.weight.dtype not in _FORMATS:
        return False
    if module.weight.dtype is torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False  # torch then convolves in a slow way of its own
    return type(module) is nn.Conv2d or pads_as_tensorflow(module)


@dataclass
class FrozenWay(Way):
    """How a frozen convolution is computed.

    Attributes:
        kernels: its kernels, by how many rows and columns of zeros are in front of them.
        windows: how it is computed at the sizes of picture that came last.
    """

    kernels: dict[Pair, Kernels] = field(default_factory=dict)
    windows: dict[torch.Size, Window] = field(default_factory=dict)

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenWay:
        """Return another without kernels and windows: torch cannot copy what is in oneDNN's order."""
        return FrozenWay(self.plain, self.is_same, copy.deepcopy(self.join, memo))


class FrozenConv2d(FixedConv2d):
    """A convolution whose weights never change, on a processor."""

    way_class = FrozenWay
    way: FrozenWay

    def takes(self, x: Tensor, join: Join | None) -> bool:
        """Return whether oneDNN computes in that number format."""
        del join
        return x.dtype in _FORMATS

    def computed(self, x: Tensor, join: Join | None) -> Tensor:
        """Return the convolution, clamped with it if there is a `join`."""
        windows = self.way.windows
        size = x.shape[2:]
        if size not in windows:
            if len(windows) >= _MOST_WINDOWS:
                windows.clear()
            windows[size] = window_of(self, x.shape, is_same=self.way.is_same, known=self.way.kernels)
        result: Tensor = _Convolution.apply(x, windows[size], join)
        return result


_MOST_WINDOWS = 64
"""The most sizes of picture that a convolution remembers."""


class _Convolution(torch.autograd.Function):
    """The convolution, clamped if there is a join, and its gradient for the input; weights have none."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, window: Window, join: Join | None) -> Tensor:
        result = window.convolve(x, *_attribute(join))
        ctx.window, ctx.join, ctx.shape = window, join, x.shape
        ctx.overwrites = join is not None and join.is_unseen()
        ctx.save_for_backward(None if join is None else result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (result,) = ctx.saved_tensors
        gradient = through_join(gradient, result, ctx.join, overwrites=ctx.overwrites)
        return ctx.window.pull(gradient, ctx.shape), None, None


def _attribute(join: Join | None) -> tuple[str, list[float]]:
    """Return what oneDNN shall do with a result, in the words of torch."""
    if join is None:
        return "none", []
    return ("relu", []) if join.is_relu else ("hardtanh", [join.low, join.high])

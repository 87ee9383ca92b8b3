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
from torch.nn import functional as F

from dreamd.engine.speed.clamps import Join
from dreamd.engine.speed.straight import is_straight
from dreamd.engine.speed.windows import Kernels, Pair, Window, same_padding, window_of

_FORMATS = (torch.float32, torch.bfloat16)
"""The number formats that are computed in this way."""


def freeze_convolutions(network: nn.Module) -> None:
    """Have the convolutions of a network spare what frozen ones need not do.

    A convolution stays the object that it is, and only its class changes: a network may hold it in more places than its
    tree of modules, and its hooks, names and weights stay.

    Args:
        network: frozen, on the CPU, in its precision; changed in place.
    """
    for module in network.modules():
        if is_eligible(module):
            freeze(module, FrozenConv2d)


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


def freeze(module: nn.Conv2d, into: type[FrozenConv2d]) -> None:
    """Make a convolution a frozen one."""
    way = Way(type(module), type(module) is not nn.Conv2d or module.padding == "same")
    module.__class__ = into
    assert isinstance(module, FrozenConv2d)
    module.way = way


def join_frozen(module: nn.Module, join: Join) -> bool:
    """Have a convolution clamp its own result, if it is a frozen one. Returns whether it is."""
    if not isinstance(module, FrozenConv2d):
        return False
    module.way.join = join
    return True


def pads_as_tensorflow(convolution: nn.Conv2d) -> bool:
    """Return whether a convolution of another class pads as TensorFlow does and does nothing else; it is tried out."""
    generator = torch.Generator().manual_seed(0)
    weight = convolution.weight
    for more in range(max(convolution.stride)):
        sides = [
            side * dilation + more for side, dilation in zip(convolution.kernel_size, convolution.dilation, strict=True)
        ]
        x = torch.randn(1, convolution.in_channels, *sides, generator=generator).to(weight.dtype)
        window = (convolution.stride, 0, convolution.dilation, convolution.groups)
        with torch.no_grad():
            (top, bottom), (left, right) = same_padding(convolution, x.shape)
            expected = F.conv2d(F.pad(x, (left, right, top, bottom)), weight, convolution.bias, *window)
            if not torch.equal(convolution.forward(x), expected):
                return False
    return True


@dataclass
class Way:
    """How a frozen convolution is computed.

    Attributes:
        plain: its class before.
        is_same: whether it pads as TensorFlow does.
        join: the clamp that is computed with it; None for none.
        kernels: its kernels, by how many rows and columns of zeros are in front of them.
        windows: how it is computed at the sizes of picture that came last.
    """

    plain: type[nn.Conv2d]
    is_same: bool
    join: Join | None = None
    kernels: dict[Pair, Kernels] = field(default_factory=dict)
    windows: dict[torch.Size, Window] = field(default_factory=dict)

    def __deepcopy__(self, memo: dict[int, Any]) -> Way:
        """Return another without kernels and windows: torch cannot copy what is in oneDNN's order."""
        return Way(self.plain, self.is_same, copy.deepcopy(self.join, memo))


class FrozenConv2d(nn.Conv2d):
    """A convolution whose weights never change, on a processor. Made by `freeze`.

    Attributes:
        way: how it is computed.
    """

    way: Way

    def forward(self, x: Tensor) -> Tensor:
        """Convolve pictures or activations: `[N, C, H, W]` → `[N, K, H, W]`."""
        if is_straight() or x.dim() != 4 or x.dtype != self.weight.dtype or x.dtype not in _FORMATS:
            return self.way.plain.forward(self, x)
        join = self.way.join
        if join is None or not join.is_free():
            return self.computed(x, None)
        return join.clamped_by(lambda _: self.computed(x, join))

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
        join: Join | None = ctx.join
        (result,) = ctx.saved_tensors
        if join is not None:
            is_last = gradient.is_contiguous(memory_format=torch.channels_last)
            gradient = through_clamp(gradient, result, join, gradient if ctx.overwrites and is_last else None)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        return ctx.window.pull(gradient, ctx.shape), None, None


def _attribute(join: Join | None) -> tuple[str, list[float]]:
    """Return what oneDNN shall do with a result, in the words of torch."""
    if join is None:
        return "none", []
    return ("relu", []) if join.is_relu else ("hardtanh", [join.low, join.high])


def through_clamp(gradient: Tensor, result: Tensor, join: Join, into: Tensor | None) -> Tensor:
    """Return the gradient at what was clamped for one at the result, in the memory of `into` if that is given."""
    if into is None:
        pulled: Tensor = torch.ops.aten.hardtanh_backward(gradient, result, join.low, join.high)
        return pulled
    torch.ops.aten.hardtanh_backward.grad_input(gradient, result, join.low, join.high, grad_input=into)
    return into

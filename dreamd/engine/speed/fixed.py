"""Fixed: convolutions whose weights never change, and which a device computes in a way of its own.

A convolution stays the object that it is, and only its class changes: a network may hold it in more places than its
tree of modules, and its hooks, names and weights stay. Whatever the new way does not take is computed as before.

The clamps behind them are computed with them; which can be is told by the flow through the network.

Knows convolutions and the clamps behind them. Knows no devices and no precisions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dreamd.engine.speed.clamps import Join
from dreamd.engine.speed.flow import Clamp, Flow
from dreamd.engine.speed.straight import is_straight

Pair = tuple[int, int]
"""A number for the vertical side and one for the horizontal side."""


@dataclass
class Way:
    """How a convolution is computed.

    Attributes:
        plain: its class before.
        is_same: whether it pads as TensorFlow does.
        join: the clamp that is computed with it; None for none.
    """

    plain: type[nn.Conv2d]
    is_same: bool
    join: Join | None = None


class FixedConv2d(nn.Conv2d, ABC):
    """A convolution whose weights never change. Made by `fix`.

    Attributes:
        way: how it is computed.
    """

    way_class: ClassVar[type[Way]] = Way
    way: Way

    def forward(self, x: Tensor) -> Tensor:
        """Convolve pictures or activations: `[N, C, H, W]` → `[N, K, H, W]`."""
        join = self.way.join
        if join is not None and not join.is_free():
            join = None
        if is_straight() or x.dim() != 4 or x.dtype != self.weight.dtype or not self.takes(x, join):
            return self.way.plain.forward(self, x)
        compute = partial(self.computed, x, join)
        return compute() if join is None else join.clamped_by(compute)

    def can_clamp(self, join: Join) -> bool:
        """Return whether it can clamp its own result so."""
        del join
        return True

    @abstractmethod
    def takes(self, x: Tensor, join: Join | None) -> bool:
        """Return whether `x`, of the weights' number format, with that clamp behind it, is computed in the new way."""

    @abstractmethod
    def computed(self, x: Tensor, join: Join | None) -> Tensor:
        """Return the convolution, clamped with it if there is a `join`."""


C = TypeVar("C", bound=FixedConv2d)


def fix(module: nn.Conv2d, into: type[C]) -> C:
    """Make a convolution a fixed one; returns it."""
    way = into.way_class(plain=type(module), is_same=type(module) is not nn.Conv2d or module.padding == "same")
    module.__class__ = into
    assert isinstance(module, into)
    module.way = way
    return module


def join_clamps(network: nn.Module, flow: Flow) -> list[Join]:
    """Have clamps computed with the fixed convolutions before them, and others in place.

    Args:
        network: with norms that are folded or not; changed in place.
        flow: how tensors go through it.

    Returns:
        the clamps that convolutions took.
    """
    joins = [join for clamp in flow.clamps if (join := _join(network, clamp))]
    for name in flow.overwriting:
        network.get_submodule(name).inplace = True  # type: ignore[assignment]
    return joins


def _join(network: nn.Module, clamp: Clamp) -> Join | None:
    """Have a clamp computed with the convolution before it, if that can and the norm between them is folded."""
    if clamp.norm is not None and "forward" not in vars(network.get_submodule(clamp.norm)):
        return None
    convolution, activation = network.get_submodule(clamp.convolution), network.get_submodule(clamp.activation)
    low, high = _bounds(activation)
    before, after = (
        tuple(network.get_submodule(name) for name in names) for names in (clamp.shown_before, clamp.shown_after)
    )
    pooling = None if clamp.pooling is None else network.get_submodule(clamp.pooling)
    assert pooling is None or isinstance(pooling, nn.MaxPool2d)
    join = Join(low, high, before, after, clamp.is_own, pooling)
    if not isinstance(convolution, FixedConv2d) or not convolution.can_clamp(join):
        return None
    convolution.way.join = join
    activation.forward = partial(_passed_on, join, activation.forward)
    return join


def _bounds(activation: nn.Module) -> tuple[float, float]:
    if isinstance(activation, nn.Hardtanh):  # and ReLU6, which is one
        return activation.min_val, activation.max_val
    return 0.0, float("inf")


def _passed_on(join: Join, clamp: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Pass on what was clamped with the convolution before, and clamp anything else."""
    return x if join.last is not None and join.last.is_in(x) else clamp(x)


def zeros_around(convolution: nn.Conv2d, shape: torch.Size, *, is_same: bool) -> tuple[Pair, Pair]:
    """Return the zeros that are put above and below `[N, C, H, W]`, and those to its left and right.

    Args:
        convolution: the convolution.
        shape: of the pictures.
        is_same: whether it pads as TensorFlow does.
    """
    if is_same:
        down, right = (
            _same_zeros(side, kernel, stride, dilation)
            for side, kernel, stride, dilation in zip(
                shape[2:], convolution.kernel_size, convolution.stride, convolution.dilation, strict=True
            )
        )
        return down, right
    if isinstance(convolution.padding, str):
        return (0, 0), (0, 0)
    above, left = convolution.padding
    return (above, above), (left, left)


def _same_zeros(side: int, kernel: int, stride: int, dilation: int) -> Pair:
    cells = -(-side // stride)
    zeros = max(0, (cells - 1) * stride + (kernel - 1) * dilation + 1 - side)
    return zeros // 2, zeros - zeros // 2


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
            (top, bottom), (left, right) = zeros_around(convolution, x.shape, is_same=True)
            expected = F.conv2d(F.pad(x, (left, right, top, bottom)), weight, convolution.bias, *window)
            if not torch.equal(convolution.forward(x), expected):
                return False
    return True

"""Clamps: a ReLU or another clamp that is computed with the convolution before it.

What a module gives is what it gave, wherever somebody has a hook in it: whether anybody looks is asked each time that
the network runs.

Knows modules and their hooks. Knows no convolutions and no devices.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class Clamped:
    """A result on its way from a convolution, which clamped it, to where the clamp's own module passes it on.

    Attributes:
        tensor: the result, once there is one.
        is_masked: whether the gradient that comes back to it will be zero already where the clamp held a value.
    """

    tensor: weakref.ref[Tensor] | None = None
    is_masked: bool = False

    def is_in(self, x: Tensor) -> bool:
        """Return whether a tensor is this result."""
        return self.tensor is not None and self.tensor() is x


@dataclass
class Join:
    """A clamp that is computed with the convolution before it.

    Attributes:
        low: the least value that it lets through.
        high: the largest one.
        before: the modules with a hook that would see what is clamped.
        after: the modules with a hook that would see the result.
        is_own: whether the gradient of the result belongs to nobody else, unless a hook sees the result.
        pooling: the max pooling that the result goes into and nowhere else, unless a hook sees it; None for none.
        last: the last result, or the one that is being computed.
    """

    low: float
    high: float
    before: tuple[nn.Module, ...]
    after: tuple[nn.Module, ...]
    is_own: bool
    pooling: nn.MaxPool2d | None = None
    last: Clamped | None = None

    @property
    def is_relu(self) -> bool:
        """Whether it is a ReLU."""
        return (self.low, self.high) == (0, float("inf"))

    def is_free(self) -> bool:
        """Return whether nobody looks at what is clamped."""
        return not any(module._forward_hooks or module._forward_pre_hooks for module in self.before)

    def is_unseen(self) -> bool:
        """Return whether one function takes the result and nobody looks at it: its gradient can be written over."""
        return self.is_own and not any(module._forward_hooks or module._forward_pre_hooks for module in self.after)

    def clamped_by(self, convolve: Callable[[], Tensor]) -> Tensor:
        """Return what a convolution gives that clamps its own result, for the clamp's own module to pass on."""
        clamped = self.last = Clamped()
        result = convolve()
        clamped.tensor = weakref.ref(result)
        return result


def through_clamp(gradient: Tensor, result: Tensor, join: Join, into: Tensor | None) -> Tensor:
    """Return the gradient at what was clamped for one at the result, in the memory of `into` if that is given."""
    if into is None:
        pulled: Tensor = torch.ops.aten.hardtanh_backward(gradient, result, join.low, join.high)
        return pulled
    torch.ops.aten.hardtanh_backward.grad_input(gradient, result, join.low, join.high, grad_input=into)
    return into


def through_join(gradient: Tensor, result: Tensor | None, join: Join | None, *, overwrites: bool) -> Tensor:
    """Return the gradient before the clamp, if there is one, with the channels innermost.

    Args:
        gradient: at the result, `[N, C, H, W]`.
        result: what the clamp gave.
        join: the clamp.
        overwrites: whether the gradient may be written over.
    """
    if join is not None:
        assert result is not None
        is_last = gradient.is_contiguous(memory_format=torch.channels_last)
        gradient = through_clamp(gradient, result, join, gradient if overwrites and is_last else None)
    return gradient.contiguous(memory_format=torch.channels_last)

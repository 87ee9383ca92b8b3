"""Clamps: a ReLU or another clamp that is computed with the convolution before it.

Which can be is told by the flow through the network; how, by the convolution, for which a processor and a GPU have ways
of their own. What a module gives is what it gave, wherever somebody has a hook in it: whether anybody looks is asked
each time that the network runs.

Knows modules, their hooks and the flow between them. Knows no devices.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from dreamd.engine.speed.flow import Clamp, Flow


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
        last: the last result.
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

    def clamped_by(self, convolve: Callable[[Clamped], Tensor]) -> Tensor:
        """Return what a convolution gives that clamps its own result, for the clamp's own module to pass on."""
        clamped = Clamped()
        result = convolve(clamped)
        clamped.tensor = weakref.ref(result)
        self.last = clamped
        return result


Accept = Callable[[nn.Module, Join], bool]
"""A function that has a convolution clamp its own result, if it can. Returns whether it does."""


def join_clamps(network: nn.Module, flow: Flow, accepts: Accept) -> list[Join]:
    """Have clamps computed with the convolutions before them, and others in place.

    Args:
        network: with norms that are folded or not; changed in place.
        flow: how tensors go through it.
        accepts: takes a convolution and its clamp.

    Returns:
        the clamps that convolutions took.
    """
    joins = [join for clamp in flow.clamps if (join := _join(network, clamp, accepts))]
    for name in flow.overwriting:
        network.get_submodule(name).inplace = True  # type: ignore[assignment]
    return joins


def _join(network: nn.Module, clamp: Clamp, accepts: Accept) -> Join | None:
    """Have a clamp computed with the convolution before it, if that accepts it and the norm between them is folded."""
    if clamp.norm is not None and "forward" not in vars(network.get_submodule(clamp.norm)):
        return None
    activation = network.get_submodule(clamp.activation)
    low, high = _bounds(activation)
    before, after = (
        tuple(network.get_submodule(name) for name in names) for names in (clamp.shown_before, clamp.shown_after)
    )
    pooling = None if clamp.pooling is None else network.get_submodule(clamp.pooling)
    assert pooling is None or isinstance(pooling, nn.MaxPool2d)
    join = Join(low, high, before, after, clamp.is_own, pooling)
    if not accepts(network.get_submodule(clamp.convolution), join):
        return None
    activation.forward = partial(_passed_on, join, activation.forward)
    return join


def _bounds(activation: nn.Module) -> tuple[float, float]:
    if isinstance(activation, nn.Hardtanh):  # and ReLU6, which is one
        return activation.min_val, activation.max_val
    return 0.0, float("inf")


def _passed_on(join: Join, clamp: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Pass on what was clamped with the convolution before, and clamp anything else."""
    return x if join.last is not None and join.last.is_in(x) else clamp(x)

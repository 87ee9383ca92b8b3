"""Objectives: what an ascent makes larger.

An objective is a weighted sum of losses, each of one layer's activation. It is a value: `0.2 * a + 0.8 * b` is another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dreamd.engine.backbone import Lookout
from dreamd.errors import PluginError, UnknownNameError

if TYPE_CHECKING:
    from types import TracebackType

Loss = Callable[[Tensor], Tensor]
"""Activation `[N, C, H, W]` → `[N]`, one value a picture, maximised."""


@dataclass(frozen=True)
class Term:
    """One loss of one layer.

    Attributes:
        module: the layer's module in the network.
        loss: what of its activation is to grow.
        weight: what it counts for.
        channels: the channels to look at, from 0; None for all.
    """

    module: str
    loss: Loss
    weight: float = 1.0
    channels: tuple[int, ...] | None = None

    def __call__(self, activation: Tensor) -> Tensor:
        """The weighted loss `[N]` of an activation `[N, C, ...]`, in float32."""
        if self.channels is not None:
            activation = self._chosen(activation)
        value = self.loss(activation.float())
        if value.shape != activation.shape[:1]:
            raise PluginError(
                f"the loss returned a tensor of shape {list(value.shape)} for an activation of shape "
                f"{list(activation.shape)}; it must return one value a picture, [{activation.shape[0]}]"
            )
        return value if self.weight == 1.0 else self.weight * value

    def _chosen(self, activation: Tensor) -> Tensor:
        count = activation.shape[1]
        for channel in self.channels or ():
            if not 0 <= channel < count:
                raise UnknownNameError(f"channel of layer {self.module}", channel, [f"0 to {count - 1}"])
        return activation[:, list(self.channels or ())]


@dataclass(frozen=True)
class Objective:
    """A sum of terms."""

    terms: tuple[Term, ...]

    def __add__(self, other: Objective) -> Objective:
        return Objective(self.terms + other.terms)

    def __mul__(self, factor: float) -> Objective:
        return Objective(tuple(replace(term, weight=factor * term.weight) for term in self.terms))

    __rmul__ = __mul__

    def modules(self) -> list[str]:
        """The modules it looks at, in the order of the terms."""
        return [term.module for term in self.terms]

    def loss(self, activations: Sequence[Tensor]) -> Tensor:
        """The value `[N]` for the activations of `modules()`."""
        values = [term(activation) for term, activation in zip(self.terms, activations, strict=True)]
        total = values[0]
        for value in values[1:]:
            total = total + value
        return total


class Gradient:
    """The gradient of an objective of one network's activations. A context manager: it holds hooks in the network."""

    def __init__(self, network: nn.Module, objective: Objective) -> None:
        self._lookout = Lookout(network, objective.modules())
        self._objective = objective

    def __call__(self, x: Tensor, prepare: Callable[[Tensor], Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The gradient at normalised pictures `x` `[N, 3, H, W]`, and the loss `[N]` there.

        `prepare` brings a picture to what the network takes (its size, its precision), inside the gradient.
        """
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            loss = self._objective.loss(self._lookout(x if prepare is None else prepare(x)))
            # Each picture's loss depends on that picture alone, so the gradient of the sum holds each one's own.
            (gradient,) = torch.autograd.grad(loss.sum(), x)
        return gradient, loss.detach()

    def __enter__(self) -> Gradient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lookout.close()

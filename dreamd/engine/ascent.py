"""The ascent at one scale. Knows nothing of octaves, files or recipes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class GradientStep(Protocol):
    """What is done to a gradient `[N, 3, H, W]` before it moves the pictures; `progress` runs from 0 to 1."""

    def __call__(self, gradient: Tensor, progress: float) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class AscentSettings:
    """How to climb.

    Attributes:
        iterations: gradient steps.
        lr: how far a step goes, in normalised pixels, times the gradient.
        momentum: how much of the sum of the gradients so far is kept: 0 is plain ascent, 1 the article's sum.
        jitter: the largest random circular shift before each step, in pixels.
    """

    iterations: int
    lr: float
    momentum: float = 0.0
    jitter: int = 0


@dataclass(frozen=True)
class Ascended:
    """The end of an ascent: the pictures, and the loss `[N]` at its first and its last iteration."""

    x: Tensor
    first_loss: Tensor
    last_loss: Tensor


def ascend(
    x: Tensor,
    gradient_at: Callable[[Tensor], tuple[Tensor, Tensor]],
    settings: AscentSettings,
    *,
    steps: Sequence[GradientStep] = (),
    generators: Sequence[torch.Generator],
    on_iteration: Callable[[int], None] = lambda _iteration: None,
) -> Ascended:
    """Climb from normalised pictures `x` `[N, 3, H, W]`.

    Args:
        x: where to start.
        gradient_at: `x → (gradient [N, 3, H, W], loss [N])`.
        settings: how to climb.
        steps: what is done to each gradient, in order.
        generators: the random source of each picture's shifts, one a picture, so that a picture comes out the same in
            any batch.
        on_iteration: called after each step with its number, from 1.
    """
    velocity: Tensor | None = None
    losses: list[Tensor] = []
    for iteration in range(settings.iterations):
        shifts = [_shift(settings.jitter, generator) for generator in generators]
        gradient, loss = gradient_at(_rolled(x, shifts))
        gradient = _rolled(gradient, [(-down, -right) for down, right in shifts])
        losses = [*losses[:1], loss]
        for step in steps:
            gradient = step(gradient, iteration / settings.iterations)
        velocity = gradient if velocity is None or settings.momentum == 0 else settings.momentum * velocity + gradient
        # Two operations, each rounded, as the article computes it; a fused multiply-add differs in the last bit.
        x = x + settings.lr * velocity
        on_iteration(iteration + 1)
    return Ascended(x, losses[0], losses[-1])


def _shift(jitter: int, generator: torch.Generator) -> tuple[int, int]:
    if jitter == 0:
        return 0, 0
    down, right = torch.randint(-jitter, jitter + 1, (2,), generator=generator).tolist()
    return down, right


def _rolled(x: Tensor, shifts: Sequence[tuple[int, int]]) -> Tensor:
    """Each picture of `x` shifted circularly by its own (down, right)."""
    if all(shift == (0, 0) for shift in shifts):
        return x
    if len(shifts) == 1:
        return x.roll(shifts[0], dims=(2, 3))
    return torch.stack([picture.roll(shift, dims=(1, 2)) for picture, shift in zip(x, shifts, strict=True)])

"""The ascent at one scale. Knows a gradient as a function, and knows no octaves, files or recipes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

_BAND = 1 << 24
"""The values of a band: 64 MB in float32."""


class GradientStep(Protocol):
    """A function of a gradient `[N, 3, H, W]` before it moves the pictures; `progress` runs from 0 to 1."""

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
    overwrite: bool = False,
) -> Ascended:
    """Climb from normalised pictures `x` `[N, 3, H, W]`.

    Beside the tensors of `gradient_at` and the steps, three such pictures are alive: `x`, its gradient and, with
    momentum, the velocity.

    Args:
        x: the pictures to start from.
        gradient_at: takes the gradient: `x → (gradient [N, 3, H, W], loss [N])`.
        settings: how to climb.
        steps: what is done to each gradient, in order.
        generators: one random source a picture for its shifts, so that a picture comes out the same in any batch.
        on_iteration: called after each step with its number, from 1.
        overwrite: climb in the memory of `x`, whose owner does not need it any more.
    """
    x = x if overwrite else x.clone()
    velocity: Tensor | None = None
    losses: list[Tensor] = []
    for iteration in range(settings.iterations):
        shifts = [_shift(settings.jitter, generator) for generator in generators]
        gradient, loss = _gradient_of_shifted(x, gradient_at, shifts)
        losses = [*losses[:1], loss]
        for step in steps:
            gradient = step(gradient, iteration / settings.iterations)
        velocity = _velocity(velocity, gradient, settings.momentum)
        del gradient
        for band in bands(x):
            # Two operations, each rounded, as the article computes it; a fused multiply-add differs in the last bit.
            x[:, :, band] += settings.lr * velocity[:, :, band]
        on_iteration(iteration + 1)
    return Ascended(x, losses[0], losses[-1])


def bands(pictures: Tensor, axis: int = 2) -> Iterator[slice]:
    """Cut an axis into stretches that take little memory to compute with; small pictures are one stretch."""
    length = pictures.shape[axis]
    band = max(1, length * _BAND // max(1, pictures.numel()))
    return (slice(start, min(start + band, length)) for start in range(0, length, band))


def _velocity(velocity: Tensor | None, gradient: Tensor, momentum: float) -> Tensor:
    """Return the sum of the gradients so far, each worth `momentum` times the next, in the memory of the last sum."""
    if momentum == 0:
        return gradient
    return gradient.clone() if velocity is None else velocity.mul_(momentum).add_(gradient)


def _gradient_of_shifted(
    x: Tensor, gradient_at: Callable[[Tensor], tuple[Tensor, Tensor]], shifts: Sequence[tuple[int, int]]
) -> tuple[Tensor, Tensor]:
    """Take the gradient and the loss of shifted pictures, and shift the gradient back."""
    back = [(-down, -right) for down, right in shifts]
    if x.numel() <= _BAND:
        gradient, loss = gradient_at(_rolled(x, shifts))
        return _rolled(gradient, back), loss
    _roll(x, shifts)
    gradient, loss = gradient_at(x)
    _roll(x, back)
    _roll(gradient, back)
    return gradient, loss


def _shift(jitter: int, generator: torch.Generator) -> tuple[int, int]:
    if jitter == 0:
        return 0, 0
    down, right = torch.randint(-jitter, jitter + 1, (2,), generator=generator).tolist()
    return down, right


def _roll(x: Tensor, shifts: Sequence[tuple[int, int]]) -> None:
    """Shift pictures as `_rolled` does, but in place, for pictures too large to be held twice."""
    for picture, shift in zip(x, shifts, strict=True):
        for axis, distance in zip((1, 2), shift, strict=True):
            for band in bands(picture, 3 - axis) if distance else ():
                place = (slice(None), slice(None), band) if axis == 1 else (slice(None), band)
                picture[place] = picture[place].roll(distance, axis)


def _rolled(x: Tensor, shifts: Sequence[tuple[int, int]]) -> Tensor:
    """Return each picture of `x` shifted circularly by its own (down, right)."""
    if all(shift == (0, 0) for shift in shifts):
        return x
    if len(shifts) == 1:
        return x.roll(shifts[0], dims=(2, 3))
    return torch.stack([picture.roll(shift, dims=(1, 2)) for picture, shift in zip(x, shifts, strict=True)])

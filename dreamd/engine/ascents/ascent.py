"""The ascent at one scale, of bare pixels or of what a `Canvas` moves. Knows no octaves, files or recipes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from dreamd.engine.ascents.chain import Canvas, GradientAt, Scene, Shifted

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
        lr_end: `lr` at the end, towards which it goes in a straight line over the last quarter; None keeps it.
    """

    iterations: int
    lr: float
    momentum: float = 0.0
    jitter: int = 0
    lr_end: float | None = None

    def rate(self, progress: float) -> float:
        """Return how far a step goes when `progress` of the ascent is behind it."""
        if self.lr_end is None or progress <= _FALLS_FROM:
            return self.lr
        return self.lr + (self.lr_end - self.lr) * (progress - _FALLS_FROM) / (1 - _FALLS_FROM)


_FALLS_FROM = 0.75
"""The share of an ascent after which the rate goes towards `lr_end`."""


class Optimizer(Protocol):
    """Makes a move of a gradient at the parameters `[N, ...]`; the ascent goes that way, times the rate."""

    def __call__(self, gradient: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
        """Return the move. What it remembers it keeps in `state`, which is empty at first."""
        ...


@dataclass(frozen=True)
class At:
    """Where an ascent is when it asks its optimizer for a move.

    Attributes:
        parameters: what moves, `[N, ...]`.
        progress: how far the ascent is, from 0 to 1.
        momentum: the recipe's.
    """

    parameters: Tensor
    progress: float
    momentum: float


def plain(gradient: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    """Move along the sum of the gradients so far, each worth `momentum` times the next. Uses the last sum's memory."""
    if at.momentum == 0:
        return gradient
    velocity = state.get("velocity")
    state["velocity"] = gradient.clone() if velocity is None else velocity.mul_(at.momentum).add_(gradient)
    return state["velocity"]


@dataclass(frozen=True)
class Midway:
    """An ascent after some of its iterations, and all that the rest of it depends on but its generators.

    Attributes:
        iteration: how many are done.
        parameters: what moves, `[N, ...]`; the ascent goes on in this memory.
        state: the optimizer's; so does it in this.
        first_loss: `[N]`, at the first iteration.
    """

    iteration: int
    parameters: Tensor
    state: dict[str, Tensor]
    first_loss: Tensor


@dataclass(frozen=True)
class Ascended:
    """The end of an ascent: the pictures, and the loss `[N]` at its first and its last iteration."""

    x: Tensor
    first_loss: Tensor
    last_loss: Tensor


def ascend(
    x: Tensor,
    gradient_at: GradientAt,
    settings: AscentSettings,
    *,
    steps: Sequence[GradientStep] = (),
    generators: Sequence[torch.Generator],
    on_iteration: Callable[[int], None] = lambda _iteration: None,
    overwrite: bool = False,
    optimizer: Optimizer = plain,
    scene: Scene | None = None,
    since: Midway | None = None,
    on_midway: Callable[[Midway], None] = lambda _midway: None,
    on_look: Callable[[int, Callable[[], Tensor]], None] | None = None,
) -> Ascended:
    """Climb from normalised pictures `x` `[N, 3, H, W]`.

    Beside the tensors of `gradient_at` and the steps, three such pictures are alive: `x`, its gradient and, with
    momentum, the velocity; and what the scene and another optimizer hold.

    Args:
        x: the pictures to start from.
        gradient_at: takes the gradient: `x → (gradient [N, 3, H, W], loss [N])`.
        settings: how to climb.
        steps: what is done to each gradient, in order.
        generators: one random source a picture for its shifts, so that a picture comes out the same in any batch.
        on_iteration: called after each step with its number, from 1.
        overwrite: climb in the memory of `x`, whose owner does not need it any more.
        optimizer: makes a move of each gradient.
        scene: what stands around the gradient; None for bare pixels.
        since: go on from there, with the generators as they were then.
        on_midway: given where the ascent stands, after each step but the last.
        on_look: given each step's number and a function that returns the normalised pictures then, which must not be
            changed; None: nobody looks.
    """
    x = x.contiguous() if overwrite else x.clone(memory_format=torch.contiguous_format)
    canvas: Canvas | _Pixels = _Pixels(x) if scene is None else Canvas(x, scene)
    del x
    state, losses, first = ({}, [], 0) if since is None else _take_up(canvas, since)
    for iteration in range(first, settings.iterations):
        progress = iteration / settings.iterations
        shifts = [_shift(settings.jitter, generator) for generator in generators]
        gradient, loss = _gradient_at_parameters(canvas, gradient_at, shifts, steps, progress)
        losses = [*losses[:1], loss]
        move = optimizer(gradient, state, At(canvas.parameters, progress, settings.momentum))
        # In torch's own order of memory, as what is kept of it will be: sums in another order differ in the last bit.
        state.update({name: value.contiguous() for name, value in state.items()})
        del gradient
        _go(canvas.parameters, move, settings.rate(progress))
        del move
        canvas.settle(progress)
        on_iteration(iteration + 1)
        if on_look is not None:
            on_look(iteration + 1, canvas.pictures)
        if iteration + 1 < settings.iterations:
            on_midway(Midway(iteration + 1, canvas.parameters, state, losses[0]))
    return Ascended(canvas.pictures(), losses[0], losses[-1])


class _Pixels:
    """Normalised pictures that move themselves."""

    def __init__(self, x: Tensor) -> None:
        self.parameters = x

    def pictures(self) -> Tensor:
        return self.parameters

    def gradient(self, gradient_at: GradientAt, shifted: Shifted, progress: float) -> tuple[Tensor, Tensor]:
        del progress
        return shifted(self.parameters, gradient_at)

    def pulled(self, gradient: Tensor) -> Tensor:
        return gradient

    def settle(self, progress: float) -> None:
        del progress


def _take_up(canvas: Canvas | _Pixels, since: Midway) -> tuple[dict[str, Tensor], list[Tensor], int]:
    """Put the canvas where an ascent stood; returns the optimizer's state, the losses and the iterations done."""
    canvas.parameters = since.parameters
    return since.state, [since.first_loss], since.iteration


def _gradient_at_parameters(
    canvas: Canvas | _Pixels,
    gradient_at: GradientAt,
    shifts: Sequence[tuple[int, int]],
    steps: Sequence[GradientStep],
    progress: float,
) -> tuple[Tensor, Tensor]:
    """Return the gradient at what moves, all steps taken, and the losses `[N]` of the pictures."""
    gradient, loss = canvas.gradient(gradient_at, partial(_gradient_of_shifted, shifts), progress)
    for step in steps:
        gradient = step(gradient, progress)
    return canvas.pulled(gradient), loss


def _go(parameters: Tensor, move: Tensor, rate: float) -> None:
    """Move in place."""
    for band in bands(parameters) if parameters.dim() > 2 else [slice(None)]:
        # Two operations, each rounded, as the article computes it; a fused multiply-add differs in the last bit.
        place = (slice(None), slice(None), band) if parameters.dim() > 2 else band
        parameters[place] += rate * move[place]


def bands(pictures: Tensor, axis: int = 2) -> Iterator[slice]:
    """Cut an axis into stretches that take little memory to compute with; small pictures are one stretch."""
    length = pictures.shape[axis]
    band = max(1, length * _BAND // max(1, pictures.numel()))
    return (slice(start, min(start + band, length)) for start in range(0, length, band))


def _gradient_of_shifted(
    shifts: Sequence[tuple[int, int]], x: Tensor, gradient_at: GradientAt
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

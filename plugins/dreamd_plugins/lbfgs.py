"""The optimizer `lbfgs`: learns from the last gradients how the loss is curved, and goes where it should be greatest.

Nocedal and Wright: "Numerical Optimization", 2006, algorithm 7.4. Their line search asks for gradients along the way;
here each costs a dreamed iteration. Instead, the two gradients at the ends of a step say where on it the slope was
zero, were the loss a parabola; the next step begins there. On a quadratic of n unknowns that is conjugate gradients,
which are done after n steps.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from dreamd.api import RegisterOptimizer, hookimpl

_FARTHEST = 100.0
"""How many times as far as the last step the place of the zero slope may lie."""

_TINY = 1e-20
"""Keeps quotients finite where nothing moved, and tells a curvature from rounding."""


def lbfgs(
    gradient: Tensor,
    state: dict[str, Tensor],
    *,
    parameters: Tensor,
    history: Annotated[int, Field(ge=1, le=100, json_schema_extra={"x-dreamd-usual": [2, 30]})] = 10,
) -> Tensor:
    """Move to where a parabola through the last gradients is greatest: `lr` 1 goes all the way.

    Where the loss is not curved downwards, the move is the gradient brought to a mean square of 1. It must meet the
    same gradient in the same place, so `ascent.jitter` must be 0, and `transforms` empty.

    Args:
        history: how many steps are remembered; each takes the memory of two pictures.
    """
    here, slope = parameters.flatten(1), gradient.flatten(1)
    if "place" in state:
        here, slope = _to_zero_slope(here, slope, state, history)
    move = here - parameters.flatten(1) + _direction(slope, state)
    state["place"], state["slope"] = here.clone(), slope.clone()
    return move.reshape(gradient.shape)


def _to_zero_slope(here: Tensor, slope: Tensor, state: dict[str, Tensor], history: int) -> tuple[Tensor, Tensor]:
    """Remember the last step; returns the place on it where its slope was zero, and the gradient there."""
    step, change = here - state["place"], slope - state["slope"]
    bend = -_dot(step, change)  # greater than zero where the loss is curved downwards
    is_curved = bend > _TINY
    share = torch.where(is_curved, _dot(step, state["slope"]) / bend.clamp(min=_TINY), torch.ones_like(bend))
    share = share.clamp(-_FARTHEST, _FARTHEST)
    _remember(state, torch.where(is_curved, step, 0.0), torch.where(is_curved, change, 0.0), history)
    return state["place"] + share * step, state["slope"] + share * change


def _remember(state: dict[str, Tensor], step: Tensor, change: Tensor, history: int) -> None:
    """Keep a step and the change of the gradient along it, and forget the oldest; zeros stand for nothing learned."""
    kept = sum(name.startswith("step ") for name in state)
    if kept == history:
        for number in range(history - 1):
            state[f"step {number}"] = state[f"step {number + 1}"]
            state[f"change {number}"] = state[f"change {number + 1}"]
        kept -= 1
    state[f"step {kept}"], state[f"change {kept}"] = step, change


def _direction(slope: Tensor, state: dict[str, Tensor]) -> Tensor:
    """Return the gradient times the inverse of the curvature, as far as it is known, for each picture."""
    kept = sum(name.startswith("step ") for name in state)
    pairs = [(state[f"step {number}"], -state[f"change {number}"]) for number in range(kept)]
    direction, shares = slope, []
    for step, change in reversed(pairs):
        share = _dot(step, direction) / _dot(step, change).clamp(min=_TINY)
        direction = direction - share * change
        shares.append(share)
    direction = direction * _scale(slope, pairs)
    for (step, change), share in zip(pairs, reversed(shares), strict=True):
        direction = direction + step * (share - _dot(change, direction) / _dot(step, change).clamp(min=_TINY))
    return direction


def _scale(slope: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the step's length for directions of which nothing is known: as the last known one, else to rms 1."""
    scale = 1 / (slope.square().mean(1, keepdim=True).sqrt() + 1e-12)
    for step, change in pairs:
        square = _dot(change, change)
        scale = torch.where(square > _TINY, _dot(step, change) / square.clamp(min=_TINY), scale)
    return scale


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(1, keepdim=True)


def _pictures(*, history: int = 10) -> int:
    return 2 * history + 12


@hookimpl
def dreamd_optimizers(register: RegisterOptimizer) -> None:
    """Bring `lbfgs`."""
    register("lbfgs", lbfgs, pictures=_pictures, steady=True)

"""The optimizer `plain`: the picture moves along the gradient, or along the sum of those so far. The default."""

from __future__ import annotations

from torch import Tensor

from dreamd.api import RegisterOptimizer, hookimpl


def plain(gradient: Tensor, state: dict[str, Tensor], *, momentum: float) -> Tensor:
    """Move along `v ← momentum · v + g`, with `ascent.momentum` of the recipe: 0 is the gradient, 1 the whole sum."""
    if momentum == 0:
        return gradient
    velocity = state.get("velocity")
    state["velocity"] = gradient.clone() if velocity is None else velocity.mul_(momentum).add_(gradient)
    return state["velocity"]


@hookimpl
def dreamd_optimizers(register: RegisterOptimizer) -> None:
    """Bring `plain`."""
    register("plain", plain, pictures=1)

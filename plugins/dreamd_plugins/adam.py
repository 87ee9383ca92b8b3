"""The optimizer `adam`: each parameter moves at a pace of its own, nearly the rate, whatever its gradient's size.

Kingma and Ba: "Adam: A Method for Stochastic Optimization", 2015, algorithm 1, as torch.optim.Adam computes it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from dreamd.api import RegisterOptimizer, hookimpl


def adam(
    gradient: Tensor,
    state: dict[str, Tensor],
    *,
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9,
    beta2: Annotated[float, Field(ge=0, lt=1, json_schema_extra={"x-dreamd-usual": [0.9, 0.9999]})] = 0.999,
    epsilon: Annotated[float, Field(gt=0, le=1, json_schema_extra={"x-dreamd-usual": [1e-10, 1e-4]})] = 1e-8,
) -> Tensor:
    """Move by `m̂ / (√v̂ + ε)`, with m and v the running means of g and g², both freed from their start at zero.

    A rate of 0.05 suits colours between 0 and 1 and what encodes them.

    Args:
        beta1: how much of the running mean of the gradients is kept each step.
        beta2: how much of the running mean of their squares is kept each step.
        epsilon: what keeps the quotient finite where there is no gradient.
    """
    if not state:
        state |= {"steps": gradient.new_zeros(()), "mean": gradient.new_zeros(gradient.shape)}
        state["square"] = state["mean"].clone()
    state["steps"] += 1
    mean = state["mean"].lerp_(gradient, 1 - beta1)
    square = state["square"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    steps = state["steps"]
    return mean / (1 - beta1**steps) / ((square / (1 - beta2**steps)).sqrt_() + epsilon)


@hookimpl
def dreamd_optimizers(register: RegisterOptimizer) -> None:
    """Bring `adam`."""
    register("adam", adam, pictures=4)

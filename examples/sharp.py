"""The optimizer `sharp`: every value moves as far as every other, by the sign of what the last gradients agree on.

Chen and others: "Symbolic Discovery of Optimization Algorithms" (Lion), 2023.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from dreamd.api import RegisterOptimizer, hookimpl

DREAMD_API = 2

Share = Annotated[float, Field(ge=0, lt=1)]


def sharp(gradient: Tensor, state: dict[str, Tensor], *, now: Share = 0.9, kept: Share = 0.99) -> Tensor:
    """Move by the sign of the mean of the last gradients and this one.

    Args:
        now: how much the mean counts for the move; the rest is this gradient's.
        kept: how much of the mean is kept each step.
    """
    mean = state.get("mean", gradient)
    state["mean"] = kept * mean + (1 - kept) * gradient
    return (now * mean + (1 - now) * gradient).sign()


@hookimpl
def dreamd_optimizers(register: RegisterOptimizer) -> None:
    """Bring `sharp`."""
    register("sharp", sharp, pictures=1)

"""The transform `noise`: what only a spotless picture shows is not drawn.

Fel and others: "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization", 2023.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from dreamd.api import Random, RegisterTransform, hookimpl

Sigma = Annotated[float, Field(ge=0, le=1)]


def noise(image: Tensor, *, random: Random, progress: float, sigma: Sigma = 0.1, end: Sigma | None = None) -> Tensor:
    """Add normal noise to each colour.

    Args:
        sigma: its standard deviation at the start of an ascent, in colours from 0 to 1.
        end: the same at the end, towards which it goes in a straight line; null keeps it.
    """
    width = sigma if end is None else sigma + (end - sigma) * progress
    return image + width * random.normal(*image.shape[1:])


@hookimpl
def dreamd_transforms(register: RegisterTransform) -> None:
    """Bring `noise`."""
    register("noise", noise, differentiable=True)

"""The loss `caricature`: what a layer sees in the picture itself, exaggerated.

Mordvintsev's "Mirror World" and Olah's caricatures in lucid's notebook "Feature Inversion", 2018.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from dreamd.api import RegisterLoss, hookimpl

_LEAST = 0.1
"""The cosine below which activations that point elsewhere still count, so that they are pulled over."""

_TINY = 1e-6
"""Keeps the cosine of an activation of zeros finite."""


def caricature(activation: Tensor, *, original: Tensor, power: Annotated[float, Field(ge=0, le=8)] = 1.0) -> Tensor:
    """`x · o · max(0.1, cos(x, o)) ^ power`, of whole activations: `[N, C, H, W]` → `[N]`.

    o is what the layer sees in the original, shifted and transformed as the picture is.

    Args:
        power: 0 wants much of what there is; more wants nothing else.
    """
    dream, first = activation.flatten(1), original.flatten(1).to(activation.dtype)
    along = (dream * first).sum(1)
    lengths = ((dream.square().sum(1) + _TINY**2) * (first.square().sum(1) + _TINY**2)).sqrt()
    return along * (along / lengths).clamp(min=_LEAST) ** power


@hookimpl
def dreamd_losses(register: RegisterLoss) -> None:
    """Bring `caricature`."""
    register("caricature", caricature)

"""The loss `contrast`: what a layer sees strongly counts more than what it sees faintly."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from dreamd.api import RegisterLoss, hookimpl

DREAMD_API = 1


def contrast(activation: Tensor, *, power: Annotated[float, Field(ge=1, le=4)] = 2.0) -> Tensor:
    """The mean of a power of what a layer sees: `[N, C, H, W]` → `[N]`, one value a picture, which grows.

    Args:
        power: 1 counts every neuron alike; more favours the strongest.
    """
    return activation.abs().pow(power).flatten(1).mean(1)


@hookimpl
def dreamd_losses(register: RegisterLoss) -> None:
    """Bring `contrast`."""
    register("contrast", contrast)

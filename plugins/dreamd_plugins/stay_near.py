"""The loss `stay_near`, of the picture: how far the dream is from the original. Give it a weight below zero."""

from __future__ import annotations

from torch import Tensor

from dreamd.api import RegisterLoss, hookimpl


def stay_near(image: Tensor, *, original: Tensor) -> Tensor:
    """Half the sum of the squares of the differences from the original, whose gradient they are: `[N, …]` → `[N]`."""
    return (image - original).square().flatten(1).sum(1) / 2


@hookimpl
def dreamd_losses(register: RegisterLoss) -> None:
    """Bring `stay_near`."""
    register("stay_near", stay_near)

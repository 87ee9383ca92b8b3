"""The loss `max`: the one neuron that sees most, seen stronger: one thing appears, where most of it is already."""

from __future__ import annotations

from torch import Tensor

from dreamd.api import RegisterLoss, hookimpl


def maximum(activation: Tensor) -> Tensor:
    """The largest value of a picture's activation: `[N, C, H, W]` → `[N]`. Values that are equal share its gradient."""
    return activation.flatten(1).amax(1)


@hookimpl
def dreamd_losses(register: RegisterLoss) -> None:
    """Bring `max`."""
    register("max", maximum)

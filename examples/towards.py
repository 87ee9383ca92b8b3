"""The loss `towards`: what a layer sees becomes, on the mean, what it sees in another picture."""

from __future__ import annotations

from torch import Tensor

from dreamd.api import RegisterLoss, Seen, hookimpl

DREAMD_API = 2


def towards(activation: Tensor, *, picture: Seen) -> Tensor:
    """Minus the squared distance of the channels' means: `[N, C, H, W]` → `[N]`, greatest where they are the same.

    Args:
        picture: the other picture.
    """
    wanted = picture.flatten(2).mean(2).to(activation.dtype)
    return -(activation.flatten(2).mean(2) - wanted).square().sum(1)


@hookimpl
def dreamd_losses(register: RegisterLoss) -> None:
    """Bring `towards`."""
    register("towards", towards)

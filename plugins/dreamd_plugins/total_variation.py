"""The loss `total_variation`, of the picture: how much neighbouring pixels differ. Give it a weight below zero.

Mahendran and Vedaldi: "Understanding Deep Image Representations by Inverting Them", 2015.
"""

from __future__ import annotations

from torch import Tensor

from dreamd.api import RegisterLoss, hookimpl


def total_variation(image: Tensor) -> Tensor:
    """The sum of the absolute differences of neighbours, down and across: `[N, C, H, W]` → `[N]`.

    As a loss of the layer `picture` it sees the picture before any shift, so that the seam of a circular one is no
    edge. -0.01 to -1 are weights to begin with where the gradient is not normalised.
    """
    down = (image[:, :, 1:] - image[:, :, :-1]).abs().flatten(1).sum(1)
    across = (image[:, :, :, 1:] - image[:, :, :, :-1]).abs().flatten(1).sum(1)
    return down + across


@hookimpl
def dreamd_losses(register: RegisterLoss) -> None:
    """Bring `total_variation`."""
    register("total_variation", total_variation)

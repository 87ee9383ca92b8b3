"""The loss `mean`: what a layer sees, with its sign; the right one for classes, whose scores may start below zero."""

from __future__ import annotations

import torch
from torch import Tensor

from dreamd.api import RegisterLoss, hookimpl, summed


def _sum_and_count(activation: Tensor) -> Tensor:
    flat = activation.flatten(1)
    return torch.stack([flat.sum(1), torch.full_like(flat[:, 0], flat.shape[1])], 1)


def _quotient(sums: Tensor) -> Tensor:
    return sums[:, 0] / sums[:, 1]


@summed(part=_sum_and_count, finish=_quotient)
def mean(activation: Tensor) -> Tensor:
    """The mean of a picture's activation: `[N, C, H, W]` → `[N]`, in the layer's own units."""
    return activation.flatten(1).mean(1)


@hookimpl
def dreamd_losses(register: RegisterLoss) -> None:
    """Bring `mean`."""
    register("mean", mean)

"""The loss `mean_square`: as `l2`, but a neuron that sees twice as much pulls twice as hard.

Google's notebook (Mordvintsev, Olah, Tyka: "Inceptionism", 2015) climbs by it: its gradient there is the activation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dreamd.api import RegisterLoss, hookimpl, summed


def _squares_and_count(activation: Tensor) -> Tensor:
    flat = activation.flatten(1)
    return torch.stack([flat.square().sum(1), torch.full_like(flat[:, 0], flat.shape[1])], 1)


def _quotient(sums: Tensor) -> Tensor:
    return sums[:, 0] / sums[:, 1]


@summed(part=_squares_and_count, finish=_quotient)
def mean_square(activation: Tensor) -> Tensor:
    """The mean of the squares of a picture's activation: `[N, C, H, W]` → `[N]`."""
    return activation.flatten(1).square().mean(1)


@hookimpl
def dreamd_losses(register: RegisterLoss) -> None:
    """Bring `mean_square`."""
    register("mean_square", mean_square)

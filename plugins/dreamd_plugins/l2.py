"""The loss `l2`: everything that a layer sees, seen stronger."""

from __future__ import annotations

from torch import Tensor

from dreamd.api import RegisterLoss, hookimpl, summed

_MANY = 1 << 22
"""Neurons, beyond which torch's own norm on a processor is too far off: 3e-4 for 17 million, 2e-2 for 256 million."""


def _squares(activation: Tensor) -> Tensor:
    return activation.flatten(1).square().sum(1)


def _root(squares: Tensor) -> Tensor:
    return squares.clamp(min=1e-30).sqrt()  # whose slope at zero would be infinite


@summed(part=_squares, finish=_root)
def l2(activation: Tensor) -> Tensor:
    """The L2 norm of a picture's whole activation: `[N, C, H, W]` → `[N]`."""
    values = activation.flatten(1)
    norms: Tensor = values.norm(dim=1) if values.shape[1] <= _MANY else _root(_squares(values))
    return norms


@hookimpl
def dreamd_losses(register: RegisterLoss) -> None:
    """Bring `l2`."""
    register("l2", l2)

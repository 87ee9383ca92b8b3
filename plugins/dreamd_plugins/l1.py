"""The loss `l1`: every neuron that sees anything pulls alike, the faint as hard as the strong."""

from __future__ import annotations

from torch import Tensor

from dreamd.api import RegisterLoss, hookimpl, summed


def _sum(activation: Tensor) -> Tensor:
    return activation.flatten(1).abs().sum(1)


def _as_it_is(sums: Tensor) -> Tensor:
    return sums


@summed(part=_sum, finish=_as_it_is)
def l1(activation: Tensor) -> Tensor:
    """The L1 norm of a picture's whole activation, the sum of its absolute values: `[N, C, H, W]` → `[N]`."""
    return _sum(activation)


@hookimpl
def dreamd_losses(register: RegisterLoss) -> None:
    """Bring `l1`."""
    register("l1", l1)

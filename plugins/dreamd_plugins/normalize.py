"""The gradient step `normalize`: every picture climbs at the same pace, whatever its loss is measured in."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from dreamd.api import RegisterGradient, hookimpl

_TINY = 1e-12
"""Keeps a gradient of nothing but zeros at zero."""


def normalize(gradient: Tensor, *, by: Literal["std", "mean_abs", "max"] = "std") -> Tensor:
    """Divide each picture's gradient by one number, in place.

    Args:
        by: its standard deviation, the mean of its absolute values, or the largest of them.
    """
    gradient = gradient.contiguous()  # one value repeated could not be divided in place
    flat = gradient.flatten(1)
    if by == "std":
        scale = flat.std(1)
    elif by == "mean_abs":
        scale = flat.abs().mean(1)
    else:
        scale = flat.abs().amax(1)
    return gradient.div_((scale + _TINY).view(-1, 1, 1, 1))


@hookimpl
def dreamd_gradients(register: RegisterGradient) -> None:
    """Bring `normalize`."""
    register("normalize", normalize)

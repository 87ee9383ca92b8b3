"""The gradient step `mirror`: both halves of a picture dream the same, as in a kaleidoscope."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from dreamd.api import RegisterGradient, hookimpl

DREAMD_API = 1


def mirror(gradient: Tensor, *, across: Literal["sides", "top", "both"] = "sides") -> Tensor:
    """The mean of a picture's gradient `[N, 3, H, W]` and its mirror image.

    Args:
        across: whether left and right are the same, top and bottom, or all four quarters.
    """
    if across in ("sides", "both"):
        gradient = (gradient + gradient.flip(3)) / 2
    if across in ("top", "both"):
        gradient = (gradient + gradient.flip(2)) / 2
    return gradient


@hookimpl
def dreamd_gradients(register: RegisterGradient) -> None:
    """Bring `mirror`."""
    register("mirror", mirror)

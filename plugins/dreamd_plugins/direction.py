"""The loss `direction`: every cell turned towards a vector, or what a layer sees on the whole in another picture.

Carter, Armstrong, Schubert, Johnson and Olah: "Activation Atlas", 2019; lucid's `direction` with `cossim_pow`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from dreamd.api import RecipeError, RegisterLoss, Seen, Vector, hookimpl

_LEAST = 0.1
"""The cosine below which cells that point elsewhere still count, so that they are pulled over."""

_TINY = 1e-6
"""Keeps the cosine of a cell that sees nothing finite."""


def direction(
    activation: Tensor,
    *,
    picture: Seen | None = None,
    vector: Vector | None = None,
    power: Annotated[float, Field(ge=0, le=8)] = 2.0,
) -> Tensor:
    """The mean over the cells of `x · d · max(0.1, cos(x, d)) ^ power`: `[N, C, H, W]` → `[N]`.

    d is the vector, or the mean of what the layer sees in the other picture, brought to length 1.

    Args:
        picture: the other picture; give it or `vector`.
        vector: a file of numbers, one for each channel of the layer: `.npy`, `.safetensors` with one tensor, or text.
        power: 0 wants much of the direction, among whatever else; more wants it pure.
    """
    if (picture is None) == (vector is None):
        raise RecipeError("the loss 'direction' needs a picture or a vector, one of them")
    of = picture if vector is None else vector
    assert of is not None
    wanted = of.flatten(2).mean(2).to(activation.dtype)
    wanted = wanted / (wanted.norm(dim=1, keepdim=True) + _TINY)
    cells = activation.flatten(2)
    along = (cells * wanted[:, :, None]).sum(1)
    length = (cells.square().sum(1) + _TINY**2).sqrt()
    value: Tensor = along * (along / length).clamp(min=_LEAST) ** power
    return value.mean(1)


@hookimpl
def dreamd_losses(register: RegisterLoss) -> None:
    """Bring `direction`."""
    register("direction", direction)

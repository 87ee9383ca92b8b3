"""The loss `boundary`, of the picture: how much there is along its edges. Give it a weight below zero.

lucid's `penalize_boundary_complexity`: what is dreamed then stands free, and is not cut off.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from dreamd.api import RegisterLoss, hookimpl


def boundary(
    image: Tensor,
    *,
    width: Annotated[int, Field(ge=1, le=1024, json_schema_extra={"x-dreamd-usual": [1, 100]})] = 20,
    level: Annotated[float, Field(ge=0, le=1)] = 0.5,
) -> Tensor:
    """The sum over the frame of the squares of `x - level`: `[N, C, H, W]` → `[N]`.

    Args:
        width: how wide the frame is, in pixels.
        level: the grey that it is compared with.
    """
    inside = torch.zeros_like(image[:1, :1])
    inside[:, :, width:-width, width:-width] = 1
    return ((1 - inside) * (image - level).square()).flatten(1).sum(1)


@hookimpl
def dreamd_losses(register: RegisterLoss) -> None:
    """Bring `boundary`."""
    register("boundary", boundary)

"""The loss `blur_distance`, of the picture: how far it is from its own blur. Give it a weight below zero.

lucid's `blur_input_each_step`: going down this is blurring the picture a little at each step.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dreamd.api import RegisterLoss, hookimpl


def blur_distance(
    image: Tensor, *, sigma: Annotated[float, Field(gt=0, le=50, json_schema_extra={"x-dreamd-usual": [0.2, 4]})] = 1.0
) -> Tensor:
    """Half the sum of the squares of `x - blur(x)`, with the blur held still: `[N, C, H, W]` → `[N]`.

    Args:
        sigma: the Gaussian's width in pixels.
    """
    with torch.no_grad():
        blurred = _blurred(image, sigma)
    return (image - blurred).square().flatten(1).sum(1) / 2


def _blurred(image: Tensor, sigma: float) -> Tensor:
    radius, channels = math.ceil(3 * sigma), image.shape[1]
    distance = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-(distance**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(channels, 1, -1)
    padded = F.pad(image, (radius,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel.unsqueeze(2), groups=channels)
    return F.conv2d(rows, kernel.unsqueeze(3), groups=channels)


@hookimpl
def dreamd_losses(register: RegisterLoss) -> None:
    """Bring `blur_distance`."""
    register("blur_distance", blur_distance)

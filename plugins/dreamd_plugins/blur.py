"""The transform `blur`: a Gaussian blur. Under `settle` it takes away a little grain after each step.

Yosinski, Clune, Nguyen, Fuchs and Lipson: "Understanding Neural Networks Through Deep Visualization", 2015.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dreamd.api import RegisterTransform, hookimpl


def blur(
    image: Tensor,
    *,
    progress: float,
    sigma: Annotated[float, Field(gt=0, le=50, json_schema_extra={"x-dreamd-usual": [0.1, 4]})] = 0.5,
    end: Annotated[float, Field(ge=0, le=50)] | None = None,
) -> Tensor:
    """Blur each picture, its edge pixels repeated outwards.

    Args:
        sigma: the Gaussian's width at the start of an ascent, in pixels.
        end: its width at the end, towards which it goes in a straight line; null keeps it.
    """
    width = sigma if end is None else sigma + (end - sigma) * progress
    if width <= 0:
        return image
    radius = math.ceil(3 * width)
    distance = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-(distance**2) / (2 * width**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, -1)
    padded = F.pad(image, (radius,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel.unsqueeze(2), groups=3)
    return F.conv2d(rows, kernel.unsqueeze(3), groups=3)


@hookimpl
def dreamd_transforms(register: RegisterTransform) -> None:
    """Bring `blur`."""
    register("blur", blur, differentiable=True)

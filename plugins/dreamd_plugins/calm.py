"""The transform `calm`: where the original is flat, it stays. For `finish` or `settle`.

A network finds something in every grain of a clear sky or a white sheet; what it dreams there is mostly small glyphs.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dreamd.api import RegisterTransform, hookimpl


def calm(
    image: Tensor,
    *,
    original: Tensor,
    contrast: Annotated[float, Field(gt=0, le=1)] = 0.04,
    sigma: Annotated[float, Field(gt=0, le=100, json_schema_extra={"x-dreamd-usual": [0.5, 10]})] = 4.0,
    amount: Annotated[float, Field(ge=0, le=1)] = 1.0,
) -> Tensor:
    """Return `original + w · (image - original)`, with w rising gently from 0 to 1 with the original's local contrast.

    Args:
        contrast: the standard deviation of the original's grey around a pixel, in colours from 0 to 1, from which on
            all of the dream is kept; half of it keeps half.
        sigma: the width in pixels of the Gaussian that says what is around a pixel.
        amount: how much of the dream is taken away where the original is flat.
    """
    grey = original.mean(1, keepdim=True)
    around = _blurred(grey, sigma)
    deviation = _blurred((grey - around).square(), sigma).sqrt()
    share = (deviation / contrast).clamp(0, 1)
    weight = share.square() * (3 - 2 * share)
    return torch.lerp(original, image, 1 - amount * (1 - weight))


def _blurred(grey: Tensor, sigma: float) -> Tensor:
    """Blur `[N, 1, H, W]`, its edge pixels repeated outwards."""
    radius = math.ceil(3 * sigma)
    distance = torch.arange(-radius, radius + 1, device=grey.device, dtype=grey.dtype)
    kernel = torch.exp(-(distance**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(grey, (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


@hookimpl
def dreamd_transforms(register: RegisterTransform) -> None:
    """Bring `calm`."""
    register("calm", calm, differentiable=True)

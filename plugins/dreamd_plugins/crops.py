"""The transform `crops`: the network looks at several parts of the picture, brought to one size.

Fel and others: "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization", 2023.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dreamd.api import Random, RegisterTransform, hookimpl

Share = Annotated[float, Field(gt=0, le=1)]


def crops(
    image: Tensor,
    *,
    random: Random,
    count: Annotated[int, Field(ge=1, le=64, json_schema_extra={"x-dreamd-usual": [1, 8]})] = 2,
    size: Annotated[int, Field(ge=32, le=2048, json_schema_extra={"x-dreamd-usual": [64, 512]})] = 224,
    box: tuple[Share, Share] = (0.5, 0.95),
    spread: Annotated[float, Field(ge=0, le=1)] = 0.15,
) -> Tensor:
    """Cut square parts out of each picture, inside of it, more often near its middle.

    Args:
        count: how many parts at a time; each costs as much as a picture of that size.
        size: what they are brought to, in pixels.
        box: the least and the greatest side of a part, as a share of the picture's shorter side.
        spread: the standard deviation of a part's middle from the picture's, as a share of its sides.
    """
    height, width = image.shape[2:]
    random = random.on_cpu()
    side = random.uniform(box[0], box[1], count).flatten() * min(height, width)
    across, down = side / width, side / height
    middle = random.normal(count, 2).flatten(0, 1) * (2 * spread)
    right, below = (torch.minimum(torch.maximum(at, part - 1), 1 - part) for at, part in
                    zip(middle.unbind(1), (across, down), strict=True))  # fmt: skip
    nothing = torch.zeros_like(across)
    rows = [torch.stack([across, nothing, right], 1), torch.stack([nothing, down, below], 1)]
    places = torch.stack(rows, 1).to(image.device, image.dtype, non_blocking=True).view(-1, count, 2, 3).unbind(1)
    # One after the other: grid_sample wants a copy of the picture for each place that it looks at.
    views = [_looked_at(image, place, size) for place in places]
    return torch.stack(views, 1).flatten(0, 1)


def _looked_at(image: Tensor, place: Tensor, size: int) -> Tensor:
    """Return the part of each picture at a place `[N, 2, 3]`."""
    grid = F.affine_grid(place, [len(image), 3, size, size], align_corners=False)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


@hookimpl
def dreamd_transforms(register: RegisterTransform) -> None:
    """Bring `crops`."""
    register("crops", crops, differentiable=True)

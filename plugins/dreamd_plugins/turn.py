"""The transform `turn`: the picture turned, scaled, mirrored and moved at random, in one affine warp.

What is found again in every view is a thing, and not a pattern of single pixels: Olah, Mordvintsev and Schubert,
"Feature Visualization", 2017.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dreamd.api import Random, RegisterTransform, hookimpl

Scale = Annotated[float, Field(gt=0.05, le=20)]


def turn(
    image: Tensor,
    *,
    random: Random,
    degrees: Annotated[float, Field(ge=0, le=180, json_schema_extra={"x-dreamd-usual": [0, 45]})] = 10.0,
    scale: tuple[Scale, Scale] = (0.9, 1.1),
    shift: Annotated[float, Field(ge=0, le=4096, json_schema_extra={"x-dreamd-usual": [0, 64]})] = 0.0,
    flip: bool = False,
) -> Tensor:
    """Warp each picture about its centre, mirrored beyond its edges.

    Args:
        degrees: the largest turn, either way.
        scale: the least and the greatest scale; more than 1 looks closer.
        shift: the largest move each way, in pixels and parts of them.
        flip: whether every other picture, at random, is mirrored left to right.
    """
    height, width = image.shape[2:]
    random = random.on_cpu()
    angle = random.uniform(-degrees, degrees) * (math.pi / 180)
    closer = random.uniform(scale[0], scale[1])
    moves = random.uniform(-shift, shift, 2)
    mirrored = torch.where(random.uniform(0, 1) < (0.5 if flip else 0.0), -1.0, 1.0)
    cosine, sine = torch.cos(angle) / closer, torch.sin(angle) / closer
    # Coordinates run from -1 to 1 along both sides, so that a turn goes through the sides' ratio.
    rows = [
        torch.stack([cosine * mirrored, -sine * height / width, moves[:, 0] * 2 / width], 1),
        torch.stack([sine * width / height * mirrored, cosine, moves[:, 1] * 2 / height], 1),
    ]
    theta = torch.stack(rows, 1).to(image.device, image.dtype, non_blocking=True)
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


@hookimpl
def dreamd_transforms(register: RegisterTransform) -> None:
    """Bring `turn`."""
    register("turn", turn, differentiable=True)

"""The transform `zoom`: closer, turned and moved, from one frame of a film to the next. For `film.step`."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dreamd.api import RegisterTransform, hookimpl

_RATE = 30.0
"""The frames a second for which the parameters are told. A film of another rate moves as fast, in other steps."""


def zoom(
    image: Tensor,
    *,
    fps: float,
    closer: Annotated[float, Field(ge=0.5, le=2)] = 1.03,
    degrees: Annotated[float, Field(ge=-90, le=90)] = 0.0,
    right: Annotated[float, Field(ge=-0.5, le=0.5)] = 0.0,
    down: Annotated[float, Field(ge=-0.5, le=0.5)] = 0.0,
) -> Tensor:
    """Look closer at each picture, in one warp about its true centre, by parts of pixels.

    The parameters say what happens in a thirtieth of a second, whatever rate the film has.

    Args:
        closer: how many times larger everything becomes; less than 1 goes back.
        degrees: how far it turns, against the clock.
        right: how far the look moves to the right, in shares of the width.
        down: how far it moves down, in shares of the height.
    """
    height, width = image.shape[2:]
    share = _RATE / fps
    scale, angle = closer**share, math.radians(degrees * share)
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    # Coordinates run from -1 to 1 along both sides, so that a turn goes through the sides' ratio.
    rows = [
        [cosine, -sine * height / width, 2 * right * share],
        [sine * width / height, cosine, 2 * down * share],
    ]
    theta = torch.tensor(rows, device=image.device, dtype=image.dtype).expand(len(image), 2, 3)
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


@hookimpl
def dreamd_transforms(register: RegisterTransform) -> None:
    """Bring `zoom`."""
    register("zoom", zoom, differentiable=True)

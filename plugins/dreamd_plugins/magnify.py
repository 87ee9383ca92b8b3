"""The transform `magnify`: the picture closer, in one bicubic warp about its true centre."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dreamd.api import RegisterTransform, hookimpl


def magnify(
    image: Tensor,
    *,
    closer: Annotated[float, Field(ge=0.1, le=10, json_schema_extra={"x-dreamd-usual": [0.9, 1.2]})] = 1.03,
    degrees: Annotated[float, Field(ge=-180, le=180, json_schema_extra={"x-dreamd-usual": [-10, 10]})] = 0.0,
) -> Tensor:
    """Enlarge each picture about its centre, keeping its size; by parts of pixels, so that it moves evenly.

    Args:
        closer: how many times larger everything becomes.
        degrees: how far it turns besides, against the clock.
    """
    height, width = image.shape[2:]
    theta = _theta((height, width), closer, degrees, image.dtype, image.device).expand(len(image), 2, 3)
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


@lru_cache(maxsize=64)
def _theta(size: tuple[int, int], closer: float, degrees: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the warp `[2, 3]`, made once for a size: to copy it there at each step would wait for the device."""
    height, width = size
    angle = math.radians(degrees)
    cosine, sine = math.cos(angle) / closer, math.sin(angle) / closer
    rows = [[cosine, -sine * height / width, 0.0], [sine * width / height, cosine, 0.0]]
    return torch.tensor(rows, device=device, dtype=dtype)


@hookimpl
def dreamd_transforms(register: RegisterTransform) -> None:
    """Bring `magnify`."""
    register("magnify", magnify, differentiable=True)

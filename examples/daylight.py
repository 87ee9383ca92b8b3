"""The transform `daylight`: the light of another hour, at random, so that only shapes are dreamed."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from dreamd.api import Random, RegisterTransform, hookimpl

DREAMD_API = 2


def daylight(image: Tensor, *, random: Random, warmth: Annotated[float, Field(ge=0, le=0.5)] = 0.1) -> Tensor:
    """Make each picture `[N, 3, H, W]` in [0, 1] redder and less blue, or the other way round.

    Args:
        warmth: by how much red is multiplied at most, less one.
    """
    warm = 1 + random.uniform(-warmth, warmth)
    return image * torch.stack([warm, torch.ones_like(warm), 1 / warm], 1)[:, :, None, None]


@hookimpl
def dreamd_transforms(register: RegisterTransform) -> None:
    """Bring `daylight`."""
    register("daylight", daylight, differentiable=True)

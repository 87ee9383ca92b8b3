"""The transform `original_colors`: the dream's light with the original's colours. For `finish`.

As in Justin Johnson's neural-style and ProGamerGov's neural-dream, but in floating point and without clipping.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from dreamd.api import RegisterTransform, hookimpl

_LUMA = (0.299, 0.587, 0.114)
"""How light red, green and blue are: ITU-R BT.601, as JPEG has it."""


def original_colors(image: Tensor, *, original: Tensor, amount: Annotated[float, Field(ge=0, le=1)] = 1.0) -> Tensor:
    """Take each pixel's luma from the dream and its differences from luma from the original.

    A colour that would leave the range from 0 to 1 is paled, as little as need be, towards the grey of its luma: so the
    hue stays, where clipping shifts it.

    Args:
        amount: how much of the original's colours is taken; 0 leaves the dream's.
    """
    luma = _luma(image.dtype, image.device)
    light = (image * luma).sum(1, keepdim=True).clamp(0, 1)
    colour = original - (original * luma).sum(1, keepdim=True)
    own = image - (image * luma).sum(1, keepdim=True)
    colour = torch.lerp(own, colour, amount)
    room = torch.where(colour > 0, 1 - light, light) / colour.abs().clamp(min=1e-6)
    return light + colour * room.amin(1, keepdim=True).clamp(max=1)


@lru_cache(maxsize=16)
def _luma(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return what counts for luma, `[1, 3, 1, 1]`, made once: to copy it at each step would wait for the device."""
    return torch.tensor(_LUMA, dtype=dtype, device=device).view(1, 3, 1, 1)


@hookimpl
def dreamd_transforms(register: RegisterTransform) -> None:
    """Bring `original_colors`."""
    register("original_colors", original_colors)

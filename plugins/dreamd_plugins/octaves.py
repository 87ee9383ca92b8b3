"""The schedule `octaves`: coarse to fine, the picture keeping its own size and detail.

Google's way (Mordvintsev, Olah, Tyka: "Inceptionism", 2015, and the notebook published with it): the picture is dreamed
small first, and what the dream added there is enlarged and laid over the next larger version of the picture itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dreamd.api import Ascend, RegisterSchedule, hookimpl

_SMALLEST_SIDE = 32
"""Octaves smaller than this are left out: a network sees nothing in them."""


def octaves(
    image: Tensor,
    ascend: Ascend,
    *,
    num_octaves: Annotated[int, Field(ge=1, le=64)] = 4,
    octave_scale: Annotated[float, Field(gt=1, le=16)] = 1.4,
) -> Iterator[Tensor]:
    """Dream the picture `[N, 3, H, W]` at growing sizes, carrying up what each dream added.

    Args:
        num_octaves: how many sizes, the picture's own included; sizes with a side under 32 pixels are left out.
        octave_scale: how many times larger each size is than the one before.
    """
    sizes = _sizes(image.shape[2], image.shape[3], num_octaves, octave_scale)
    ascend.plan(len(sizes))
    detail = torch.zeros_like(image[:, :, :1, :1])
    for size in sizes[:-1]:
        # Clamped, because bicubic overshoots at edges; else the ascent's clamp would look like something dreamed.
        base = _resized(image, size).clamp(0, 1)
        dreamed = ascend((base + _resized(detail, size)).clamp(0, 1))
        detail = dreamed - base
        yield dreamed
    own = _resized(detail, sizes[-1]).add_(image).clamp_(0, 1)
    del image  # of a very large picture every copy counts
    yield ascend(own, overwrite=True)


def _sizes(height: int, width: int, num_octaves: int, octave_scale: float) -> list[tuple[int, int]]:
    """The octaves' sizes, from the smallest to the picture's own."""
    scales = [octave_scale**octave for octave in range(num_octaves)]
    sizes = [(max(1, round(height / scale)), max(1, round(width / scale))) for scale in scales]
    return [(height, width), *(size for size in sizes[1:] if min(size) >= _SMALLEST_SIDE)][::-1]


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    if image.shape[2:] == size:
        return image
    return F.interpolate(image, size, mode="bicubic", antialias=True)


@hookimpl
def dreamd_schedules(register: RegisterSchedule) -> None:
    """Bring `octaves`."""
    register("octaves", octaves)

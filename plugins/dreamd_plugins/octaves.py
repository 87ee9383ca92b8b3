"""The schedule `octaves`: coarse to fine, the picture keeping its own size and detail.

Google's way (Mordvintsev, Olah, Tyka: "Inceptionism", 2015, and the notebook published with it): the picture is dreamed
small first, and what the dream added there is enlarged and laid over the next larger version of the picture itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dreamd.api import Ascend, RegisterSchedule, hookimpl

_SMALLEST_SIDE = 32
"""Pixels. Octaves with a shorter side are left out: a network sees nothing in them."""


def octaves(
    image: Tensor,
    ascend: Ascend,
    *,
    num_octaves: Annotated[int, Field(ge=1, le=64, json_schema_extra={"x-dreamd-usual": [1, 10]})] = 4,
    octave_scale: Annotated[float, Field(gt=1, le=16, json_schema_extra={"x-dreamd-usual": [1.1, 2]})] = 1.4,
    sizes: Annotated[
        list[Annotated[int, Field(ge=32, le=65536)]],
        Field(min_length=1, max_length=64, json_schema_extra={"uniqueItems": True}),
    ]
    | None = None,
) -> Iterator[Tensor]:
    """Dream the picture `[N, 3, H, W]` at growing sizes, carrying up what each dream added.

    Args:
        num_octaves: how many sizes, the picture's own included; sizes with a side under 32 pixels are left out.
        octave_scale: how many times larger each size is than the one before.
        sizes: in place of these two, the longest sides in pixels of the octaves before the picture's own size, which
            always comes last. They are dreamed from the smallest on; those that are not smaller than the picture are
            left out.
    """
    longest = max(image.shape[2:])
    scales = [longest / side for side in sizes or ()] or [octave_scale**octave for octave in range(num_octaves)]
    steps = _sizes(image.shape[2], image.shape[3], scales)
    ascend.plan(len(steps))
    detail = torch.zeros_like(image[:, :, :1, :1])
    for size in steps[:-1]:
        # Clamped, because bicubic overshoots at edges; else the ascent's clamp would look like something dreamed.
        base = _resized(image, size).clamp(0, 1)
        dreamed = ascend((base + _resized(detail, size)).clamp(0, 1))
        detail = dreamed - base
        yield dreamed
    own = _resized(detail, steps[-1]).add_(image).clamp_(0, 1)
    del image  # of a very large picture every copy counts
    yield ascend(own, overwrite=True)


def _sizes(height: int, width: int, scales: Sequence[float]) -> list[tuple[int, int]]:
    """The sizes that are so many times smaller than the picture, from the smallest to its own, which is the last."""
    smaller = [(round(height / scale), round(width / scale)) for scale in sorted(scales, reverse=True) if scale > 1]
    return [*(size for size in smaller if min(size) >= _SMALLEST_SIDE), (height, width)]


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    if image.shape[2:] == size:
        return image
    return F.interpolate(image, size, mode="bicubic", antialias=True)


@hookimpl
def dreamd_schedules(register: RegisterSchedule) -> None:
    """Bring `octaves`."""
    register("octaves", octaves)

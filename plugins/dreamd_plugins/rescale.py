"""The schedule `rescale`: coarse to fine, the whole result of each size enlarged to the next.

The way of pytorch-deepdream (Aleksa Gordić, 2020): x₁ = ascend(shrink(picture)), xₖ₊₁ = ascend(enlarge(xₖ)). What the
smallest size cannot show of the picture is gone, and in its place is what was dreamed: the dream is bolder than by
`octaves`, and further from the picture. Where it departs from the source: sizes are changed bicubically, and one with a
side under 32 pixels is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dreamd.api import Ascend, RegisterSchedule, hookimpl

_SMALLEST_SIDE = 32
"""Pixels. Sizes with a shorter side are left out: a network sees nothing in them."""


def rescale(
    image: Tensor,
    ascend: Ascend,
    *,
    num_octaves: Annotated[int, Field(ge=1, le=64, json_schema_extra={"x-dreamd-usual": [1, 10]})] = 4,
    octave_scale: Annotated[float, Field(gt=1, le=16, json_schema_extra={"x-dreamd-usual": [1.1, 2.5]})] = 1.8,
    sizes: Annotated[
        list[Annotated[int, Field(ge=32, le=65536)]],
        Field(min_length=1, max_length=64, json_schema_extra={"uniqueItems": True}),
    ]
    | None = None,
) -> Iterator[Tensor]:
    """Dream the picture `[N, 3, H, W]` at growing sizes, carrying up the whole of each dream.

    Args:
        num_octaves: how many sizes, the picture's own included; sizes with a side under 32 pixels are left out.
        octave_scale: how many times larger each size is than the one before.
        sizes: in place of these two, the longest sides in pixels of the sizes before the picture's own, which always
            comes last. They are dreamed from the smallest on; those that are not smaller than the picture are left out.
    """
    longest = max(image.shape[2:])
    scales = [longest / side for side in sizes or ()] or [octave_scale**octave for octave in range(num_octaves)]
    steps = _sizes(image.shape[2], image.shape[3], scales)
    ascend.plan(len(steps))
    for size in steps:
        image = ascend(_resized(image, size))
        yield image


def _sizes(height: int, width: int, scales: Sequence[float]) -> list[tuple[int, int]]:
    """The sizes that are so many times smaller than the picture, from the smallest to its own, which is the last."""
    smaller = [(round(height / scale), round(width / scale)) for scale in sorted(scales, reverse=True) if scale > 1]
    return [*(size for size in smaller if min(size) >= _SMALLEST_SIDE), (height, width)]


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures at another size, clamped, because bicubic overshoots at edges."""
    if image.shape[2:] == size:
        return image
    return F.interpolate(image, size, mode="bicubic", antialias=True).clamp_(0, 1)


@hookimpl
def dreamd_schedules(register: RegisterSchedule) -> None:
    """Bring `rescale`."""
    register("rescale", rescale)

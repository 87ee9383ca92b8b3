"""The schedule `dive`: dreams the picture, looks closer at its middle, and dreams that; the old endless zoom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dreamd.api import Ascend, RegisterSchedule, hookimpl

DREAMD_API = 1


def dive(
    image: Tensor,
    ascend: Ascend,
    *,
    frames: Annotated[int, Field(ge=1, le=1000)] = 4,
    closer: Annotated[float, Field(gt=1, le=4)] = 1.1,
) -> Iterator[Tensor]:
    """Dream the picture `[N, 3, H, W]`, enlarge its middle to the whole size, and dream again.

    Args:
        frames: how many times to dream.
        closer: how many times larger each frame shows what was in the middle of the one before.
    """
    ascend.plan(frames)
    for frame in range(frames):
        image = ascend(_middle(image, closer) if frame else image)
        yield image


def _middle(image: Tensor, closer: float) -> Tensor:
    """The middle of a picture, as large as the picture was."""
    height, width = image.shape[2:]
    inner_height, inner_width = max(1, round(height / closer)), max(1, round(width / closer))
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    middle = image[:, :, top : top + inner_height, left : left + inner_width]
    return F.interpolate(middle, (height, width), mode="bicubic", antialias=True).clamp(0, 1)  # bicubic overshoots


@hookimpl
def dreamd_schedules(register: RegisterSchedule) -> None:
    """Bring `dive`."""
    register("dive", dive)

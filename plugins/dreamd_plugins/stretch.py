"""The transform `stretch`: the range of colours stretched, all but the most extreme. For `finish`."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from dreamd.api import RegisterTransform, hookimpl

_MOST = 1 << 22
"""Values. Of larger pictures every so many are looked at for the percentiles."""


def stretch(
    image: Tensor,
    *,
    percentile: Annotated[float, Field(ge=0, lt=50, json_schema_extra={"x-dreamd-usual": [0, 5]})] = 1.0,
    amount: Annotated[float, Field(ge=0, le=1)] = 1.0,
) -> Tensor:
    """Stretch each picture so that a percentile of its values becomes black and the same from above becomes white.

    All channels are stretched alike, so that grey stays grey.

    Args:
        percentile: how many of a hundred values may be clipped at either end.
        amount: how far to go there; 0 leaves the picture as it is.
    """
    ordered = image.flatten(1)[:, :: max(1, -(-image[0].numel() // _MOST))].sort(1).values
    last = ordered.shape[1] - 1
    dark, light = (ordered[:, round(last * share / 100)].view(-1, 1, 1, 1) for share in (percentile, 100 - percentile))
    stretched = ((image - dark) / (light - dark).clamp(min=1 / 255)).clamp(0, 1)
    return torch.lerp(image, stretched, amount)


@hookimpl
def dreamd_transforms(register: RegisterTransform) -> None:
    """Bring `stretch`."""
    register("stretch", stretch)

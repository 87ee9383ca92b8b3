"""The transform `jitter`: a circular shift at random, so that the network's grid leaves no trace.

Mordvintsev, Olah and Tyka: "Inceptionism", 2015. The recipe's `ascent.jitter` is the same, and costs less memory; this
one may stand between other transforms.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from dreamd.api import Random, RegisterTransform, hookimpl


def jitter(
    image: Tensor,
    *,
    random: Random,
    pixels: Annotated[int, Field(ge=0, le=4096, json_schema_extra={"x-dreamd-usual": [0, 64]})] = 32,
) -> Tensor:
    """Shift each picture circularly, down and to the right, by whole pixels.

    Args:
        pixels: the largest shift each way.
    """
    shifts = random.integers(-pixels, pixels, 2)
    return torch.stack([picture.roll(shift, (1, 2)) for picture, shift in zip(image, shifts, strict=True)])


@hookimpl
def dreamd_transforms(register: RegisterTransform) -> None:
    """Bring `jitter`."""
    register("jitter", jitter, differentiable=True)

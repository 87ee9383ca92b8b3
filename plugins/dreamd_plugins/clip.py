"""The gradient step `clip`: no pixel runs away from the others."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from dreamd.api import RegisterGradient, hookimpl


def clip(
    gradient: Tensor,
    *,
    limit: Annotated[float, Field(gt=0, le=100, json_schema_extra={"x-dreamd-usual": [0.5, 10]})] = 3.0,
) -> Tensor:
    """Cut off what is largest of each picture's gradient.

    Args:
        limit: the largest value that stays, in standard deviations of the picture's gradient.
    """
    most = limit * gradient.flatten(1).std(1).view(-1, 1, 1, 1)
    return gradient.clamp(-most, most)


@hookimpl
def dreamd_gradients(register: RegisterGradient) -> None:
    """Bring `clip`."""
    register("clip", clip)

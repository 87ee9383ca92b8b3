"""The transform `blend`: some of the original shows through."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from dreamd.api import RegisterTransform, hookimpl


def blend(image: Tensor, *, original: Tensor, amount: Annotated[float, Field(ge=0, le=1)] = 0.3) -> Tensor:
    """Return `(1 - amount) · dream + amount · original`.

    Args:
        amount: how much of the original; 1 is the original alone.
    """
    return torch.lerp(image, original, amount)


@hookimpl
def dreamd_transforms(register: RegisterTransform) -> None:
    """Bring `blend`."""
    register("blend", blend, differentiable=True)

"""The transform `clamp`: colours stay between black and white. Under `settle` it holds after each step."""

from __future__ import annotations

from torch import Tensor

from dreamd.api import RegisterTransform, hookimpl


def clamp(image: Tensor) -> Tensor:
    """Bring each value into the range from 0 to 1."""
    return image.clamp(0, 1)


@hookimpl
def dreamd_transforms(register: RegisterTransform) -> None:
    """Bring `clamp`."""
    register("clamp", clamp)

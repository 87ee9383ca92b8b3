"""The gradient step `natural`: colours change together, as they do in photographs, and not each for itself.

Without it red, green and blue climb apart, and a dream is pastel; with it fur has the colours of fur.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from dreamd.api import RegisterGradient, hookimpl

_ROOT = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
"""The square root of the covariance of ImageNet's colours, as lucid has it (Olah, Mordvintsev and Schubert: "Feature
Visualization", 2017)."""


def natural(gradient: Tensor, *, amount: Annotated[float, Field(ge=0, le=1)] = 0.7) -> Tensor:
    """Mix each pixel's gradient by the covariance of colours K Kᵀ, whose diagonal is 1 on the mean.

    Args:
        amount: how far to go from no mixing to that; 1 is nearly black and white.
    """
    return torch.einsum("ij,njhw->nihw", _mix(amount, gradient.dtype, gradient.device), gradient)


@lru_cache(maxsize=64)
def _mix(amount: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix on a device, made once: to copy it there at each step would wait for the device."""
    root = torch.tensor(_ROOT, dtype=dtype, device=device)
    mix = root @ root.T
    mix = mix / mix.diagonal().mean()
    return torch.lerp(torch.eye(3, dtype=dtype, device=device), mix, amount)


@hookimpl
def dreamd_gradients(register: RegisterGradient) -> None:
    """Bring `natural`."""
    register("natural", natural)

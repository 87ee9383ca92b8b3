"""The parameterization `bounded`: colours that can never leave their range, however far the dream climbs.

Olah, Mordvintsev and Schubert: "Feature Visualization", 2017, and lucid's `to_valid_rgb`.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from dreamd.api import RegisterParameterization, hookimpl


def encode(image: Tensor, *, margin: Annotated[float, Field(gt=0, lt=0.5)] = 0.02) -> Tensor:
    """Move `ln(c / (1 - c))` in place of a colour c between 0 and 1; c is the sigmoid of it.

    Args:
        margin: colours nearer to black or white than this begin there, since the sigmoid reaches neither.
    """
    return torch.logit(image.clamp(margin, 1 - margin))


def decode(parameters: Tensor, shape: torch.Size) -> Tensor:
    """Return the sigmoid."""
    del shape
    return torch.sigmoid(parameters)


@hookimpl
def dreamd_parameterizations(register: RegisterParameterization) -> None:
    """Bring `bounded`."""
    register("bounded", encode, decode)

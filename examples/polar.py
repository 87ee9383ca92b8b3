"""The parameterization `polar`: colours move as light, and as how far from grey and in which direction."""

from __future__ import annotations

import torch
from torch import Tensor

from dreamd.api import RegisterParameterization, hookimpl

DREAMD_API = 2

_TINY = 1e-4
"""Keeps the angle of grey, which has none, finite."""


def encode(image: Tensor) -> Tensor:
    """Return light, strength and angle `[N, 3, H, W]` of pictures in [0, 1]."""
    light = image.mean(1)
    across, along = image[:, 0] - light, image[:, 2] - light
    return torch.stack([light, (across.square() + along.square() + _TINY**2).sqrt(), torch.atan2(along, across)], 1)


def decode(parameters: Tensor, shape: torch.Size) -> Tensor:
    """Return the pictures again."""
    del shape
    light, strength, angle = parameters.unbind(1)
    red, blue = light + strength * torch.cos(angle), light + strength * torch.sin(angle)
    return torch.stack([red, 3 * light - red - blue, blue], 1)


@hookimpl
def dreamd_parameterizations(register: RegisterParameterization) -> None:
    """Bring `polar`."""
    register("polar", encode, decode)

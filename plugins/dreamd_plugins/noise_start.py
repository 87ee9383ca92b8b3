"""The transform `noise_start`: a dream from nothing but noise, in the picture's own colours. For `start`."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from dreamd.api import Random, RegisterTransform, hookimpl

_TINY = 1e-6
"""Keeps a picture of one colour, whose channels do not vary, finite."""


def noise_start(
    image: Tensor,
    *,
    random: Random,
    amount: Annotated[float, Field(ge=0, le=1)] = 1.0,
    spread: Annotated[float, Field(ge=0, le=2)] = 1.0,
    smoothness: Annotated[float, Field(ge=0, le=3)] = 1.0,
) -> Tensor:
    """Replace each picture by noise of the mean and the covariance of its colours.

    Args:
        amount: how much of the picture is noise; 0.3 lets it show through.
        spread: how far its colours are from their mean, as a share of how far the picture's are; little is grey fog.
        smoothness: the power of the frequency by which the noise falls: 0 is white, 1 as in photographs, 2 clouds.
    """
    height, width = image.shape[2:]
    spectrum = torch.fft.rfft2(random.normal(3, height, width))
    down = torch.fft.fftfreq(height, device=image.device)[:, None]
    right = torch.fft.rfftfreq(width, device=image.device)
    frequency = torch.sqrt(down**2 + right**2).clamp(min=1 / max(height, width))
    noise = torch.fft.irfft2(spectrum * frequency**-smoothness, s=(height, width)).flatten(2)
    correction = min(1, height * width - 1)  # a single pixel deviates from nothing
    noise = (noise - noise.mean(2, keepdim=True)) / (noise.std(2, keepdim=True, correction=correction) + _TINY)
    colours = image.flatten(2)
    mean = colours.mean(2, keepdim=True)
    covariance = (colours - mean) @ (colours - mean).transpose(1, 2) / colours.shape[2]
    root = torch.linalg.cholesky(covariance + _TINY * torch.eye(3, device=image.device))
    return torch.lerp(image, (mean + spread * (root @ noise)).view_as(image).clamp(0, 1), amount)


@hookimpl
def dreamd_transforms(register: RegisterTransform) -> None:
    """Bring `noise_start`."""
    register("noise_start", noise_start)

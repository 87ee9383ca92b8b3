"""The parameterization `phase`: only where things are moves; how much there is of each size stays as in photographs.

Fel, Boissin, Boutin, Picard, Novello and others: "Unlocking Feature Visualization for Deeper Networks with MAgnitude
Constrained Optimization", 2023.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from dreamd.api import RegisterParameterization, hookimpl

_TINY = 1e-5
"""Keeps a picture of one colour finite."""


def encode(image: Tensor) -> Tensor:
    """Move the phases of the picture's discrete Fourier transform, `[N, 3, H, W // 2 + 1]`, in radians.

    A picture keeps its phases and loses its magnitudes; `start: [noise_start]` dreams from nothing. It stands behind
    `bounded`, for which it makes values around 0, as far from it as the contrast says.
    """
    return torch.angle(torch.fft.rfft2(image))


def decode(
    parameters: Tensor,
    shape: torch.Size,
    *,
    decay: Annotated[float, Field(ge=0, le=3)] = 1.2,
    contrast: Annotated[float, Field(gt=0, le=10)] = 2.0,
) -> Tensor:
    """Return the picture of those phases with magnitudes `1 / f^decay`, the mean of each channel 0.

    Args:
        decay: how much less there is of small shapes than of large ones; 1.2 is near to photographs.
        contrast: the standard deviation of the picture's values.
    """
    height, width = shape[2:]
    down = torch.fft.fftfreq(height, device=parameters.device)[:, None]
    right = torch.fft.rfftfreq(width, device=parameters.device)
    magnitude = torch.sqrt(down**2 + right**2).clamp(min=1 / max(height, width)) ** -decay
    magnitude[0, 0] = 0  # the mean has no phase but its sign, which would turn the whole picture's colour
    magnitude = magnitude.to(parameters.dtype).expand_as(parameters).contiguous()
    image = torch.fft.irfft2(torch.polar(magnitude, parameters), s=(height, width))
    result: Tensor = contrast * image / (image.std((1, 2, 3), keepdim=True) + _TINY)
    return result


@hookimpl
def dreamd_parameterizations(register: RegisterParameterization) -> None:
    """Bring `phase`."""
    register("phase", encode, decode)

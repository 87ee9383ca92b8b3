"""The parameterization `fourier`: the picture's spectrum moves, large shapes as easily as fine grain.

Olah, Mordvintsev and Schubert: "Feature Visualization", 2017, and lucid's `fft_image`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from dreamd.api import RegisterParameterization, hookimpl

_UNIT = 0.25
"""Brings a parameter of 1 to about the size that it has in a picture in colours of about 1, as in lucid."""

Decay = Annotated[float, Field(ge=0, le=3)]


def encode(image: Tensor, *, decay: Decay = 1.25) -> Tensor:
    """Move the picture's discrete Fourier transform times `f^decay`, `[N, 3, H, W // 2 + 1, 2]`, in place of pixels.

    The frequency f runs from one over the longer side to √½, in cycles a pixel.

    Args:
        decay: how much faster large shapes move than small ones: 1 is as photographs are, and grey; 1.25 is good;
            1.5 burns out.
    """
    spectrum = torch.fft.rfft2(image, norm="ortho")
    return torch.view_as_real(spectrum / _scale(image.shape[2:], decay, image.device))


def decode(parameters: Tensor, shape: torch.Size, *, decay: Decay = 1.25) -> Tensor:
    """Return the inverse transform of the parameters over `f^decay`."""
    spectrum = torch.view_as_complex(parameters.contiguous()) * _scale(shape[2:], decay, parameters.device)
    image: Tensor = torch.fft.irfft2(spectrum, s=(shape[2], shape[3]), norm="ortho")
    return image


@lru_cache(maxsize=1)
def _scale(size: torch.Size, decay: float, device: torch.device) -> Tensor:
    """Return what each frequency of pictures of a height and width is multiplied by, `[H, W // 2 + 1]`.

    It is made once for an ascent, whose gradients hold it in any case.
    """
    height, width = size
    down = torch.fft.fftfreq(height, device=device)[:, None]
    right = torch.fft.rfftfreq(width, device=device)
    frequency = torch.sqrt(down**2 + right**2).clamp(min=1 / max(height, width))
    scale: Tensor = _UNIT * frequency**-decay
    return scale


@hookimpl
def dreamd_parameterizations(register: RegisterParameterization) -> None:
    """Bring `fourier`."""
    register("fourier", encode, decode)

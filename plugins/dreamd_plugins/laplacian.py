"""The gradient step `laplacian`: large shapes and fine grain are drawn equally strong.

Mordvintsev's TensorFlow tutorial "DeepDreaming with TensorFlow", 2016.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dreamd.api import RegisterGradient, hookimpl

_KERNEL = (1.0, 4.0, 6.0, 4.0, 1.0)
"""The binomial kernel by which each level is blurred before every other pixel of it is left out."""

_SMALLEST_SIDE = 8
"""Pixels; a level that is smaller is not split again."""

_BAND = 1 << 20
"""Values that are halved together."""

_TINY = 1e-10
"""Keeps a level of zeros at zero."""


def laplacian(gradient: Tensor, *, levels: Annotated[int, Field(ge=1, le=16)] = 4, normalize: bool = True) -> Tensor:
    """Split each picture's gradient into bands of sizes, bring each band to a mean square of 1, and add them again.

    In place: of a very large picture every copy counts.

    Args:
        levels: how often it is split; the rest, of the largest shapes, is one band more.
        normalize: whether the bands are brought to one strength; else the gradient stays as it is, to rounding.
    """
    gradient = gradient.contiguous()  # one value repeated could not be written to
    bands: list[Tensor] = []
    while len(bands) < levels and min(gradient.shape[2:]) >= _SMALLEST_SIDE:
        smaller = _halved(gradient)
        bands.append(gradient.sub_(_enlarged(smaller, gradient)))
        gradient = smaller
    bands.append(gradient)
    if normalize:
        for band in bands:
            _to_one(band)
    merged = bands.pop()
    while bands:
        band = bands.pop()
        merged = band.add_(_enlarged(merged, band))
    return merged


def _to_one(band: Tensor) -> None:
    strength = band.flatten(1).square().mean(1).sqrt()
    band.div_((strength + _TINY).view(-1, 1, 1, 1))


def _halved(picture: Tensor) -> Tensor:
    kernel = _kernel(picture.dtype, picture.device).expand(3, 1, 5, 5)
    rows = (picture.shape[2] + 1) // 2
    # In bands of rows: for what it halves at once, a processor makes a copy for each value of the kernel.
    height = max(1, picture.shape[2] * _BAND // picture.numel())
    bands = (_padded(picture, 2 * top - 2, 2 * min(top + height, rows) + 1) for top in range(0, rows, height))
    return torch.cat([F.conv2d(band, kernel, stride=2, groups=3) for band in bands], 2)


def _padded(picture: Tensor, first: int, end: int) -> Tensor:
    """Return the rows from `first` to `end`, and two columns more at each side; edges are repeated outwards."""
    height = picture.shape[2]
    inside = picture[:, :, max(0, first) : end]
    return F.pad(inside, (2, 2, max(0, -first), max(0, end - height)), mode="replicate")


@lru_cache(maxsize=16)
def _kernel(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the kernel on a device, made once: to copy it there at each step would wait for the device."""
    kernel = torch.tensor(_KERNEL, dtype=dtype, device=device)
    return torch.outer(kernel, kernel) / kernel.sum() ** 2


def _enlarged(picture: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(picture, like.shape[2:], mode="bilinear", align_corners=False)


@hookimpl
def dreamd_gradients(register: RegisterGradient) -> None:
    """Bring `laplacian`."""
    register("laplacian", laplacian)

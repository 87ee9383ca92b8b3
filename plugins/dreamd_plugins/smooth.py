"""The gradient step `smooth`: without it a dream is harsh, because networks answer best to the finest grain."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dreamd.api import RegisterGradient, hookimpl

_SPREAD = (0.5, 1.0, 2.0)
"""The mean of Gaussians of half, once and twice the width keeps some grain and carries some of the large shapes."""


def smooth(
    gradient: Tensor,
    *,
    progress: float,
    sigma: Annotated[float, Field(gt=0, le=100, json_schema_extra={"x-dreamd-usual": [0.1, 3]})] = 0.5,
    growth: Annotated[float, Field(ge=0, le=100, json_schema_extra={"x-dreamd-usual": [0, 4]})] = 1.0,
) -> Tensor:
    """Replace each picture's gradient by the mean of three Gaussian blurs of it, in place.

    Args:
        sigma: the width of the middle Gaussian at the start of an ascent, in pixels.
        growth: by how much it grows until the end of the ascent, in pixels: first the grain is drawn, then the shapes.
    """
    gradient = gradient.contiguous()  # one value repeated could not be written to
    width = sigma + growth * progress
    reach = _radius(width * max(_SPREAD))
    height = max(reach, gradient.shape[2] * _BANDS.get(gradient.device.type, _BAND) // gradient.numel())
    if height >= gradient.shape[2]:
        return _mean_of_blurs(gradient, width)
    above = gradient[:, :, :0]
    for top in range(0, gradient.shape[2], height):
        # A band is blurred with the rows around it as they were; those above have been written to by now.
        rows = torch.cat([above, gradient[:, :, top : top + height + reach]], 2)
        start, above = above.shape[2], gradient[:, :, max(0, top + height - reach) : top + height].clone()
        band = gradient[:, :, top : top + height]
        band.copy_(_mean_of_blurs(rows, width)[:, :, start : start + band.shape[2]])
    return gradient


_BAND = 1 << 22
"""Values that are blurred together, 16 MB: of a very large picture every copy counts, and smaller ones are one band."""

_BANDS = {"cpu": 1 << 19}
"""The same by the kind of device. A processor takes nine times a band's memory, and is a third faster where a band
stays in its caches."""


def _mean_of_blurs(gradient: Tensor, width: float) -> Tensor:
    turned = gradient.mT.contiguous() if gradient.device.type == "cpu" else None
    first, *others = (_blurred(gradient, turned, width * factor) for factor in _SPREAD)
    for other in others:
        first += other
    return first.div_(len(_SPREAD))


def _radius(sigma: float) -> int:
    return max(1, math.ceil(3 * sigma))


def _blurred(gradient: Tensor, turned: Tensor | None, sigma: float) -> Tensor:
    """Blur `[N, 3, H, W]`, on a processor from what was turned to `[N, 3, W, H]`."""
    radius = _radius(sigma)
    distance = torch.arange(-radius, radius + 1, device=gradient.device, dtype=gradient.dtype)
    kernel = torch.exp(-(distance**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    if turned is not None:
        return _blurred_down(_blurred_down(turned, kernel).mT, kernel)
    padded = F.pad(gradient, (radius,) * 4, mode="replicate")
    kernel = kernel.expand(3, 1, -1)
    rows = F.conv2d(padded, kernel.unsqueeze(2), groups=3)
    return F.conv2d(rows, kernel.unsqueeze(3), groups=3)


def _blurred_down(x: Tensor, kernel: Tensor) -> Tensor:
    """Blur `[N, 3, H, W]` along its height, with every column as a channel and the edges repeated.

    A processor computes many channels at once and wastes most of that on three. The additions come in the same order,
    so the result is the same to the bit.
    """
    radius = len(kernel) // 2
    first, last = (x[:, :, end].unsqueeze(2).expand(-1, -1, radius, -1) for end in (0, -1))
    padded = torch.cat([first, x, last], 2)  # which is a copy, where torch's own padding is slower
    pictures, colours, height, width = padded.shape
    columns = padded.view(pictures * colours, height, 1, width).permute(0, 3, 1, 2)
    blurred = F.conv2d(columns, kernel.view(1, 1, -1, 1).repeat(width, 1, 1, 1), groups=width)
    return blurred.permute(0, 2, 3, 1).reshape(x.shape)


@hookimpl
def dreamd_gradients(register: RegisterGradient) -> None:
    """Bring `smooth`."""
    register("smooth", smooth)

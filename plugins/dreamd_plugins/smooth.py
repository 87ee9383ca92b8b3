"""The gradient step `smooth`: without it a dream is harsh, because networks answer best to the finest grain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
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

_BANDS = {"cpu": 1 << 20}
"""The same by the kind of device. A processor takes twelve times a band's memory."""

_STRIP = 16
"""Columns that are blurred along the rows at once, as channels: as many numbers as a processor computes with."""

_PIECE = 1 << 18
"""Values of a band that a processor blurs together: what is made of them stays in its caches."""


def _mean_of_blurs(gradient: Tensor, width: float) -> Tensor:
    if gradient.device.type == "cpu":
        return _mean_on_processor(gradient, _weights(width, gradient.dtype))
    kernels = [_kernel(width * factor, gradient.dtype, gradient.device) for factor in _SPREAD]
    first, *others = (_blurred(gradient, kernel) for kernel in kernels)
    for other in others:
        first += other
    return first.div_(len(_SPREAD))


def _radius(sigma: float) -> int:
    return max(1, math.ceil(3 * sigma))


@lru_cache(maxsize=256)
def _kernel(sigma: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a Gaussian `[2 · radius + 1]`, made once for all ascents of a dream, which come by the same widths."""
    radius = _radius(sigma)
    distance = torch.arange(-radius, radius + 1, device=device, dtype=dtype)
    kernel = torch.exp(-(distance**2) / (2 * sigma**2))
    return kernel / kernel.sum()


def _blurred(gradient: Tensor, kernel: Tensor) -> Tensor:
    padded = F.pad(gradient, (len(kernel) // 2,) * 4, mode="replicate")
    kernel = kernel.expand(3, 1, -1)
    rows = F.conv2d(padded, kernel.unsqueeze(2), groups=3)
    return F.conv2d(rows, kernel.unsqueeze(3), groups=3)


@dataclass(frozen=True)
class _Weights:
    """The three Gaussians for a processor, all as long as the longest, with zeros at their ends.

    Attributes:
        kernels: the Gaussians, `[3, 2 · radius + 1]`.
        strips: blurs a strip of a row by each of them, out of it and the strips around it, `[3 · 16, 16, 1, strips]`.
        radius: in pixels.
    """

    kernels: Tensor
    strips: Tensor
    radius: int

    @property
    def beside(self) -> int:
        """Return how many strips count on either side of one."""
        return self.strips.shape[3] // 2


@lru_cache(maxsize=64)
def _weights(width: float, dtype: torch.dtype) -> _Weights:
    kernels = [_kernel(width * factor, dtype, torch.device("cpu")) for factor in _SPREAD]
    radius = _convolved_fast(max(len(kernel) // 2 for kernel in kernels))
    long = torch.stack([F.pad(kernel, (radius - len(kernel) // 2,) * 2) for kernel in kernels])
    strips = 2 * math.ceil(radius / _STRIP) + 1
    values = strips * _STRIP
    rows = long.new_zeros(len(kernels), _STRIP, values)
    first = strips // 2 * _STRIP - radius  # that the first column of a strip sees
    rows.as_strided((*rows.shape[:2], 2 * radius + 1), (_STRIP * values, values + 1, 1), first).copy_(long[:, None])
    return _Weights(long, rows.view(-1, strips, _STRIP).permute(0, 2, 1).unsqueeze(2), radius)


def _convolved_fast(radius: int) -> int:
    """Return the radius to compute with: oneDNN takes three times as long for 9 to 13 values as it does for 15."""
    return 7 if 4 <= radius <= 6 else radius


def _mean_on_processor(gradient: Tensor, weights: _Weights) -> Tensor:
    """Return the mean of the blurs of `[N, 3, H, W]`, piece by piece.

    It is computed as convolutions of many channels, which is what a processor is fast at. Zeros aside, the additions of
    a pixel come in the order of `_blurred`, so the result is the same to the bit.
    """
    pictures, colours, height, width = gradient.shape
    mean = torch.empty_like(gradient)
    columns = max(1, _PIECE // (height * pictures * colours * _STRIP)) * _STRIP
    for left in range(0, width, columns):
        piece = mean[..., left : left + columns]
        padded = _padded(gradient, left, piece.shape[3], weights)
        first, second, third = _blurred_strips(padded, weights).unbind(4)
        blurred = (first + second).add_(third).div_(len(_SPREAD)).flatten(3)
        piece.copy_(blurred[..., : piece.shape[3]].permute(1, 2, 0, 3))
    return mean


def _padded(gradient: Tensor, left: int, columns: int, weights: _Weights) -> Tensor:
    """Copy columns of `[N, 3, H, W]` with the pixels around them, edges repeated, to `[H + 2 · radius, N, 3, columns]`.

    The columns are filled up to whole strips.
    """
    pictures, colours, height, width = gradient.shape
    radius, begin = weights.radius, left - weights.beside * _STRIP
    strips = math.ceil(columns / _STRIP) + 2 * weights.beside
    padded = gradient.new_empty(height + 2 * radius, pictures, colours, strips * _STRIP)
    first, end = max(begin, 0), min(begin + strips * _STRIP, width)
    rows = padded[radius : radius + height]
    rows[..., first - begin : end - begin] = gradient[..., first:end].permute(2, 0, 1, 3)
    rows[..., : first - begin] = rows[..., first - begin, None]
    rows[..., end - begin :] = rows[..., end - begin - 1, None]
    padded[:radius], padded[radius + height :] = rows[0], rows[-1]
    return padded


def _blurred_strips(padded: Tensor, weights: _Weights) -> Tensor:
    """Blur `[H + 2 · radius, N, 3, columns]` along rows and columns by each Gaussian, `[H, N, 3, strips, 3, 16]`."""
    height, pictures, colours, columns = padded.shape
    rows = padded.view(1, height * pictures * colours, columns // _STRIP, _STRIP).permute(0, 3, 1, 2)
    along_rows = F.conv2d(rows, weights.strips).permute(0, 2, 3, 1)
    strips = along_rows.shape[2]
    channels = pictures * colours * strips * len(weights.kernels) * _STRIP
    kernels = weights.kernels[:, None].expand(pictures * colours * strips, -1, _STRIP, -1)
    # Along the width and not the height, where oneDNN is slower.
    lines = along_rows.reshape(1, 1, height, channels).permute(0, 3, 1, 2)
    along_both = F.conv2d(lines, kernels.reshape(channels, 1, 1, -1), groups=channels).permute(0, 2, 3, 1)
    return along_both.reshape(-1, pictures, colours, strips, len(weights.kernels), _STRIP)


@hookimpl
def dreamd_gradients(register: RegisterGradient) -> None:
    """Bring `smooth`."""
    register("smooth", smooth)

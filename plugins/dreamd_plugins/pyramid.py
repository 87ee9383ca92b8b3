"""The parameterization `pyramid`: large shapes and small ones each move by themselves.

The Laplacian pyramid of Burt and Adelson, 1983, as an image to optimise: Mordvintsev, Pezzotti, Schubert and Olah,
"Differentiable Image Parameterizations", 2018; lucid's `laplacian_pyramid` and captum's `LaplacianImage`.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dreamd.api import RegisterParameterization, hookimpl

Levels = Annotated[int, Field(ge=1, le=12)]

Power = Annotated[float, Field(ge=0, le=2)]


def encode(image: Tensor, *, levels: Levels = 5, power: Power = 0.5) -> Tensor:
    """Move the bands of a Laplacian pyramid in place of pixels, `[N, 3 · cells of all levels]`.

    The band of level k, from 0, has cells of 2ᵏ pixels, and lies in the parameters divided by `2^(k · power)`.

    Args:
        levels: how many sizes there are, the picture's own included; a side never falls under one pixel.
        power: how much faster large shapes move than small ones; 0 moves all bands alike.
    """
    bands = []
    sizes = _sizes(image.shape, levels)
    for level, size in enumerate(sizes):
        smaller = F.interpolate(image, sizes[level + 1], mode="area") if level + 1 < len(sizes) else None
        band = image if smaller is None else image - _enlarged(smaller, size)
        bands.append(band.flatten(1) / 2 ** (level * power))
        image = image if smaller is None else smaller
    return torch.cat(bands, 1)


def decode(parameters: Tensor, shape: torch.Size, *, levels: Levels = 5, power: Power = 0.5) -> Tensor:
    """Return the sum of the bands, each enlarged to the next."""
    sizes = _sizes(shape, levels)
    bands = torch.split(parameters, [shape[1] * height * width for height, width in sizes], 1)
    image: Tensor | None = None
    for level in reversed(range(len(sizes))):
        band = bands[level].view(-1, shape[1], *sizes[level]) * 2 ** (level * power)
        image = band if image is None else _enlarged(image, sizes[level]) + band
    assert image is not None
    return image


def _sizes(shape: torch.Size, levels: int) -> list[tuple[int, int]]:
    """The sizes of all levels, from the picture's own down."""
    return [(max(1, shape[2] >> level), max(1, shape[3] >> level)) for level in range(levels)]


def _enlarged(image: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(image, size, mode="bilinear", align_corners=False)


@hookimpl
def dreamd_parameterizations(register: RegisterParameterization) -> None:
    """Bring `pyramid`."""
    register("pyramid", encode, decode)

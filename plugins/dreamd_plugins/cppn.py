"""The parameterization `cppn`: a small network paints the picture from its coordinates, and its weights dream.

Compositional pattern-producing networks (Stanley, 2007), as an image to optimise: Mordvintsev, Pezzotti, Schubert and
Olah, "Differentiable Image Parameterizations", 2018, whose layers, widths and activation these are.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from dreamd.api import RegisterParameterization, hookimpl

_WIDEST = 3**0.5
"""The coordinate of the longer side's ends: coordinates drawn evenly from -√3 to √3 have a variance of 1."""

_TOGETHER = 1 << 15
"""Pixels that are painted together; what the layers of others remember is computed again for the gradient."""

_MEAN, _SPREAD, _SQUARE_SPREAD = 0.45, 0.67, 0.396
"""The mean of `atan(x)²` and the standard deviations of `atan(x)` and its square, for normal x."""

Width = Annotated[int, Field(ge=2, le=256)]

Layers = Annotated[int, Field(ge=1, le=32)]


def encode(
    image: Tensor, *, layers: Layers = 8, width: Width = 24, first: Annotated[int, Field(ge=0, lt=2**31)] = 0
) -> Tensor:
    """Move the weights of a small network that paints the picture, `[N, weights]`.

    Nothing of the picture is kept, and each ascent begins anew: it wants `schedule: single`, no `settle`, and a small
    `lr` with `adam`, such as 0.005. It stands behind `bounded`, for which it makes values around 0. The picture has no
    pixels of its own: it can be dreamed again at any size.

    Args:
        layers: how many layers the network has before its last.
        width: how many values each layer makes, and twice as many pass on to the next.
        first: the seed of the weights that the network begins with.
    """
    generator = torch.Generator().manual_seed(first)
    weights = [
        torch.randn(count, out, generator=generator).div_(count**0.5).flatten() for count, out in _shapes(layers, width)
    ]
    return torch.cat(weights).to(image.device).repeat(len(image), 1)


def decode(parameters: Tensor, shape: torch.Size, *, layers: Layers = 8, width: Width = 24) -> Tensor:
    """Return what the networks paint at every pixel of a picture of that shape."""
    sizes = _shapes(layers, width)
    weights = torch.split(parameters, [count * out for count, out in sizes], 1)
    matrices = [one.view(-1, *size) for one, size in zip(weights, sizes, strict=True)]
    painted = [
        checkpoint(_painted, places, *matrices, use_reentrant=False, preserve_rng_state=False)
        for places in torch.split(_coordinates(shape, parameters.device), _TOGETHER)
    ]
    return torch.cat(painted, 1).transpose(1, 2).reshape(len(parameters), 3, *shape[2:])


def _shapes(layers: int, width: int) -> list[tuple[int, int]]:
    """What each layer takes and makes: an activation makes two values of one."""
    takes = [2, *[2 * width] * layers]
    makes = [*[width] * layers, 3]
    return list(zip(takes, makes, strict=True))


def _coordinates(shape: torch.Size, device: torch.device) -> Tensor:
    """The place of each pixel, `[H · W, 2]`, from -√3 to √3 along the longer side."""
    longest = max(shape[2:])
    down, right = (
        (torch.arange(side, device=device) - (side - 1) / 2) * (2 * _WIDEST / longest) for side in shape[2:]
    )  # fmt: skip
    return torch.cartesian_prod(down, right)


def _painted(places: Tensor, *matrices: Tensor) -> Tensor:
    """The values at places `[P, 2]`, `[N, P, 3]`."""
    *hidden, last = matrices
    values = places.expand(len(last), *places.shape)
    for matrix in hidden:
        values = _activated(values @ matrix)
    return values @ last


def _activated(values: Tensor) -> Tensor:
    bent = torch.atan(values)
    return torch.cat([bent / _SPREAD, (bent.square() - _MEAN) / _SQUARE_SPREAD], -1)


@hookimpl
def dreamd_parameterizations(register: RegisterParameterization) -> None:
    """Bring `cppn`."""
    register("cppn", encode, decode)

"""The parameterization `decorrelated`: colours as photographs mix them, each direction moving at its own pace.

Olah, Mordvintsev and Schubert: "Feature Visualization", 2017: the square root of the covariance of ImageNet's colours.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from dreamd.api import RegisterParameterization, hookimpl

_ROOT = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
"""The root's columns are light, red against blue, and green against purple; as lucid has it."""


def encode(image: Tensor) -> Tensor:
    """Move `K⁻¹ c` in place of a colour c, with K the root of the covariance of colours, its longest column 1 long."""
    return torch.einsum("ij,njhw->nihw", _inverse(image.dtype, image.device), image)


def decode(parameters: Tensor, shape: torch.Size) -> Tensor:
    """Return `K p`."""
    del shape
    return torch.einsum("ij,njhw->nihw", _root(parameters.dtype, parameters.device), parameters)


@lru_cache(maxsize=16)
def _root(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the root on a device, made once: to copy it there at each step would wait for the device."""
    root = torch.tensor(_ROOT, dtype=dtype, device=device)
    scaled: Tensor = root / root.norm(dim=0).max()
    return scaled


@lru_cache(maxsize=16)
def _inverse(dtype: torch.dtype, device: torch.device) -> Tensor:
    inverse: Tensor = torch.linalg.inv(_root(dtype, device))
    return inverse


@hookimpl
def dreamd_parameterizations(register: RegisterParameterization) -> None:
    """Bring `decorrelated`."""
    register("decorrelated", encode, decode)

"""The parameterization `decorrelated`: colours as photographs mix them, each direction moving at its own pace.

Olah, Mordvintsev and Schubert: "Feature Visualization", 2017: the square root of the covariance of ImageNet's colours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dreamd.api import RegisterParameterization, hookimpl

_ROOT = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
"""The root's columns are light, red against blue, and green against purple; as lucid has it."""


def encode(image: Tensor) -> Tensor:
    """Move `K⁻¹ c` in place of a colour c, with K the root of the covariance of colours, its longest column 1 long."""
    return torch.einsum("ij,njhw->nihw", torch.linalg.inv(_root(image)), image)


def decode(parameters: Tensor, shape: torch.Size) -> Tensor:
    """Return `K p`."""
    del shape
    return torch.einsum("ij,njhw->nihw", _root(parameters), parameters)


def _root(like: Tensor) -> Tensor:
    root = torch.tensor(_ROOT, dtype=like.dtype, device=like.device)
    scaled: Tensor = root / root.norm(dim=0).max()
    return scaled


@hookimpl
def dreamd_parameterizations(register: RegisterParameterization) -> None:
    """Bring `decorrelated`."""
    register("decorrelated", encode, decode)

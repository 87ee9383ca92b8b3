"""Devices: moves tensors to a GPU and back without waiting, and chooses among cuDNN's algorithms.

Knows tensors. Knows no networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_MOST_PINNED = 1 << 26
"""The most values that are moved through pinned memory: 256 MB in float32. Pinned memory is taken from the whole
machine, and larger pictures take so long to dream that a wait does not show."""


def moved(x: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device. To a GPU it goes through pinned memory, and what follows is queued behind it."""
    if device.type != "cuda" or x.device.type != "cpu" or x.numel() > _MOST_PINNED:
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)


def on_cpu(x: Tensor) -> Tensor:
    """Return a tensor in the CPU's memory, complete."""
    if x.device.type != "cuda" or x.numel() > _MOST_PINNED:
        return x.cpu()
    result = torch.empty(x.shape, dtype=x.dtype, pin_memory=True).copy_(x, non_blocking=True)
    torch.cuda.current_stream(x.device).synchronize()
    return result


@contextmanager
def cudnn_choosing(*, fastest: bool) -> Iterator[None]:
    """Inside, cuDNN tries its algorithms for every new shape and takes the fastest, or goes by its rules of thumb.

    Either way only algorithms that repeat themselves bit by bit are taken.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    cudnn.benchmark, cudnn.deterministic = fastest, True
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic = before

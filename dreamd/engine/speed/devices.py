"""Devices: moves tensors to a GPU and back without waiting.

Knows tensors. Knows no networks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dreamd.engine.tiles.footprint import is_out_of_memory

_MOST_PINNED = 1 << 26
"""The most values that are moved through pinned memory: 256 MB in float32. Pinned memory is taken from the whole
machine, and larger pictures take so long to dream that a wait does not show."""


_BROKEN = ("CUBLAS_STATUS_EXECUTION_FAILED", "CUBLAS_STATUS_INTERNAL_ERROR", "CUDNN_STATUS_EXECUTION_FAILED")
"""Words of CUDA's libraries when something before them went wrong on the GPU."""

_PASSING = (
    "stream is capturing",
    "stream capture",
    "no kernel image",
    "invalid argument",
    "invalid configuration",
    "CUBLAS_STATUS_INVALID_VALUE",
    "CUBLAS_STATUS_NOT_SUPPORTED",
)
"""Words of CUDA's errors that concern one call, after which the next may succeed."""


def leaves_broken(error: BaseException) -> bool:
    """Return whether a GPU can compute nothing more for this process after an error.

    An assertion that fails on the GPU, an illegal address or a fault of its memory leaves CUDA's context broken: every
    later call fails, whatever it is for. Only another process has another context.
    """
    if not isinstance(error, RuntimeError) or is_out_of_memory(error):
        return False
    words = str(error)
    if any(passing in words for passing in _PASSING):
        return False
    is_cudas = isinstance(error, torch.AcceleratorError) or words.startswith("CUDA error")
    return is_cudas or any(broken in words for broken in _BROKEN)


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

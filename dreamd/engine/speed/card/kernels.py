"""Kernels: CUDA's own language, compiled when a GPU first needs it.

NVRTC, which comes with torch, compiles a source in a fraction of a second: no compiler and no folder of compiled things
is needed on the machine.

Knows memory. Knows no modules.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)

CHANNELS = 8
"""The channels that a thread takes, 16 bytes of bf16: a number of channels must be a multiple of it."""

_THREADS = 256
"""The threads of a block."""


def launch(source: str, name: str, threads: int, *arguments: Tensor | int) -> None:
    """Run a kernel on the GPU of its tensors, on the current stream.

    Args:
        source: CUDA source, with the kernel as `extern "C" __global__`.
        name: the kernel's.
        threads: how many threads have work, counted from 0; there may be more.
        arguments: the kernel's: pointers and 32-bit integers. The first one is a tensor.

    Raises:
        RuntimeError: the source cannot be compiled here.
    """
    first = arguments[0]
    assert isinstance(first, Tensor)
    kernel = _compiled(source, name, first.device)
    with torch.cuda.device(first.device):
        kernel(grid=(-(-threads // _THREADS), 1, 1), block=(_THREADS, 1, 1), args=list(arguments))


@lru_cache
def _compiled(source: str, name: str, device: torch.device) -> Callable[..., None]:
    """Return a kernel of a source for a device. Raises RuntimeError."""
    compile_kernel: Any = torch.cuda._compile_kernel
    with torch.cuda.device(device):
        compiled: Callable[..., None] = compile_kernel(source, name)
    return compiled


def suits(x: Tensor) -> bool:
    """Return whether activations are as kernels take them: `[N, C, H, W]` in bf16 with the channels innermost."""
    return (
        x.dtype is torch.bfloat16
        and x.dim() == 4
        and x.shape[1] % CHANNELS == 0
        and x.is_contiguous(memory_format=torch.channels_last)
    )


@lru_cache
def are_to_be_had(device: torch.device, trial: Callable[[torch.device], bool]) -> bool:
    """Return whether kernels can be compiled on a device and compute what they should, by what tries them out there."""
    try:
        if trial(device):
            return True
        why = "they compute something else"
    except (RuntimeError, OSError, AttributeError) as error:  # no NVRTC, or a torch without the function
        why = str(error).partition("\n")[0]
    log.info("%s does without kernels of %s: %s", device, trial.__module__.rpartition(".")[2], why)
    return False


def empty(count: int, channels: int, height: int, width: int, like: Tensor) -> Tensor:
    """Return activations that are not filled in yet, with the channels innermost."""
    shape = (count, channels, height, width)
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)

"""Precision: which number format the network computes in, and which one this device is fast at.

Pictures, gradients' sums and losses stay float32 everywhere; only the network's own products change.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from dreamd.engine.speed.winograd import use_winograd


class Precision(StrEnum):
    """What a network computes in. `FP32` is the exact reference."""

    FP32 = "fp32"
    TF32 = "tf32"
    BF16 = "bf16"


_PROBE_SHAPE = (1, 64, 56, 56)
"""The shape of the activation whose convolution is timed."""
_PROBE_SECONDS = 0.05
"""The seconds that a precision is timed for."""
_MUST_GAIN = 1.2
"""The factor by which bf16 must be faster than fp32: it costs accuracy, so it has to bring something."""


@cache
def fastest(device: torch.device) -> Precision:
    """Return the fastest precision that a device really has, found by timing a convolution once.

    A processor without bf16 instructions emulates them a hundred times slower, and says that it supports them.
    """
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return Precision.BF16 if major >= 9 or _gain(device) > _MUST_GAIN else Precision.TF32
    return Precision.BF16 if _gain(device) > _MUST_GAIN else Precision.FP32


def winograd_gains(precision: Precision, device: torch.device) -> bool:
    """Return whether convolutions in that precision are faster there in Winograd's way.

    The processor's instructions and the library behind matrix products decide, and not the clock, so that a dream has
    the same last bits each time. It was timed with AVX2, and reckoned for AVX-512. On GPUs cuDNN has ways of its own.
    """
    if precision is not Precision.FP32 or device.type != "cpu":
        return False
    if not torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        return False
    return torch.backends.cpu.get_cpu_capability().startswith(("AVX2", "AVX512"))


def _gain(device: torch.device) -> float:
    """Time how many times faster a convolution runs in bf16 than in fp32."""
    return _seconds(torch.float32, device) / _seconds(torch.bfloat16, device)


def _seconds(dtype: torch.dtype, device: torch.device) -> float:
    convolution = nn.Conv2d(64, 64, 3, padding=1, device=device, dtype=dtype)
    x = torch.ones(_PROBE_SHAPE, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    best = float("inf")
    convolution = convolution.to(memory_format=torch.channels_last)
    with torch.no_grad():
        convolution(x)
        end = time.perf_counter() + _PROBE_SECONDS
        while time.perf_counter() < end:
            start = time.perf_counter()
            convolution(x)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            best = min(best, time.perf_counter() - start)
    return best if best < float("inf") else _PROBE_SECONDS


def arrange_network(network: nn.Module, precision: Precision, device: torch.device, *, exact: bool = True) -> nn.Module:
    """Bring a network to its device and its precision, arranged as is fastest there.

    Except in the reference, the channels lie innermost. On a GPU and in bf16 that is faster by far; in fp32 on a
    processor by 4 to 30% for eleven of twelve networks, and for VGG19 with AVX2 when it has Winograd's convolutions.

    Args:
        network: the network, changed in place.
        precision: what it shall compute in.
        device: where it shall compute.
        exact: leave a network in fp32 as it is, which is the reference.
    """
    if precision is Precision.FP32 and exact:
        return network.to(device)
    network = network.to(device, _dtype(precision))
    if winograd_gains(precision, device):
        use_winograd(network)
    return network.to(memory_format=torch.channels_last)


def cast(x: Tensor, precision: Precision) -> Tensor:
    """Return normalised pictures as a network of that precision takes them, when it is not the reference."""
    return x.to(_dtype(precision), memory_format=torch.channels_last)


def _dtype(precision: Precision) -> torch.dtype:
    return torch.bfloat16 if precision is Precision.BF16 else torch.float32


@contextmanager
def products_in(precision: Precision) -> Iterator[None]:
    """Inside, CUDA's float32 products are TF32 or exact, as the precision says."""
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    for backend in backends:
        backend.fp32_precision = "tf32" if precision is Precision.TF32 else "ieee"
    try:
        yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.fp32_precision = value

"""Precision: which number format the network computes in, and which one this device is fast at.

Pictures, gradients' sums and losses stay float32 everywhere; only the network's own products change.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn

from dreamd.engine.speed.card.joined import arrange_on_card
from dreamd.engine.speed.fixed import join_clamps
from dreamd.engine.speed.flow import Flow
from dreamd.engine.speed.frozen import freeze_convolutions
from dreamd.engine.speed.winograd import use_winograd

_NO_FLOW = Flow()


class Precision(StrEnum):
    """What a network computes in. `FP32` is the exact reference."""

    FP32 = "fp32"
    TF32 = "tf32"
    BF16 = "bf16"


_BF16_CAPABILITY = 8
"""The first compute capability of NVIDIA's cards that multiply bf16, twice as fast as TF32."""

_ISA_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""The environment variables that keep oneDNN, which computes torch's convolutions, from some of the instructions."""


def fastest(device: torch.device) -> Precision:
    """Return the fastest precision that a device really has.

    Its instructions decide, and not the clock, so that a busy machine dreams in the same precision as one at rest. A
    processor without bf16 instructions emulates them a hundred times slower, and torch says that it supports them; one
    that is no x86 dreams in fp32, since nothing has been measured there.
    """
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return Precision.BF16 if major >= _BF16_CAPABILITY else Precision.TF32
    return Precision.BF16 if _multiplies_bf16() else Precision.FP32


def _multiplies_bf16() -> bool:
    """Return whether this processor has instructions for products of bf16, and oneDNN may use them."""
    limited = any(os.environ.get(name, "ALL").upper() not in ("ALL", "DEFAULT") for name in _ISA_LIMITS)
    return not limited and torch.cpu._is_avx512_bf16_supported()


def winograd_gains(precision: Precision, device: torch.device) -> bool:
    """Return whether convolutions in that precision are faster there in Winograd's way.

    The processor's instructions and the libraries behind products decide (MKL for the transforms, oneDNN for the rest),
    and not the clock, so that a dream has the same last bits each time. It was timed with AVX2, and reckoned for
    AVX-512. On GPUs cuDNN has ways of its own.
    """
    if precision is not Precision.FP32 or not torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        return False
    return freezing_gains(device)


def freezing_gains(device: torch.device) -> bool:
    """Return whether convolutions are faster there in the way of frozen ones: where torch has oneDNN for them."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return torch.backends.cpu.get_cpu_capability().startswith(("AVX2", "AVX512"))


def arrange_network(
    network: nn.Module, precision: Precision, device: torch.device, *, exact: bool = True, flow: Flow = _NO_FLOW
) -> nn.Module:
    """Bring a network to its device and its precision, arranged as is fastest there.

    Except in the reference, the channels lie innermost. On a GPU and in bf16 that is faster by far; in fp32 on a
    processor by 4 to 30% for eleven of twelve networks, and for VGG19 with AVX2 when it has Winograd's convolutions.

    Args:
        network: the network, changed in place.
        precision: what it shall compute in.
        device: where it shall compute.
        exact: leave a network in fp32 as it is, which is the reference.
        flow: how tensors go through it, found before it was changed; without it only convolutions are arranged.
    """
    if precision is Precision.FP32 and exact:
        return network.to(device)
    network = network.to(device, _dtype(precision))
    network = network.to(memory_format=torch.channels_last)
    if winograd_gains(precision, device):
        use_winograd(network)
    if freezing_gains(device):
        freeze_convolutions(network)
        join_clamps(network, flow)
    elif device.type == "cuda":
        arrange_on_card(network, flow)
    return network


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

"""The device that a worker dreams on: which one it is, what it is called, and how much of its memory is free.

Knows no pictures and no recipes.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from dreamd.errors import DreamdError, UsageError
from dreamd.hardware.memory import free_memory as free_main_memory
from dreamd.hardware.processors import count_processors

_GPU_SHARE = 0.9
"""The share of a GPU's memory that is free now which a dream may take. The rest is left to others."""


class BrokenDeviceError(DreamdError):
    """The GPU can compute nothing more for this process; another process may have better luck."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device that can be used.

    Attributes:
        torch: torch's device.
        label: what people call it: where a process sees one GPU of several alone, torch calls each of them `cuda:0`.
        warning: why the processor is used although there should be a GPU; empty when all is as expected.
    """

    torch: torch.device
    label: str
    warning: str = ""


def choose_device(wanted: str, *, is_alone: bool = False, is_spare: bool = False) -> Device:
    """Look for the device of `cpu`, `cuda`, `cuda:1`, or `auto:1`: the second GPU if it can be used.

    Without that GPU `auto` is the processor.

    Args:
        wanted: the device.
        is_alone: whether a GPU is the only one that this process sees, whatever its number.
        is_spare: whether another process goes over to the processor, so that this one need not.

    Raises:
        UsageError: there is no such device, or it cannot be used.
    """
    kind, _, number = wanted.partition(":")
    index = 0 if is_alone else int(number or 0) if number.isdecimal() or not number else None
    if kind == "auto" and index is not None:
        return _choose_gpu_or_processor(index, number or "0", is_spare=is_spare)
    try:
        device = torch.device(wanted if index is None or kind != "cuda" else f"cuda:{index}")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        there_are = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        why = f": {missing_gpu()}" if kind == "cuda" and len(there_are) == 1 and missing_gpu() else ""
        raise UsageError(f"device {wanted!r} cannot be used here; there is {' and '.join(there_are)}{why}") from error
    return Device(torch=device, label=wanted if kind == "cuda" and number else str(device))


def _choose_gpu_or_processor(index: int, number: str, *, is_spare: bool) -> Device:
    if torch.cuda.is_available() and index < torch.cuda.device_count():
        return Device(torch=torch.device("cuda", index), label=f"cuda:{number}")
    why = missing_gpu()
    if is_spare:
        raise UsageError(f"GPU {number} cannot be used, and the processor is another worker's" + (why and f": {why}"))
    warning = why and f"dreaming on the processor instead of a GPU: {why}"
    return Device(torch=torch.device("cpu"), label="cpu", warning=warning)


def missing_gpu(environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> str:
    """Say why there should be a GPU that torch can use, and what to do; empty when none is expected, or there is one.

    Args:
        environment: where CUDA_VISIBLE_DEVICES may be.
        root: the folder in which /proc is.
    """
    if torch.cuda.is_available():
        return ""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and not re.match(r"\+?\d|GPU-|MIG-", visible.strip()):
        return ""  # all GPUs are hidden, which somebody wanted
    if (root / "proc/driver/nvidia/version").exists() or (root / "proc/driver/nvidia/gpus").exists():
        expected = "there is an NVIDIA driver"
    elif visible is not None:
        expected = f"CUDA_VISIBLE_DEVICES is {visible}"
    else:
        return ""
    return (
        f"{expected}, but torch cannot use a GPU; see `nvidia-smi`, whether this user may open /dev/nvidia*, and "
        f"whether the driver is new enough for torch {torch.__version__}"
    )


def device_name(device: torch.device) -> str:
    """Return a device's name as people know it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()


def free_memory(device: torch.device) -> int:
    """Return most of the bytes that are free on a device now."""
    if device.type == "cuda":
        return int(_GPU_SHARE * torch.cuda.mem_get_info(device)[0])
    return free_main_memory()


def count_threads(sharers: int = 1) -> int:
    """Count the threads to compute with on the processor: no more than there are processors for them.

    Args:
        sharers: how many processes share the processors.
    """
    return max(1, min(torch.get_num_threads(), count_processors()) // sharers)


def use_threads(count: int) -> None:
    """Have torch compute with so many threads on the processor."""
    if count != torch.get_num_threads():
        torch.set_num_threads(count)


def used_threads() -> int:
    """Return how many threads torch computes with on the processor."""
    return torch.get_num_threads()

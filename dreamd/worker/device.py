"""The device that a worker dreams on: which one it is, what it is called, and how much of its memory is free.

Knows no pictures and no recipes.
"""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from dreamd.errors import UsageError

_GPU_SHARE = 0.9
_PROCESSOR_SHARE = 0.8
"""The shares of the memory that is free now which a dream may take. The rest is left to others."""


def choose_device(wanted: str) -> torch.device:
    """Return the device of `cpu`, `cuda`, `cuda:1`, or `auto:1`: the second GPU if there is one, else the processor.

    Raises:
        UsageError: there is no such device.
    """
    if wanted.startswith("auto"):
        index = int(wanted.partition(":")[2] or 0)
        has_it = torch.cuda.is_available() and index < torch.cuda.device_count()
        return torch.device("cuda", index) if has_it else torch.device("cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        there_are = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise UsageError(f"device {wanted!r} cannot be used here; there is {' and '.join(there_are)}") from error
    return device


def device_name(device: torch.device) -> str:
    """Return a device's name as people know it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()


def free_memory(device: torch.device) -> int:
    """Return most of the bytes that are free on a device now."""
    if device.type == "cuda":
        return int(_GPU_SHARE * torch.cuda.mem_get_info(device)[0])
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(_PROCESSOR_SHARE * 1024 * int(lines["MemAvailable"].split()[0]))

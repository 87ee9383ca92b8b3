"""How much memory workers and GPUs use, without torch: from /proc, and from NVIDIA's management library."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
"""The bytes of a page, in which the kernel counts memory."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU of this machine.

    Attributes:
        index: its place in the driver's order.
        name: its name.
        memory_used: how much of its memory is in use, in bytes.
        memory_total: how much memory it has, in bytes.
        busy: the share of time that it computes, 0 to 1.
    """

    index: int
    name: str
    memory_used: int
    memory_total: int
    busy: float


class Gpus:
    """Asks NVIDIA's driver. Where there is none, there are no GPUs."""

    def __init__(self) -> None:
        self._nvml = _nvml()

    def look(self) -> list[Gpu]:
        """Look at every GPU; none where the driver has stopped answering."""
        if self._nvml is None:
            return []
        try:
            return [_gpu(self._nvml, index) for index in range(self._nvml.nvmlDeviceGetCount())]
        except self._nvml.NVMLError as error:
            log.warning("the GPU's driver does not answer: %s", error)
            return []


def resident_bytes(pid: int | None) -> int | None:
    """Read how much memory a process holds; None when it is gone."""
    if pid is None:
        return None
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return None


def _nvml() -> Any:
    """Load NVIDIA's library, which has no types; None without a driver."""
    import pynvml  # on demand: only looks for the driver where a page is served

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    name = nvml.nvmlDeviceGetName(handle)
    return Gpu(
        index=index,
        name=name.decode() if isinstance(name, bytes) else name,
        memory_used=memory.used,
        memory_total=memory.total,
        busy=nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
    )

"""Workers as the daemon starts them, for benchmarks, and the most memory that a process had."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dreamd.messages import Settings
from dreamd.settings.sections import Limits


def worker_command() -> list[str]:
    """Return what starts a worker, which ends with this process."""
    return [sys.executable, "-m", "dreamd.worker.main", str(os.getpid())]


def worker_settings() -> Settings:
    """Return the settings of a worker on the processor, with dreamd's own plugins and limits."""
    limits = Limits()
    return Settings(
        device="cpu",
        plugin_folders=(),
        disable=(),
        max_pixels=limits.max_pixels,
        max_bytes=limits.max_bytes,
        memory=None,
    )


def peak_bytes(process: int) -> int:
    """Return the most bytes of memory that a process had so far (`VmHWM`, proc(5))."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

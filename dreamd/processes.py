"""What ties a child process to the daemon that started it. Imports nothing heavy, for every child needs it first."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

SERVING = "serving"
"""The line by which the page's process tells the daemon that it serves; in its place it may tell why it does not."""


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the daemon dies, however it dies (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(1)


def confine(*, memory_bytes: int, output_bytes: int) -> None:
    """Give this process the least priority, and limits to what it may hold and to the largest file it may write."""
    os.nice(10)
    Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (output_bytes, output_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

"""Processes of this machine, for tests of what begins and ends others."""

from __future__ import annotations

import contextlib
from pathlib import Path


def processes_of(module: str, owner: int) -> list[int]:
    """The processes of a module, started with `python -m`, that name the process that owns them among their words."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (place / "cmdline").read_bytes().split(b"\0")
            if module.encode() in words and str(owner).encode() in words:
                found.append(int(place.name))
    return found

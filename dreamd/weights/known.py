"""Known digests: what a file's SHA-256 was found to be, for as long as nothing about the file changes.

To hash half a gigabyte takes as long as a small dream, and a worker would do it whenever it starts. What is known is
kept in `digests.json` in the cache, where there is one. That file is no more than a memory: without it, or when it is
broken, files are hashed.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from dreamd.errors import WeightsError
from dreamd.files.durable import draft_of
from dreamd.weights.cache import cache_folder
from dreamd.weights.digests import on_disk, sha256_of

if TYPE_CHECKING:
    from pathlib import Path

_SETTLED_NS = 2_000_000_000
"""The age in nanoseconds at which a change is known by its time: the coarsest filesystems count in two seconds."""

_MOST_KNOWN = 256
"""The most files whose digests are remembered; those that were hashed last."""


def known_sha256(path: Path) -> str:
    """Return a file's SHA-256, 64 hex digits; it is hashed unless it is as it was when it was hashed before.

    Raises:
        WeightsError: the file cannot be read.
    """
    mark = _mark_of(path)
    known = _memory().get(str(path.absolute()))
    if known is not None and known[:-1] == mark:
        return str(known[-1])
    hashed_at = time.time_ns()
    digest = sha256_of(path)
    if _mark_of(path) == mark and max(mark[-2:]) < hashed_at - _SETTLED_NS:
        _remember(path, [*mark, digest])
    return digest


def _mark_of(path: Path) -> list[int]:
    """Return what changes when a file's bytes change. The time of its last change (ctime) cannot be set back."""
    with on_disk("read", path):
        status = path.stat()
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


@cache
def _memory() -> dict[str, list[Any]]:
    """Read what is known of each path: the file's mark, and last its digest."""
    try:
        kept = json.loads((cache_folder() / "digests.json").read_bytes())
    except (OSError, ValueError, WeightsError):
        return {}
    is_ours = isinstance(kept, dict) and all(isinstance(known, list) and len(known) == 6 for known in kept.values())
    return kept if is_ours else {}


def _remember(path: Path, known: list[Any]) -> None:
    memory = _memory()
    memory.pop(str(path.absolute()), None)
    memory[str(path.absolute())] = known
    for oldest in list(memory)[:-_MOST_KNOWN]:
        del memory[oldest]
    with contextlib.suppress(OSError, WeightsError):  # a cache that only others may write, or none yet
        if (folder := cache_folder()).is_dir() and os.access(folder, os.W_OK):
            with draft_of(folder / "digests.json", durable=True) as draft:
                draft.write_text(json.dumps(memory, indent=0), encoding="utf-8")

"""Makes room in the folder of sheets. Knows files and their ages, and nothing of what is in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

CELLS = "cells"
"""The folder of dreams in the folder of sheets."""


def remove_oldest(folder: Path, *, before: float | None, most_bytes: int | None, dry_run: bool = False) -> int:
    """Remove files of sheets, those that were used longest ago first; returns how many bytes they took.

    Args:
        folder: the folder of sheets, which need not exist.
        before: what was last used before then goes, in seconds since the epoch; None: nothing for its age.
        most_bytes: how many bytes may stay; None: any.
        dry_run: only tell.
    """
    removed = total = 0
    for file, status in sorted(_files(folder), key=lambda found: found[1].st_mtime, reverse=True):
        total += status.st_size
        is_too_old = before is not None and status.st_mtime < before
        if is_too_old or (most_bytes is not None and total > most_bytes):
            removed += status.st_size
            if not dry_run:
                file.unlink(missing_ok=True)
    return removed


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for place in (folder, folder / CELLS):
        if not place.is_dir():
            continue
        for entry in os.scandir(place):
            if entry.is_file(follow_symlinks=False):
                yield Path(entry.path), entry.stat(follow_symlinks=False)

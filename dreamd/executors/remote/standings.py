"""Checkpoints on their way: what has changed in a folder since the last time, and a folder brought up to that.

A worker writes into the folder meanwhile. A standing counts only if nothing has changed while it was taken, so that its
files belong together.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

from dreamd.executors.remote.cluster import Standing
from dreamd.files.names import relative_parts

_TRIES = 3
"""How often a folder is read that changes meanwhile, before it is left for later."""

Stamps = Mapping[str, tuple[int, int]]
"""Of each file below a folder its time of change in nanoseconds and its length in bytes; of a folder, whose name ends
in `/`, zeros."""


class StandingTaker:
    """Takes the standings of one job's checkpoint."""

    def __init__(self, job: str, folder: Path) -> None:
        """Take nothing yet; what lies in `folder` now is known to whoever gets the standings."""
        self._job = job
        self._folder = folder
        self._sent = stamps_of(folder)

    def take(self) -> Standing | None:
        """Return what has changed since the last time; None: nothing has, or the folder does not keep still."""
        for _ in range(_TRIES):
            before = stamps_of(self._folder)
            if before == self._sent:
                return None
            try:
                changed = _read(self._folder, (name for name in before if self._sent.get(name) != before[name]))
            except FileNotFoundError:
                continue
            if stamps_of(self._folder) == before:
                self._sent = before
                return Standing(job=self._job, names=tuple(before), changed=changed)
        return None


def stamps_of(folder: Path) -> Stamps:
    """Return the stamps of all that is below a folder, by paths in it. Drafts, whose names begin with a dot, are left
    out."""
    stamps = {}
    for place, folders, files in os.walk(folder):
        inside = Path(place).relative_to(folder)
        stamps.update({f"{inside / name}/": (0, 0) for name in folders})
        for name in files:
            try:
                status = Path(place, name).stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if not name.startswith("."):
                stamps[str(inside / name)] = (status.st_mtime_ns, status.st_size)
    return stamps


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files below a folder, by their paths in it; none where there is no folder."""
    return _read(folder, stamps_of(folder))


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write what `files_of` gave. Raises OSError, and DreamdError for a path that leads elsewhere."""
    _fill(folder, files, lambda name, target: target.write_bytes(files[name]))


def apply_standing(standing: Standing, folder: Path) -> None:
    """Bring a folder up to a standing. Raises OSError, and DreamdError for a path that leads elsewhere.

    A kill leaves the folder as it was, or as it shall be, or, in between two renames, none: then the dream begins anew.
    """
    draft, old = folder.with_name(f"{folder.name}.arriving"), folder.with_name(f"{folder.name}.leaving")
    for left in (draft, old):
        shutil.rmtree(left, ignore_errors=True)

    def place(name: str, target: Path) -> None:
        if name in standing.changed:
            target.write_bytes(standing.changed[name])
        else:
            os.link(folder / name, target)

    draft.mkdir(parents=True)
    _fill(draft, standing.names, place)
    if folder.is_dir():
        folder.rename(old)
    draft.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _read(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    return {name: b"" if name.endswith("/") else (folder / name).read_bytes() for name in names}


def _fill(folder: Path, names: Iterable[str], place: Callable[[str, Path], object]) -> None:
    for name in names:
        target = folder.joinpath(*relative_parts(PurePosixPath(name)))
        (target if name.endswith("/") else target.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            place(name, target)

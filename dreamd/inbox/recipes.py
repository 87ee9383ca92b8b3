"""Which folders' recipes have changed. Reads none of them.

Whatever has the name of a recipe counts as one, be it a link, a folder or a pipe: it holds its folder's pictures
until it is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

RECIPE_FILES = ("recipe.yaml", "recipe.yml")
"""The names that make whatever has them the recipe of its folder, the usual one first."""


@dataclass(frozen=True, slots=True)
class RecipeChanged:
    """A folder's recipe came, changed or went. `folder` is relative to the inbox, "." for its root."""

    folder: PurePosixPath


def is_recipe(path: str) -> bool:
    """Return whether a path is that of a folder's recipe, by its name."""
    return path.rpartition("/")[2] in RECIPE_FILES


def is_nearly_recipe(name: str) -> bool:
    """Return whether a name is that of a recipe but for small and capital letters."""
    return name not in RECIPE_FILES and name.lower() in RECIPE_FILES


class RecipeChanges:
    """Remembers the stamp of every recipe, and so finds those that have changed."""

    def __init__(self) -> None:
        self._stamps: dict[str, int] = {}
        self._changed_folders: set[str] = set()

    def see(self, path: str, stamp: int | None) -> None:
        """Take in a recipe's stamp as it is now; None: it is not there."""
        if stamp == self._stamps.get(path):
            return
        if stamp is None:
            del self._stamps[path]
        else:
            self._stamps[path] = stamp
        self._changed_folders.add(path.rpartition("/")[0] or ".")

    def forget_below(self, folder: str) -> None:
        """Take in that a folder is gone, with all that was in it."""
        for path in [path for path in self._stamps if path.startswith(f"{folder}/")]:
            self.see(path, None)

    def keep_only(self, paths: Collection[str]) -> None:
        """Take in that no other recipes are there than those of some paths."""
        for path in self._stamps.keys() - set(paths):
            self.see(path, None)

    def take(self) -> list[RecipeChanged]:
        """Return the changes since the last call, in the order of their folders."""
        changes = [RecipeChanged(PurePosixPath(folder)) for folder in sorted(self._changed_folders)]
        self._changed_folders.clear()
        return changes

"""Which folders' recipes have changed. Reads none of them.

Whatever has the name of a recipe counts as one, be it a link, a folder or a pipe: it holds its folder's pictures
until it is gone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

RECIPE_FILES = ("recipe.yaml", "recipe.yml")
"""The names that make whatever has them the recipe of its folder, the usual one first."""


_YAML = re.compile(r"(?:copy of )?([^.]{4,12}?)(?:[ _-]*(?:\(\d+\)|copy|\d))?\.ya?ml(?:\.txt)?")
"""The name of a file of YAML in small letters, with what browsers, editors and file managers add to it."""

_NEAR = 0.8
"""How alike, from 0 to 1, a word must be to "recipe" to be meant as it: a letter more or less, or two swapped."""


@dataclass(frozen=True, slots=True)
class RecipeChanged:
    """A folder's recipe came, changed or went. `folder` is relative to the inbox, "." for its root."""

    folder: PurePosixPath


def is_recipe(path: str) -> bool:
    """Return whether a path is that of a folder's recipe, by its name."""
    return path.rpartition("/")[2] in RECIPE_FILES


def is_nearly_recipe(name: str) -> bool:
    """Return whether a name was meant to be that of a recipe: `Recipe.yaml`, `recipe (1).yaml`, `receipe.yaml.txt`."""
    from difflib import SequenceMatcher  # on demand: most inboxes have no such name

    if name in RECIPE_FILES or (match := _YAML.fullmatch(name.lower())) is None:
        return False
    return SequenceMatcher(None, match[1], "recipe").ratio() >= _NEAR


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

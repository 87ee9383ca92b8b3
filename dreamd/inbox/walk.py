"""The walk over an inbox: every file and recipe in it that is not to be left alone."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, TypeAlias

from dreamd.files.problems import refusal
from dreamd.inbox.recipes import is_nearly_recipe, is_recipe
from dreamd.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dreamd.inbox.ignored import Ignored

log = logging.getLogger(__name__)

Found: TypeAlias = "tuple[str, os.stat_result]"
"""The path of something relative to the inbox, and its status."""


class Walker:
    """Walks over an inbox. Follows no link, and says once what it cannot read or does not take.

    Attributes:
        skipped: what the last walk over the whole inbox met and left there, though somebody may have meant it to be
            taken, such as a link: its path, and why it was left.
    """

    def __init__(self, ignored: Ignored) -> None:
        self._ignored = ignored
        self._unreadable: set[str] = set()
        self._met: dict[str, str] = {}
        self.skipped: dict[str, str] = {}

    def begin(self) -> None:
        """Begin a walk over the whole inbox, which `folder` is called for folder by folder."""
        self._met = {}

    def end(self) -> None:
        """End it, and say what it has met and left."""
        self._say_what_is_skipped()

    def below(self, inbox: str, top: str) -> Iterator[Found]:
        """Yield the files in one folder of the inbox and below it, and whatever has the name of a recipe."""
        folders = [top]
        while folders:
            yield from self.folder(inbox, folders.pop(), folders)

    def folder(self, inbox: str, folder: str, folders: list[str]) -> Iterator[Found]:
        """Yield the same of one folder alone, whose path is relative to the inbox, and add those in it to a list."""
        try:
            with os.scandir(f"{inbox}/{folder}") as entries:
                yield from self._found_among(entries, folder, folders)
        except (FileNotFoundError, NotADirectoryError):
            return  # gone meanwhile
        except OSError as error:
            self._complain(folder, error)
        else:
            self._unreadable.discard(folder)

    def _found_among(self, entries: Iterator[os.DirEntry[str]], folder: str, folders: list[str]) -> Iterator[Found]:
        """Yield what is wanted among a folder's entries, and add its folders to those still to be walked."""
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name  # no Path: a walk does this 100,000 times
            if is_recipe(path) or self._is_wanted_file(entry):
                try:
                    yield path, entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # gone meanwhile
            elif entry.is_dir(follow_symlinks=False):
                if not self._ignored.folder(entry.name):
                    folders.append(path)
            elif why := self._why_skipped(entry):
                self._met[path] = why

    def _is_wanted_file(self, entry: os.DirEntry[str]) -> bool:
        return entry.is_file(follow_symlinks=False) and not self._ignored.file(entry.name)

    def _why_skipped(self, entry: os.DirEntry[str]) -> str:
        """Return what to say of something that is not taken; "" where there is nothing to say."""
        if is_nearly_recipe(entry.name):
            return "not read; did you mean recipe.yaml?"
        if self._ignored.file(entry.name):
            return ""
        return "a link, and links are not followed" if entry.is_symlink() else "neither a file nor a folder"

    def _say_what_is_skipped(self) -> None:
        new = [path for path in self._met if path not in self.skipped and path not in self._unreadable]
        if self._met != self.skipped:  # else it stays the same object, which is quickly compared
            self.skipped = self._met
        if new:
            others = f" (and {len(new) - 1} more are left like it)" if len(new) > 1 else ""
            log.warning("left in the inbox: %s is %s%s", printable(new[0]), self.skipped[new[0]], others)

    def _complain(self, folder: str, error: OSError) -> None:
        if folder not in self._unreadable:
            self._unreadable.add(folder)
            name = printable(folder or ".")
            log.warning("cannot read the folder %s in the inbox: %s; its files wait", name, refusal(error))
        if folder:
            remedy = "; `chmod g+rx` it" if isinstance(error, PermissionError) else ""
            self._met[folder] = f"the folder {printable(folder)} cannot be read ({refusal(error)}){remedy}"

"""The walk over an inbox: every regular file that is not to be left alone."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, TypeAlias

from dreamd.files.problems import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dreamd.inbox.ignored import Ignored

log = logging.getLogger(__name__)

FoundFile: TypeAlias = "tuple[str, os.stat_result]"
"""A file's path relative to the inbox, and its status."""


class Walker:
    """Walks over an inbox. Follows no link, and says once which folders it cannot read."""

    def __init__(self, ignored: Ignored) -> None:
        self._ignored = ignored
        self._unreadable: set[str] = set()

    def files(self, inbox: str, top: str = "") -> Iterator[FoundFile]:
        """Yield the files in a folder of the inbox and below it; `top` is relative to the inbox."""
        folders = [top]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(f"{inbox}/{folder}") as entries:
                    yield from self._files_among(entries, folder, folders)
            except (FileNotFoundError, NotADirectoryError):
                continue  # gone meanwhile
            except OSError as error:
                self._complain(folder, error)
            else:
                self._unreadable.discard(folder)

    def _files_among(self, entries: Iterator[os.DirEntry[str]], folder: str, folders: list[str]) -> Iterator[FoundFile]:
        """Yield the files among a folder's entries, and add its folders to those still to be walked."""
        for entry in entries:
            if self._ignored.name(entry.name):
                continue
            path = f"{folder}/{entry.name}" if folder else entry.name  # no Path: a walk does this 100,000 times
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            elif entry.is_file(follow_symlinks=False):
                try:
                    yield path, entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # gone meanwhile

    def _complain(self, folder: str, error: OSError) -> None:
        if folder not in self._unreadable:
            self._unreadable.add(folder)
            log.warning("cannot read the folder %r in the inbox: %s; its files wait", folder or ".", refusal(error))

"""The end of the folders that were made for a picture's own recipe, when nobody needs them any more.

One whose recipe a person has changed has become that person's own, and stays. Reads and moves files: call it from a
thread.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dreamd.errors import DreamdError
from dreamd.files.nofollow import folders_below
from dreamd.inbox.recipes import RECIPE_FILES
from dreamd.page.posting.recipe_folders import home_of
from dreamd.settings.config import Config
from dreamd.tree.journal import Journal
from dreamd.tree.layout import HOUSE, UPLOADS, StateFolder

log = logging.getLogger(__name__)

_IDLE_SECONDS = 3600.0
"""The time in seconds for which nothing has come into a folder before it is removed."""

_EVERY_SECONDS = 3600.0
"""The time between two looks for folders that nobody needs, in seconds."""

_MOST_FOLDERS = 100_000
"""The most folders of an inbox that are looked at."""


class RecipeFolders:
    """The folders of one inbox that were made for recipes."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._changing = threading.Lock()
        self._in_use: Counter[str] = Counter()
        self._due = time.monotonic()

    def begin_use(self, folder: str) -> None:
        """Keep a folder until `end_use`: a picture is about to be put into it."""
        with self._changing:
            self._in_use[folder] += 1

    def end_use(self, folder: str) -> None:
        """Let a folder go again that was kept."""
        self._in_use[folder] -= 1

    def tidy_if_due(self) -> None:
        """Look for folders that nobody needs, if it is time for it."""
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _EVERY_SECONDS
            try:
                self.tidy()
            except DreamdError as error:
                log.warning("the folders of recipes are not tidied up now: %s", error)

    def tidy(self) -> list[str]:
        """Remove the folders that nobody needs; return their paths in the inbox.

        Somebody needs it as long as a picture lies in it or has failed in it, since that may be tried again, or a job
        of it has not ended.
        """
        journal = Journal.open_readonly(StateFolder(self._config.state).journal)
        if journal is None:
            return []
        with journal:
            return [
                folder for folder in self._idle() if not journal.unfinished_below(folder) and self._take_away(folder)
            ]

    def _idle(self) -> Iterator[str]:
        """Yield the folders of recipes in which there is nothing but the recipe, and has not been for a while."""
        for folder in folders_below(self._config.inbox, _MOST_FOLDERS):
            try:
                place = self._config.inbox / folder
                is_idle = place.stat().st_mtime < time.time() - _IDLE_SECONDS
                if not is_idle or home_of(self._config.inbox, folder) == folder:
                    continue
                if _names_in(place) == [RECIPE_FILES[0]] and not _has_files(self._config.failed / folder):
                    yield folder
            except OSError as error:
                log.debug("the folder %s is left alone: %s", folder, error)

    def _take_away(self, folder: str) -> bool:
        """Remove a folder by a rename: a picture that comes at the same time is found in it, and put back with it."""
        inbox = self._config.inbox
        place, aside = inbox / folder, inbox / HOUSE / UPLOADS / f"folder-{os.urandom(8).hex()}"
        try:
            with self._changing:
                if self._in_use[folder]:
                    return False
                aside.parent.mkdir(exist_ok=True)
                place.rename(aside)
            if _names_in(aside) != [RECIPE_FILES[0]]:
                aside.rename(place)
                return False
            (aside / RECIPE_FILES[0]).unlink()
            aside.rmdir()
        except OSError as error:
            log.warning("the folder %s cannot be removed: %s", place, error)
            return False
        return True


def _names_in(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())

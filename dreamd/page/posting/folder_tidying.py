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

_ASIDE = "folder-"
"""What the names of folders begin with in which those that are being removed are put aside."""


class RecipeFolders:
    """The folders of one inbox that were made for recipes."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._uploads = config.inbox / HOUSE / UPLOADS
        self._changing = threading.Lock()
        self._in_use: Counter[str] = Counter()
        self._due = time.monotonic()

    def begin_use(self, folder: str) -> None:
        """Keep a folder until `end_use`: a picture is about to be put into it."""
        with self._changing:
            self._in_use[folder] += 1

    def end_use(self, folder: str) -> None:
        """Let a folder go again that was kept, and look for folders that nobody needs, if it is time for it."""
        with self._changing:
            self._in_use -= Counter([folder])
            is_due = time.monotonic() >= self._due
            if is_due:
                self._due = time.monotonic() + _EVERY_SECONDS
        if is_due:
            try:
                self.tidy()
            except DreamdError as error:
                log.warning("the folders of recipes are not tidied up now: %s", error)

    def tidy(self) -> list[str]:
        """Remove the folders that nobody needs; return their paths in the inbox.

        Somebody needs it as long as a picture lies in it or has failed in it, since that may be tried again, or a job
        of it has not ended.
        """
        with Journal.looked_at(StateFolder(self._config.state).journal) as journal:
            if journal is None:
                return []
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
                if not _has_more_than_recipe(place) and not _has_files(self._config.failed / folder):
                    yield folder
            except OSError as error:
                log.debug("the folder %s is left alone: %s", folder, error)

    def _take_away(self, folder: str) -> bool:
        """Remove a folder by a rename: a picture that comes at the same time is found in it, and put back with it.

        It is put aside under its path in the inbox, so that after a kill it is known where it belongs.
        """
        aside = self._uploads / f"{_ASIDE}{os.urandom(8).hex()}"
        try:
            with self._changing:
                if self._in_use[folder]:
                    return False
                (aside / folder).parent.mkdir(parents=True)
                (self._config.inbox / folder).rename(aside / folder)
            return self._settle(aside, folder)
        except OSError as error:
            log.warning("the folder %s cannot be removed: %s", folder, error)
            return False

    def settle_left(self) -> None:
        """Finish what a kill broke off: folders that were put aside go, or come back with what has come into them."""
        for aside in self._uploads.glob(f"{_ASIDE}*"):
            place = next((Path(place) for place, _, files in os.walk(aside) if files), None)
            try:
                if place is None:
                    _remove_empty(aside)
                else:
                    self._settle(aside, str(place.relative_to(aside)))
            except OSError as error:
                log.warning("a folder that was put aside at %s cannot be put back: %s", aside, error)

    def _settle(self, aside: Path, folder: str) -> bool:
        """Remove a folder that was put aside; return False where something has come into it, and it is put back."""
        place, home = aside / folder, self._config.inbox / folder
        is_empty = not _has_more_than_recipe(place)
        if is_empty:
            (place / RECIPE_FILES[0]).unlink(missing_ok=True)
        else:
            home.parent.mkdir(parents=True, exist_ok=True)
            place.rename(home)
        _remove_empty(aside)
        return is_empty


def _has_more_than_recipe(folder: Path) -> bool:
    return any(entry.name != RECIPE_FILES[0] for entry in folder.iterdir())


def _remove_empty(folder: Path) -> None:
    """Remove a folder with folders in it, and no file. Raises OSError where there is one."""
    for place, _, _ in os.walk(folder, topdown=False):
        Path(place).rmdir()


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())

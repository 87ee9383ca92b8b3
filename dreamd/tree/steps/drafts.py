"""The folders in which results are written: `.dreamd/<drafts>/<number>` in the outbox, one a job while it runs.

A folder is used again when its job is done, since making and removing one takes a disk longer than writing a small
result. That of a job that failed, was cancelled or is tried again is not: its worker may be about to write still.
They go when no job has one. What a kill leaves is worth nothing, and goes at the next start.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dreamd.files.names import one_name
from dreamd.files.nofollow import names_in, opened_folder, opened_folder_if_there
from dreamd.files.problems import refusal
from dreamd.tree.layout import HOUSE

log = logging.getLogger(__name__)


class Drafts:
    """The drafts of one daemon. Any thread may use it.

    Attributes:
        name: what its folder is called.
    """

    def __init__(self, outbox: Path, name: str) -> None:
        """Take the outbox, and a name that no other daemon that writes into it has."""
        self._outbox = outbox
        self.name = one_name(name)
        self._parts = (HOUSE, name)
        self._changing = threading.Lock()
        self._of: dict[str, str] = {}
        self._spare: list[str] = []
        self._made = 0

    def give(self, job_id: str) -> Path:
        """Return an empty folder for a job's result; that of an earlier attempt of the job is removed."""
        one_name(job_id)
        self.discard(job_id)
        with self._changing:
            name = self._of[job_id] = self._taken_spare() or self._make()
        return self._outbox.joinpath(*self._parts, name)

    def adopt(self, job_id: str, place: str) -> None:
        """Take note that a job has a folder which another process gave it, by its path from `place_of`."""
        self._of[job_id] = place.rpartition("/")[2]

    def place_of(self, job_id: str) -> str:
        """Return the path of a job's folder below the outbox's own folder. Raises KeyError when it has none."""
        return f"{self.name}/{self._of[job_id]}"

    @contextmanager
    def opened(self, job_id: str) -> Iterator[int]:
        """Open a job's folder. Raises OSError when it has none."""
        with opened_folder(self._outbox, [*self._parts, self._of.get(job_id, one_name(job_id))]) as folder:
            yield folder

    def drop(self, job_id: str) -> None:
        """Remove what is in the folder of a job that is done, which is free for another then."""
        self.empty(job_id)
        self.release(job_id)

    def discard(self, job_id: str) -> None:
        """Remove the folder of a job that is not done; no other job gets one of its name."""
        with self._changing:
            name = self._of.pop(job_id, None)
        if name is not None:
            with opened_folder_if_there(self._outbox, self._parts) as drafts:
                if drafts is not None:
                    with _absence_borne():
                        shutil.rmtree(name, dir_fd=drafts)
            self._remove_unused()

    def release(self, job_id: str) -> None:
        """Take a job's folder back, which is empty."""
        with self._changing:
            name = self._of.pop(job_id, None)
            if name is None:
                return
            self._spare.append(name)
        self._remove_unused()

    def forget(self) -> None:
        """Take note that all folders are removed: none of them is a running job's."""
        with self._changing:
            self._of.clear()
            self._spare.clear()

    def clear_of(self, name: str) -> None:
        """Remove the drafts of a daemon that is gone, or anything else of a name in the outbox's own folder."""
        with opened_folder_if_there(self._outbox, [HOUSE]) as house:
            if house is not None:
                with _absence_borne():
                    shutil.rmtree(name, dir_fd=house)

    def empty(self, job_id: str) -> None:
        """Remove what is in a job's folder."""
        name = self._of.get(job_id)
        if name is None:
            return
        with opened_folder_if_there(self._outbox, [*self._parts, name]) as folder:
            for left in () if folder is None else names_in(folder):
                if stat.S_ISDIR(os.stat(left, dir_fd=folder, follow_symlinks=False).st_mode):
                    shutil.rmtree(left, dir_fd=folder)
                else:
                    os.unlink(left, dir_fd=folder)

    def _taken_spare(self) -> str | None:
        while self._spare:
            name = self._spare.pop()
            try:
                if stat.S_ISDIR(self._outbox.joinpath(*self._parts, name).lstat().st_mode):
                    return name
            except OSError as error:  # the next one, or a new one, meets what is wrong
                log.debug("the draft folder %s is not used again: %s", name, refusal(error))
        return None

    def _make(self) -> str:
        while True:
            # Not synced: a power cut that loses a draft loses nothing.
            with opened_folder(self._outbox, self._parts, make=True, durable=False) as drafts:
                self._made += 1
                name = str(self._made)
                try:
                    os.mkdir(name, dir_fd=drafts)
                except FileExistsError:  # a kill has left it
                    continue
                except FileNotFoundError:  # the last job that had one has just ended
                    continue
                return name

    def _remove_unused(self) -> None:
        """Remove the folders, when no job has one."""
        with self._changing:
            if self._of:
                return
            names, self._spare = self._spare, []
        with opened_folder_if_there(self._outbox, [HOUSE]) as house:
            if house is None:
                return
            with opened_folder_if_there(house, [self.name]) as drafts:
                for name in () if drafts is None else names:
                    with _absence_borne():
                        os.rmdir(name, dir_fd=drafts)
            with _absence_borne():
                os.rmdir(self.name, dir_fd=house)


@contextmanager
def _absence_borne() -> Iterator[None]:
    """Remove a folder inside; it may be gone, or in use again."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
            raise

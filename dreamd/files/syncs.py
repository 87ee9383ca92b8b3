"""Have what was done in a folder survive a power cut, for many threads at once."""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter

_FolderId = tuple[int, int]
"""A folder's device and inode: the same folder by whatever descriptor."""


class _SharedSyncs:
    """Syncs folders for many threads at once: those that come while a folder is being synced share the next sync.

    Each is served by a sync that began after it had come, so that what it did before is on disk.
    """

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._started: Counter[_FolderId] = Counter()
        self._ended: Counter[_FolderId] = Counter()
        self._inside: Counter[_FolderId] = Counter()
        self._running: set[_FolderId] = set()

    def sync(self, descriptor: int) -> None:
        """Sync an open folder, or wait for a sync of it that another thread starts after this call."""
        status = os.fstat(descriptor)
        folder = (status.st_dev, status.st_ino)
        with self._turn:
            self._inside[folder] += 1
            wanted = self._started[folder] + 1
            self._turn.wait_for(lambda: folder not in self._running or self._ended[folder] >= wanted)
            if self._ended[folder] >= wanted:
                self._leave(folder)
                return
            number = self._started[folder] = self._started[folder] + 1
            self._running.add(folder)
        try:
            _sync_now(descriptor)
            self._ended[folder] = number  # one that failed serves nobody else: they try for themselves
        finally:
            with self._turn:
                self._running.remove(folder)
                self._leave(folder)
                self._turn.notify_all()

    def _leave(self, folder: _FolderId) -> None:
        self._inside[folder] -= 1
        if not self._inside[folder]:
            for counts in (self._inside, self._started, self._ended):
                del counts[folder]


_shared_syncs = _SharedSyncs()


def sync_folder(folder: int) -> None:
    """Have what was done in an open folder survive a power cut."""
    _shared_syncs.sync(folder)


def _sync_now(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some shares cannot sync a folder, and have nothing to sync
            raise

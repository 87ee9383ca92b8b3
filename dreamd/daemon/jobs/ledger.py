"""The journal as the daemon writes it: what it does not take now is kept and written later.

The folders are the truth and the journal is the memory, so a journal that cannot be written is no reason to stop.
Knows the journal and jobs; knows no folder and no worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from dreamd.errors import DreamdError
from dreamd.job import Job
from dreamd.tree.journal import Journal

log = logging.getLogger(__name__)


class Ledger:
    """Writes jobs into the journal, and tells of each that has changed."""

    def __init__(self, journal: Journal, changed: Callable[[Job], None]) -> None:
        """Set up.

        Args:
            journal: the memory.
            changed: told of every job that changes its state.
        """
        self._journal = journal
        self._changed = changed
        self._unsaved: dict[str, Job] = {}
        self._can_write = True
        self._seen_version: int | None = None
        self._paused: frozenset[str] = frozenset()

    def save(self, *jobs: Job) -> DreamdError | None:
        """Write down and tell that jobs have changed; return the error when the journal takes nothing now.

        What the journal missed is written with the next change. Only a step that must be on disk before the next one
        looks at the error.
        """
        self._unsaved.update((job.id, job) for job in jobs)
        problem = self._write()
        for job in jobs:
            self._changed(job)
        return problem

    def save_later(self, job: Job) -> None:
        """Tell that a job has changed, and write it with the next change or at `flush`: the folders say the same."""
        self._unsaved[job.id] = job
        self._changed(job)

    def flush(self) -> None:
        """Write down what is not written yet."""
        if self._unsaved:
            self._write()

    def pauses(self) -> frozenset[str]:
        """Return the folders that `dreamd pause` has written into the journal; costs a few microseconds a call."""
        version = self._journal.data_version()
        if version != self._seen_version:
            self._seen_version = version
            self._paused = self._journal.paused()
        return self._paused

    def _write(self) -> DreamdError | None:
        try:
            self._journal.save(self._unsaved.values())
        except DreamdError as error:
            if self._can_write:
                log.error("%s", error)
            self._can_write = False
            return error
        self._can_write = True
        self._unsaved.clear()
        return None

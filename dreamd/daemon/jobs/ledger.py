"""The journal as the daemon writes it: what it does not take now is kept and written later.

The folders are the truth and the journal is the memory, so a journal that cannot be written is no reason to stop.
Knows the journal and jobs; knows no folder and no worker.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta

from dreamd.errors import DreamdError, SpaceError
from dreamd.job import Job, JobState
from dreamd.tree.database import BusyError
from dreamd.tree.journal import Journal

log = logging.getLogger(__name__)


_REPAIR_SECONDS = 60.0
"""The time between two tries to repair a journal, in seconds."""

_TIDY_SECONDS = 3600.0
"""The time between two looks for jobs that the journal may forget, in seconds."""


class Ledger:
    """Writes jobs into the journal, and tells of each that has changed."""

    def __init__(self, journal: Journal, changed: Callable[[Job], None], *, keep: timedelta | None = None) -> None:
        """Set up.

        Args:
            journal: the memory.
            changed: told of every job that changes its state.
            keep: how long the journal remembers a job after its end; None: for ever.
        """
        self._journal = journal
        self._changed = changed
        self._keep = keep
        self._unsaved: dict[str, Job] = {}
        self._unfinished: dict[str, Job] = {}
        self._is_well = True
        self._repair_due = 0.0
        self._tidy_due = 0.0
        self._seen_version: int | None = None
        self._counted_version: int | None = -1
        self._paused: frozenset[str] = frozenset()
        self._to_cancel: frozenset[str] = frozenset()

    @property
    def version(self) -> int | None:
        """A number that changes when another process has written to the journal, as `pauses` saw it last."""
        return self._seen_version

    def save(self, *jobs: Job) -> DreamdError | None:
        """Write down and tell that jobs have changed; return the error when the journal takes nothing now.

        What the journal missed is written with the next change. Only a step that must be on disk before the next one
        looks at the error.
        """
        for job in jobs:
            self._keep_in_mind(job)
        problem = self._write()
        for job in jobs:
            self._changed(job)
        return problem

    def save_later(self, job: Job) -> None:
        """Tell that a job has changed, and write it with the next change or at `flush`: the folders say the same."""
        self._keep_in_mind(job)
        self._changed(job)

    def flush(self) -> None:
        """Write down what is not written yet."""
        if self._unsaved:
            self._write()

    def pauses(self) -> frozenset[str]:
        """Return the folders that `dreamd pause` has written into the journal; costs a few microseconds a call.

        While the journal cannot be read, those count that were read last.
        """
        try:
            version = self._journal.data_version()
            if version != self._seen_version:
                self._paused = self._journal.paused()
                self._to_cancel |= self._journal.to_cancel()
                self._seen_version = version
        except DreamdError as error:
            self._mend(error)
        return self._paused

    def take_cancelled(self) -> frozenset[str]:
        """Take the ids of the jobs that `pauses` has seen that somebody cancelled; each is given once or more often."""
        taken, self._to_cancel = self._to_cancel, frozenset()
        return taken

    def counts_if_changed(self) -> Mapping[JobState, int] | None:
        """Count the jobs of the journal by state, if others than the ledger's writer have changed it since the last."""
        if self._seen_version == self._counted_version:
            return None
        try:
            counts = self._journal.counts()
        except DreamdError as error:
            self._mend(error)
            return None
        self._counted_version = self._seen_version
        return counts

    def tidy(self, now: float) -> None:
        """Forget some of the jobs that ended long ago, if it is time; the rest at the next calls."""
        if self._keep is None or now < self._tidy_due:
            return
        try:
            has_more = self._journal.forget_some_before(time.time() - self._keep.total_seconds())
        except DreamdError as error:
            self._mend(error)
            has_more = False
        self._counted_version = -1
        self._tidy_due = now if has_more else now + _TIDY_SECONDS

    def next_deadline(self) -> float | None:
        """Return when `tidy` has something to do next, as a time of `time.monotonic`."""
        return None if self._keep is None else self._tidy_due

    def _keep_in_mind(self, job: Job) -> None:
        self._unsaved[job.id] = job
        if job.state in (JobState.DONE, JobState.FAILED):
            self._unfinished.pop(job.id, None)
        else:
            self._unfinished[job.id] = job

    def _write(self) -> DreamdError | None:
        try:
            self._journal.check_place()
            self._journal.save(self._unsaved.values())
        except DreamdError as error:
            if not self._mend(error):
                return error
            try:
                self._journal.save((self._unfinished | self._unsaved).values())
            except DreamdError as again:
                return again
        self._is_well = True
        self._unsaved.clear()
        return None

    def _mend(self, error: DreamdError) -> bool:
        """Say that the journal cannot be used, and repair it where that may help; return whether it is as new.

        A full disk or another program's lock goes away; damage, or a file that was removed or cut off, does not.
        """
        if self._is_well:
            log.error("%s", error)
        self._is_well = False
        if isinstance(error, SpaceError | BusyError) or time.monotonic() < self._repair_due:
            return False
        self._repair_due = time.monotonic() + _REPAIR_SECONDS
        try:
            self._journal.repair()
        except DreamdError as problem:
            log.error("%s", problem)
            return False
        log.warning("the journal was opened again; what it knew of jobs that have ended may be lost")
        self._seen_version = None
        return True

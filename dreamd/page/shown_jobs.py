"""What the page shows of jobs that failed or are held, from the journal and the failed pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from dreamd.errors import REMEDIES, DreamdError
from dreamd.job import Job, JobState
from dreamd.page.state import without_inbox
from dreamd.settings.config import Config
from dreamd.tree.journal import Journal
from dreamd.tree.layout import Folders, StateFolder
from dreamd.tree.spool import Spool
from dreamd.wording import printable

log = logging.getLogger(__name__)

FAILURES = 200
"""At most so many failed jobs, and as many held ones, are listed."""

_FAILURES_LOOKED_AT = 1000
"""So many of the newest failed jobs are looked at for their pictures."""


@dataclass(frozen=True, kw_only=True)
class ShownFailure:
    """A job that failed or is held.

    Attributes:
        id: the job's id.
        name: the picture's name, which can be looked at.
        folder: the picture's folder in the inbox.
        finished_at: when it failed, or was claimed, in seconds since the epoch.
        attempts: how often it was tried.
        cause: why it is held; None when it failed.
        remedy: what to do about the cause; None when it failed.
        reason: what a person should know.
    """

    id: str
    name: str
    folder: str
    finished_at: float
    attempts: int
    cause: str | None
    remedy: str | None
    reason: str

    @classmethod
    def of(cls, job: Job, config: Config) -> ShownFailure:
        """Show a failed or held job."""
        return cls(
            id=job.id,
            name=printable(job.name),
            folder=str(job.folder),
            finished_at=job.finished_at or job.claimed_at,
            attempts=job.attempts,
            cause=job.hold,
            remedy=REMEDIES[job.hold] if job.hold else None,
            reason=without_inbox(job.reason or "", config),
        )


class JobView:
    """Looks at the jobs of one tree that failed or are held. Reads files: call it from a thread."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._spool = Spool(Folders.of(config))

    def failures(self) -> list[ShownFailure]:
        """List the newest failed jobs whose pictures are still there, or may be: their folder's disk can be away."""
        jobs = self._ask(lambda journal: journal.jobs(state=JobState.FAILED, limit=_FAILURES_LOOKED_AT))
        try:
            there = self._spool.failed_among(jobs)
        except DreamdError as error:
            log.debug("it is not known which failed pictures are still there: %s", error)
            there = frozenset(job.id for job in jobs)
        return [ShownFailure.of(job, self._config) for job in jobs if job.id in there][:FAILURES]

    def held(self) -> list[ShownFailure]:
        """List the held jobs."""
        jobs = self._ask(lambda journal: journal.jobs(state=JobState.HELD, limit=FAILURES))
        return [ShownFailure.of(job, self._config) for job in jobs]

    def _ask(self, question: Callable[[Journal], list[Job]]) -> list[Job]:
        """Ask the journal; no jobs while there is none that can be read."""
        journal = Journal.open_readonly(StateFolder(self._config.state).journal)
        if journal is None:
            return []
        with journal:
            return question(journal)

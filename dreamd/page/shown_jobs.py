"""What the page shows of jobs that have ended or are held, from the journal, the outbox and the failed pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from dreamd.errors import REMEDIES, DreamdError
from dreamd.inbox.dream_files import is_dream_file
from dreamd.job import Job, JobState
from dreamd.page.outbox import is_there, sidecar_of
from dreamd.page.state import without_inbox
from dreamd.page.thumbnails import thumbnail_name
from dreamd.settings.config import Config
from dreamd.tree.journal import Journal
from dreamd.tree.layout import Folders, StateFolder
from dreamd.tree.spool import Spool
from dreamd.wording import printable

log = logging.getLogger(__name__)

RESULTS_AT_ONCE = 120
"""At most so many results are listed at a time."""

FAILURES = 200
"""At most so many failed jobs, and as many held ones, are listed."""

_FAILURES_LOOKED_AT = 1000
"""So many of the newest failed jobs are looked at for their pictures."""

_SIDECAR_FIELDS = (
    "device",
    "precision",
    "size",
    "tiling",
    "seconds",
    "loss_before",
    "loss_after",
    "versions",
    "seed",
    "steps",
)
"""The fields of a sidecar that are shown."""


@dataclass(frozen=True, kw_only=True)
class ShownResult:
    """A dream that came out, as the gallery shows it.

    Attributes:
        id: the job's id.
        name: the picture's name, which can be looked at.
        folder: the picture's folder in the inbox.
        result: where the dream came out, which can be looked at.
        finished_at: when it came out, in seconds since the epoch.
        seconds: how long it took.
        from_nothing: whether it was made from noise, so that there is no original.
        is_there: whether a file of its name is in the outbox.
        has_picture: whether there is anything to show: the file, or a small picture of it that was made before.
    """

    id: str
    name: str
    folder: str
    result: str
    finished_at: float | None
    seconds: float | None
    from_nothing: bool
    is_there: bool
    has_picture: bool

    @classmethod
    def of(cls, job: Job, config: Config) -> ShownResult:
        """Show a done job."""
        there = is_there(config.outbox, PurePosixPath(job.result or ""))
        thumbnail = StateFolder(config.state).thumbnails / thumbnail_name(job.id, "after", "small")
        return cls(
            id=job.id,
            name=printable(job.name),
            folder=str(job.folder),
            result=printable(job.result or ""),
            finished_at=job.finished_at,
            seconds=job.seconds,
            from_nothing=is_dream_file(job.name),
            is_there=there,
            has_picture=there or thumbnail.exists(),
        )


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
    """Looks at the jobs of one tree. Reads files: call it from a thread."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._spool = Spool(Folders.of(config))

    def results(
        self, *, before: tuple[float, str] | None, folder: str | None, search: str, limit: int
    ) -> list[ShownResult]:
        """List results, the newest first, as `Journal.results` does."""
        limit = min(limit, RESULTS_AT_ONCE)
        jobs = self._ask(lambda journal: journal.results(before=before, folder=folder, search=search, limit=limit))
        return [ShownResult.of(job, self._config) for job in jobs]

    def neighbours(self, job: Job, *, folder: str | None, search: str) -> dict[str, str | None]:
        """Return the ids of the results that came out just after and just before one, among those that are sought."""
        place = (job.finished_at or 0.0, job.id)
        newer = self._ask(lambda journal: journal.results(after=place, folder=folder, search=search, limit=1))
        older = self._ask(lambda journal: journal.results(before=place, folder=folder, search=search, limit=1))
        return {"newer": newer[0].id if newer else None, "older": older[0].id if older else None}

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

    def job(self, job_id: str) -> Job | None:
        """Find a job in the journal."""
        return next(iter(self._ask(lambda journal: [found] if (found := journal.get(job_id)) else [])), None)

    def facts(self, job: Job) -> dict[str, Any]:
        """Return what a result's sidecar says of it; each fact is None when the sidecar does not say it.

        With them come `is_known`, whether the sidecar is there, and `keeps_originals`, whether originals are kept.
        """
        record = sidecar_of(job, self._config.outbox)
        facts = {name: None if record is None else record.get(name) for name in _SIDECAR_FIELDS}
        keeps = self._config.originals is not None
        return {**facts, "is_known": record is not None, "keeps_originals": keeps}

    def _ask(self, question: Callable[[Journal], list[Job]]) -> list[Job]:
        """Ask the journal; no jobs while there is none that can be read."""
        journal = Journal.open_readonly(StateFolder(self._config.state).journal)
        if journal is None:
            return []
        with journal:
            return question(journal)

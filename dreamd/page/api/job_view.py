"""Jobs as the API tells them: those of the journal, and pictures that were posted and are not claimed yet.

Reads files: call it from a thread. Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from dreamd.errors import FAILURES, REMEDIES
from dreamd.job import Job, JobState
from dreamd.page.access.callers import Caller
from dreamd.page.again.sources import has_source
from dreamd.page.api.models import ApiJob, JobList, State
from dreamd.page.handlers.answers import NotThereError
from dreamd.page.originals import claimed_files
from dreamd.page.posting.receipts import Receipt, Receipts, is_in_inbox, is_receipt_id
from dreamd.page.state import told_by_daemon, without_inbox
from dreamd.settings.config import Config
from dreamd.tree.journal import Journal
from dreamd.tree.layout import StateFolder
from dreamd.wording import printable

_CHANGES_AT_A_TIME = 100
"""The most jobs that are told at a time of those that have changed."""


@dataclass(frozen=True)
class Found:
    """What an id of the API leads to: a receipt, its job, or a job alone.

    Attributes:
        told: the job as it is told.
        job: the job in the journal; None while the picture is not claimed.
        receipt: the receipt; None for a picture that nobody posted.
    """

    told: ApiJob
    job: Job | None
    receipt: Receipt | None


class ApiJobs:
    """Looks at the jobs of one tree."""

    def __init__(self, config: Config, receipts: Receipts) -> None:
        self._config = config
        self._receipts = receipts

    def find(self, id_: str, caller: Caller) -> Found:
        """Find what an id leads to. Raises NotThereError when it leads nowhere, or this caller may not see it."""
        receipt = self._receipts.find(id_) if is_receipt_id(id_) else None
        if not caller.may_see(receipt.owner if receipt is not None else None):
            raise NotThereError(f"there is no job {printable(id_)!r} that this token has posted")
        with self._journal() as journal:
            if receipt is None:
                job = journal.get(id_) if journal is not None else None
                if job is None:
                    raise NotThereError(f"there is no job {printable(id_)!r}; GET /api/v1/jobs lists those there are")
                return Found(self._told([job])[0], job, None)
            return self._of_receipt(receipt, journal)

    def done(self, id_: str, caller: Caller) -> Job:
        """Find the job that an id leads to. Raises NotThereError where `find` does, and when it has no result."""
        found = self.find(id_, caller)
        if found.job is None or found.job.state is not JobState.DONE or not found.job.result:
            raise NotThereError(f"this job has no result: it is {found.told.state}")
        return found.job

    def over(self, id_: str, caller: Caller) -> Job:
        """Find the job that an id leads to, done or failed. Raises NotThereError where `find` does, and for another."""
        found = self.find(id_, caller)
        if found.job is None or not has_source(found.job):
            raise NotThereError(f"this job is {found.told.state}, neither done nor failed")
        return found.job

    def listed(self, state: JobState | None, before: str | None, limit: int) -> JobList:
        """List the newest jobs first."""
        with self._journal() as journal:
            jobs = [] if journal is None else journal.jobs(state=state, before=before, limit=limit + 1)
        told = self._told(jobs[:limit])
        return JobList(jobs=told, more=told[-1].id if len(jobs) > limit else None)

    def last_change(self) -> int:
        """Return the number of the last change of any job."""
        with self._journal() as journal:
            return 0 if journal is None else journal.latest_number()

    def changed_after(self, number: int) -> list[tuple[int, ApiJob]]:
        """Return the jobs that have changed after the change of a number, each with the number of its own."""
        with self._journal() as journal:
            found = [] if journal is None else journal.changed_after(number, _CHANGES_AT_A_TIME)
        told = self._told([job for _, job in found])
        return [(at, job) for (at, _), job in zip(found, told, strict=True)]

    def _of_receipt(self, receipt: Receipt, journal: Journal | None) -> Found:
        # A claim is a rename and then a line in the journal. So who looks at the journal, at the folders and at the
        # journal again, and finds nothing, knows that nothing is there.
        for _ in range(2):
            if journal is not None and (job := self._receipts.job(receipt, journal)) is not None:
                (told,) = self._told([job])
                return Found(told.model_copy(update={"id": receipt.id}), job, receipt)
            if receipt.is_done:
                raise NotThereError("the journal has forgotten this job, which was done; the outbox has its result")
            inbox, path = self._config.inbox, receipt.path
            if is_in_inbox(inbox, path) or claimed_files(inbox, path):
                return Found(_unclaimed(receipt, State.RECEIVED), None, receipt)
        return Found(_unclaimed(receipt, State.GONE), None, receipt)

    def _told(self, jobs: Sequence[Job]) -> list[ApiJob]:
        """Tell jobs, by one look at what the daemon says of those that go on."""
        goes_on = any(job.state in (JobState.RUNNING, JobState.QUEUED) for job in jobs)
        progress = self._progress() if goes_on else {}
        return [self._one_told(job, progress.get(job.id, {})) for job in jobs]

    def _one_told(self, job: Job, progress: Mapping[str, Any]) -> ApiJob:
        return ApiJob(
            id=job.id,
            job=job.id,
            state=State(job.state),
            folder=printable(str(job.folder)),
            name=printable(job.name),
            share=progress.get("share") if job.state is JobState.RUNNING else None,
            eta_seconds=progress.get("eta_seconds") if job.state in (JobState.RUNNING, JobState.QUEUED) else None,
            attempts=job.attempts,
            claimed_at=job.claimed_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            seconds=job.seconds,
            cause=job.hold,
            failure=job.failure,
            reason=None if job.reason is None else without_inbox(job.reason, self._config),
            remedy=_remedy_of(job),
            result=printable(job.result) if job.state is JobState.DONE and job.result else None,
        )

    def _progress(self) -> dict[str, dict[str, Any]]:
        """Return what the daemon says of the jobs that run and start next, by their ids."""
        values = told_by_daemon(self._config)
        if values is None:
            return {}
        listed = [*values["waiting"], *(job for worker in values["workers"] for job in worker["jobs"])]
        return {job["job"]: job for job in listed}

    def _journal(self) -> AbstractContextManager[Journal | None]:
        return Journal.looked_at(StateFolder(self._config.state).journal)


def _remedy_of(job: Job) -> str | None:
    if job.hold is not None:
        return REMEDIES[job.hold]
    return FAILURES[job.failure].remedy if job.failure is not None else None


def _unclaimed(receipt: Receipt, state: State) -> ApiJob:
    path = PurePosixPath(receipt.path)
    return ApiJob(id=receipt.id, job=None, state=state, folder=str(path.parent), name=printable(path.name))

"""The daemon's start: what an earlier run left in work is finished, failed or queued again.

Knows the folders, the journal and the steps of a job. The folders are the truth: a job whose picture is in work goes
on, whatever the journal says of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from dreamd.daemon.jobs.cancelling import CANCELLED
from dreamd.daemon.jobs.ledger import Ledger
from dreamd.daemon.jobs.lifecycle import Lifecycle
from dreamd.daemon.jobs.recipes import JobRecipes, result_stem
from dreamd.errors import DreamdError
from dreamd.job import Job, JobState
from dreamd.tree.journal import Journal
from dreamd.tree.spool import Spool
from dreamd.tree.steps.sidecars import SidecarIndex
from dreamd.wording import printable

log = logging.getLogger(__name__)

_AT_A_TIME = 1_000
"""The number of jobs that are written into the journal in one commit."""

_GONE = "its picture is gone from work"
"""The reason of a job whose original is nowhere to be found."""


_FAILED_ELSEWHERE = (
    "another daemon that shares the inbox had taken it over, and it failed there, as the file beside it says"
)
"""The reason of a job that another daemon has ended."""


class Recovery:
    """Takes up what an earlier run left."""

    def __init__(
        self,
        *,
        life: Lifecycle,
        spool: Spool,
        journal: Journal,
        ledger: Ledger,
        recipes: JobRecipes,
        attempts: int,
        checkpoints: Path,
    ) -> None:
        """Set up.

        Args:
            life: the jobs that go on.
            spool: the folders.
            journal: the memory, to look into.
            ledger: the memory, to write.
            recipes: the recipes.
            attempts: how often a job is started at most.
            checkpoints: the folder for the state of long dreams.
        """
        self._life = life
        self._ends = life.ends
        self._spool = spool
        self._journal = journal
        self._ledger = ledger
        self._recipes = recipes
        self._attempts = attempts
        self._checkpoints = checkpoints
        self._index = SidecarIndex()
        self._to_cancel: frozenset[str] = frozenset()
        self._taken_over: set[str] = set()

    def recover(self) -> None:
        """Take up every picture in work: it is finished, failed or queued again."""
        self._index = SidecarIndex()
        for _ in self._spool.take_over():
            pass  # `claimed` names them
        self._spool.tidy()
        remembered = {job.id: job for job in self._journal.unfinished()}
        claimed = list(self._spool.claimed())
        self._take_up_all(claimed, remembered)
        present = {job_id for job_id, _ in claimed}
        absent = [job for job_id, job in remembered.items() if job_id not in present]
        self._ledger.save(*(gone for job in absent if (gone := self._close(job)) is not None))
        if self._checkpoints.is_dir():
            for left in {folder.name for folder in self._checkpoints.iterdir()} - present:
                self._ends.drop_checkpoint(left)

    def take_over(self) -> None:
        """Take up what daemons that shared the inbox and are gone had claimed."""
        try:
            for job_id in self._spool.take_over():
                self._taken_over.add(job_id)
            claimed = list(self._spool.claimed()) if self._taken_over else []
        except DreamdError as error:
            log.warning("%s; it is tried again", error)
            return
        # What another had taken over from this daemon, while it had lost its lock, may come back to it.
        new = self._taken_over - self._life.ids() if self._taken_over else set()
        theirs = [(job_id, path) for job_id, path in claimed if job_id in new]
        self._taken_over.clear()
        if theirs:
            log.info("pictures of a daemon that is gone are taken over: %d", len(theirs))
            self._index = SidecarIndex()
            self._take_up_all(theirs, {})

    def _take_up_all(self, claimed: Iterable[tuple[str, PurePosixPath]], remembered: Mapping[str, Job]) -> None:
        waiting: list[Job] = []
        self._to_cancel = self._journal.to_cancel()
        for job_id, path in claimed:
            self._life.recovered.add(job_id)
            known = remembered.get(job_id) or self._journal.get(job_id)
            job = known or Job(id=job_id, folder=path.parent, name=path.name, claimed_at=time.time())
            attempts = self._spool.attempts_of(job_id, known=None if known is None else known.attempts)
            job = replace(job, attempts=attempts)
            if (going_on := self._take_up(job)) is not None:
                waiting.append(going_on)
            if len(waiting) >= _AT_A_TIME:
                self._life.enter(waiting)
                waiting = []
        self._life.enter(waiting)

    def _take_up(self, job: Job) -> Job | None:
        """Finish, fail or hold a job; return it when it goes on."""
        life = self._life
        try:
            result = self._result_of(job)
        except DreamdError as error:  # its folder of the outbox cannot be read: that holds nobody else
            # When it goes on, it is looked for again before another result is published.
            life.hold([replace(job, result=job.result or str(job.path))], error)
            return None
        if result is not None or job.state is JobState.DONE:
            self._ends.put_away(self._ends.mark_done(job, result or PurePosixPath(job.result or "")))
        elif job.state is JobState.FAILED and job.failure != "gone" and job.reason != _GONE:
            self._ends.fail(job, job.reason or "it failed before", job.failure or "error")
        elif job.id in self._to_cancel:
            self._ends.fail(job, CANCELLED, "cancelled")
        elif job.attempts >= self._attempts:
            reason = f"dreamd or its worker ended in the middle of each of {job.attempts} attempts"
            self._ends.fail(job, reason, "worker")
        else:
            return replace(job, finished_at=None, result=None, dismissed=False)
        return None

    def _close(self, job: Job) -> Job | None:
        """End a job whose original is not in work: it was put away just before the end, or somebody took it.

        Returns:
            The job as failed; None when it is done, or cannot be told from one that is. Should its picture come back,
            then it goes on.
        """
        try:
            # In this order: another daemon publishes its result before the original leaves its work.
            if self._is_with_another(job):
                return None  # that one's result is found at a later start
            result = self._result_of(job) or self._new_result_of(job)
            has_failed = self._spool.is_shared and bool(self._spool.failed_among([job]))
        except DreamdError as error:
            log.error("%s: %s", printable(str(job.path)), error, extra=job.about)
            return None  # the next start looks again
        if result is not None:
            self._ends.put_away(self._ends.mark_done(job, result))
            return None
        failed = replace(job, state=JobState.FAILED, finished_at=time.time(), hold=None)
        if has_failed:
            return replace(failed, reason=_FAILED_ELSEWHERE, failure="error")
        return replace(failed, reason=_GONE, failure="gone")

    def _is_with_another(self, job: Job) -> bool:
        """Tell whether another daemon has a job's picture. Looked for twice: a third may take it over meanwhile."""
        return self._spool.is_with_another(job) or (self._spool.is_shared and self._spool.is_with_another(job))

    def _new_result_of(self, job: Job) -> PurePosixPath | None:
        """Return the result that another daemon has published since the folder was read."""
        if not self._spool.is_shared:
            return None
        self._index = SidecarIndex()
        return self._result_of(job)

    def _result_of(self, job: Job) -> PurePosixPath | None:
        """Return the result that an earlier run published, or another daemon that had taken the job over.

        A job that was never started has none.
        """
        if job.recipe and not job.attempts and job.result is None and not self._spool.is_shared:
            return None
        is_known = self._recipes.is_readable(job.recipe)
        known = job if is_known else replace(job, recipe=self._recipes.likely(job))
        return self._spool.recover_result(job, result_stem(known), self._index)

"""The beginning of a job's attempt: counted and written down before a worker hears of it. Knows no queue."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from dreamd.daemon.jobs.endings import Endings
from dreamd.daemon.jobs.holds import folder_cause
from dreamd.daemon.jobs.ledger import Ledger
from dreamd.errors import DreamdError, HoldCause
from dreamd.job import Job, JobState
from dreamd.messages import Batch, Order
from dreamd.tree.spool import Spool


class Starter:
    """Begins jobs."""

    def __init__(self, spool: Spool, ledger: Ledger, ends: Endings) -> None:
        self._spool = spool
        self._ledger = ledger
        self._ends = ends

    def prepare(
        self, jobs: Sequence[Job], refused: dict[str, list[tuple[Job, HoldCause]]]
    ) -> tuple[Batch | None, list[Job]]:
        """Prepare jobs of one recipe, which begin when they are written down.

        Args:
            jobs: the jobs.
            refused: takes those that a folder refuses, by the reason.

        Returns:
            The batch for a worker, None when none is ready; and the jobs in it, as they are then.
        """
        started: list[Job] = []
        orders: list[Order] = []
        for job in jobs:
            try:
                folder = self._spool.temporary(job)
            except DreamdError as error:
                refused.setdefault(_in_general(error, job), []).append((job, folder_cause(error)))
                continue
            # Counted before the start, so that an attempt that takes the worker or the daemon down counts too.
            started.append(replace(job, state=JobState.RUNNING, attempts=job.attempts + 1, started_at=time.time()))
            source, checkpoint = self._spool.work_path(job), self._ends.checkpoint_of(job)
            orders.append(
                Order(job=job.id, source=source, root=self._spool.folders.inbox, folder=folder, checkpoint=checkpoint)
            )
        if not started:
            return None, []
        return Batch(recipe=started[0].recipe, orders=tuple(orders)), started

    def begin(self, jobs: Sequence[Job]) -> DreamdError | None:
        """Write the attempts of prepared jobs down, here and for other daemons; return what keeps them from it."""
        if (problem := self._ledger.save(*jobs)) is not None:
            return problem
        try:
            self._spool.write_attempts()
        except DreamdError as error:
            return error
        return None


def without_attempt(job: Job) -> Job:
    """Return the job as it was before its last attempt, which is not counted."""
    return replace(job, state=JobState.QUEUED, attempts=job.attempts - 1)


def _in_general(error: DreamdError, job: Job) -> str:
    """Return an error's text without the job's id: all jobs that meet it then share one reason."""
    return str(error).replace(job.id, "…")

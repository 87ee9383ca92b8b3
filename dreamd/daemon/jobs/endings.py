"""The end of a job: done or failed, its original put away, and what was kept for it removed.

A job is over when the journal says so. Its original may stay in work for a while, where a folder cannot be written or
the way to it is long; should the daemon end meanwhile, its next start puts it away.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from dreamd.daemon.jobs.ledger import Ledger
from dreamd.daemon.jobs.publishing import PutAway, explanation_of, put_away_original
from dreamd.errors import DreamdError, FailureCause
from dreamd.files.problems import refusal
from dreamd.job import Job, JobState
from dreamd.tree.spool import Spool
from dreamd.wording import printable

log = logging.getLogger(__name__)

_TRY_FOLDER_SECONDS = 60.0
"""The wait between two tries to put an original away when its folder cannot be written, in seconds."""

_PUT_AWAY_AT_A_TIME = 64
"""The number of originals that are tried again to be put away in a turn of the loop: a share may be slow to refuse."""


class Endings:
    """The jobs that end, and those that have ended and whose original is in work still.

    Attributes:
        not_put_away: those whose original cannot be put away now.
        moving: those whose original is being copied to another filesystem, by id.
    """

    def __init__(self, *, spool: Spool, ledger: Ledger, checkpoints: Path) -> None:
        """Set up.

        Args:
            spool: the folders.
            ledger: the memory.
            checkpoints: a folder for the state of long dreams, one folder a job below it.
        """
        self._spool = spool
        self._ledger = ledger
        self._checkpoints = checkpoints
        self._put_away_due: float | None = None
        self._to_move: list[Job] = []
        self.not_put_away: list[Job] = []
        self.moving: dict[str, Job] = {}

    def __iter__(self) -> Iterator[Job]:
        """Yield the jobs that have ended and whose original is in work still."""
        yield from self.moving.values()
        yield from self.not_put_away

    def mark_done(self, job: Job, result: PurePosixPath) -> Job:
        """Take note that a job's result is in the outbox; return the job as it is now."""
        if job.state is not JobState.DONE:
            finished_at = time.time()
            job = replace(job, state=JobState.DONE, result=str(result), finished_at=finished_at, hold=None, reason=None)
            self._ledger.save_later(job)
        self.drop_checkpoint(job.id)
        return job

    def fail(self, job: Job, reason: str, failure: FailureCause) -> None:
        """End a job without a result: its original goes to the failed ones, with the reason beside it."""
        self.fail_all([job], reason, failure)

    def fail_all(self, jobs: Iterable[Job], reason: str, failure: FailureCause) -> None:
        """End jobs without results, for one reason; they are written down together."""
        now = time.time()
        failed = [
            replace(job, state=JobState.FAILED, finished_at=now, hold=None, reason=reason, failure=failure)
            for job in jobs
        ]
        if not failed:
            return
        level = logging.INFO if failure == "cancelled" else logging.ERROR
        for job in failed:
            log.log(level, "%s failed: %s", printable(str(job.path)), reason, extra=job.about)
        self._ledger.save(*failed)
        for job in failed:
            self.drop_checkpoint(job.id)
            self.put_away(job)

    # Originals

    def put_away(self, job: Job) -> None:
        """Move the original of a finished job out of work: now, in a thread, or later if it cannot be done now."""
        try:
            if self._spool.is_slow_to_put_away(job):
                self.moving[job.id] = job
                self._to_move.append(job)
                return
        except DreamdError as error:
            self.put_away_later(job, error)
            return
        self.note_put_away(put_away_original(self._spool, job, explanation_of(job)))

    def take_moves(self) -> list[Callable[[], PutAway]]:
        """Return what puts originals away that have to be copied, for any thread to do; the outcome is to be noted."""
        jobs, self._to_move = self._to_move, []
        return [partial(put_away_original, self._spool, job, explanation_of(job)) for job in jobs]

    def note_put_away(self, outcome: PutAway) -> None:
        """Take note of what became of an original."""
        self.moving.pop(outcome.job.id, None)
        if outcome.problem is not None:
            self.put_away_later(outcome.job, outcome.problem)

    def put_away_later(self, job: Job, problem: DreamdError) -> None:
        """Try a while later to put an original away, which a folder refuses now."""
        log.error("%s", problem, extra=job.about)
        self.not_put_away.append(job)
        self._put_away_due = time.monotonic() + _TRY_FOLDER_SECONDS

    def try_again(self, now: float) -> None:
        """Put some originals away that were refused, if it is time for it at a time of `time.monotonic`.

        The rest follows at the next turns, or later when one of these is refused again.
        """
        if self._put_away_due is None or self._put_away_due > now:
            return
        jobs = self.not_put_away[:_PUT_AWAY_AT_A_TIME]
        del self.not_put_away[:_PUT_AWAY_AT_A_TIME]
        if not self.not_put_away:
            self._put_away_due = None
        for job in jobs:
            self.put_away(job)

    def next_deadline(self) -> float | None:
        """Return when `try_again` has something to do next, as a time of `time.monotonic`."""
        return self._put_away_due

    # The state of long dreams

    def checkpoint_of(self, job: Job) -> Path:
        """Return where the state of a job's dream is kept."""
        return self._checkpoints / job.id

    def drop_checkpoint(self, job_id: str) -> None:
        """Remove the state of a long dream."""
        try:
            shutil.rmtree(self._checkpoints / job_id)
        except FileNotFoundError:  # nearly always: the dream was a short one
            return
        except OSError as error:
            log.warning("the state of job %s stays in %s: %s", job_id, self._checkpoints, refusal(error))

"""Another attempt of a job, later each time, or its end when there were enough."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from dreamd.daemon.jobs.endings import Endings
from dreamd.daemon.jobs.ledger import Ledger
from dreamd.daemon.jobs.queue import Scheduler
from dreamd.errors import FailureCause
from dreamd.job import Job, JobState
from dreamd.wording import printable

log = logging.getLogger(__name__)

_RETRY_SECONDS = 2.0
"""The wait before the second attempt, in seconds; each further one waits twice as long."""


class Retries:
    """Tries jobs again."""

    def __init__(self, queue: Scheduler, ledger: Ledger, ends: Endings, *, attempts: int) -> None:
        """Set up; a job is started `attempts` times at most."""
        self._queue = queue
        self._ledger = ledger
        self._ends = ends
        self._attempts = attempts

    def try_again(self, job: Job, reason: str, failure: FailureCause, suspects: str = "") -> None:
        """Queue a job whose attempt came to nothing, or end it.

        Args:
            job: the job.
            reason: what went wrong.
            failure: the same in a word, for its end.
            suspects: names the plugins that may be behind it, as a person reads it behind the reason.
        """
        if job.attempts >= self._attempts:
            self._ends.fail(job, f"{reason} (attempt {job.attempts} of {self._attempts}){suspects}", failure)
            return
        reason += suspects
        wait = _RETRY_SECONDS * 2 ** (job.attempts - 1)
        path, attempt = printable(str(job.path)), job.attempts + 1
        log.warning("%s: %s; attempt %d of %d in %g s", path, reason, attempt, self._attempts, wait, extra=job.about)
        job = replace(job, state=JobState.QUEUED, reason=reason)
        self._ledger.save(job)
        self._queue.add_later(job, time.monotonic() + wait)

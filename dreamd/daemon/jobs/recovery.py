"""The daemon's start: what an earlier run left in work is finished, failed or queued again.

Knows the folders, the journal and the steps of a job. The folders are the truth: a job whose picture is in work goes
on, whatever the journal says of it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path, PurePosixPath

from dreamd.daemon.jobs.ledger import Ledger
from dreamd.daemon.jobs.lifecycle import Lifecycle
from dreamd.daemon.jobs.recipes import JobRecipes, result_stem
from dreamd.job import Job, JobState
from dreamd.tree.journal import Journal
from dreamd.tree.spool import Spool


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
        self._spool = spool
        self._journal = journal
        self._ledger = ledger
        self._recipes = recipes
        self._attempts = attempts
        self._checkpoints = checkpoints

    def recover(self) -> None:
        """Take up every picture in work: it is finished, failed or queued again."""
        self._spool.tidy()
        for job_id, path in self._spool.claimed():
            known = self._journal.get(job_id)
            self._take_up(known or Job(id=job_id, folder=path.parent, name=path.name, claimed_at=time.time()))
        present = {job_id for job_id, _ in self._spool.claimed()}
        for job in self._journal.unfinished():
            if job.id not in present:
                self._close(job)
        if self._checkpoints.is_dir():
            for left in {folder.name for folder in self._checkpoints.iterdir()} - present:
                self._life.drop_checkpoint(left)

    def _take_up(self, job: Job) -> None:
        life = self._life
        result = self._result_of(job)
        if result is not None or job.state is JobState.DONE:
            life.put_away(life.mark_done(job, result or PurePosixPath(job.result or "")))
        elif job.state is JobState.FAILED:
            life.fail(job, job.reason or "it failed before")
        elif job.attempts >= self._attempts:
            life.fail(job, f"dreamd or its worker ended in the middle of each of {job.attempts} attempts")
        else:
            life.enter([replace(job, result=None)])

    def _close(self, job: Job) -> None:
        """End a job whose original is not in work: it was put away just before the end, or somebody took it."""
        result = self._result_of(job)
        if result is not None:
            self._life.put_away(self._life.mark_done(job, result))
        else:
            gone = "its picture is gone from work"
            self._ledger.save(replace(job, state=JobState.FAILED, finished_at=time.time(), reason=gone))

    def _result_of(self, job: Job) -> PurePosixPath | None:
        """The result that an earlier run published. A job that was never started, as the journal says, has none."""
        if job.recipe and not job.attempts and job.result is None:
            return None
        known = job if job.recipe else replace(job, recipe=self._recipes.likely(job))
        return self._spool.recover_result(job, result_stem(known))

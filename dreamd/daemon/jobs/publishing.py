"""A result's way from the worker's draft into the outbox. Knows folders and one job; may run in any thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from dreamd.daemon.jobs.recipes import result_stem
from dreamd.errors import DreamdError, FolderError
from dreamd.job import Job, JobState
from dreamd.messages import Done
from dreamd.tree.spool import Spool
from dreamd.wording import printable


@dataclass(frozen=True)
class Published:
    """What became of a result.

    Attributes:
        job: the job, as far as it is known now.
        result: where it is in the outbox; None when it is not there, or not for certain.
        problem: why it is not there or, when it is, why the original could not be put away.
        is_left: whether the original is in work still and nothing is wrong with it: somebody has to put it away.
    """

    job: Job
    result: PurePosixPath | None
    problem: DreamdError | None
    is_left: bool = False


@dataclass(frozen=True)
class PublishedTogether:
    """What became of results that were published together."""

    outcomes: tuple[Published, ...]


@dataclass(frozen=True)
class Publication:
    """A result that is to be published.

    Attributes:
        spool: the folders.
        job: its job.
        message: what the worker said of it.
        alone: publishes it alone.
        is_first: whether nothing of the job can be in the outbox or among what failed: it was claimed in this run, and
            no earlier try to publish it was made.
    """

    spool: Spool
    job: Job
    message: Done
    alone: Callable[[], Published]
    is_first: bool = False

    @property
    def may_join(self) -> bool:
        """Whether it may be published together with others. Where daemons share, another may have taken it over."""
        return self.is_first and not self.message.steps and not self.spool.is_shared

    def __call__(self) -> Published:
        """Publish it alone."""
        return self.alone()

    def publish_after_all(self) -> Published:
        """Publish it alone, unless it is out: an earlier try was cut off."""
        return publish_result(self.spool, self.job, self.message, looks=True)

    def outcome(self, *, name: str | None, is_out: bool, is_left: bool, problem: DreamdError | None) -> Published:
        """Return what became of it, where it was published with others.

        Args:
            name: where it is in the outbox, or is perhaps.
            is_out: whether it is there.
            is_left: whether its original is in work still, because it has to be copied to another disk.
            problem: what went wrong.
        """
        job = replace(self.job, seconds=self.message.sidecar.seconds, result=name)
        return Published(job, PurePosixPath(name) if name is not None and is_out else None, problem, is_left=is_left)


@dataclass(frozen=True)
class PutAway:
    """What became of the original of a finished job.

    Attributes:
        job: the job.
        problem: why the original is in work still; None when it is put away.
    """

    job: Job
    problem: DreamdError | None


def put_away_original(spool: Spool, job: Job, explanation: str) -> PutAway:
    """Move the original of a finished job out of work; the explanation goes beside that of a failed one."""
    try:
        if job.state is JobState.DONE:
            spool.finish(job)
        elif spool.is_claimed(job):
            spool.fail(job, explanation)
    except DreamdError as error:
        return PutAway(job, error)
    return PutAway(job, None)


def publish_result(spool: Spool, job: Job, message: Done, *, looks: bool = False) -> Published:
    """Publish a job's result, then put its original away; `looks`: an earlier try may have published it already."""
    stem = result_stem(job)
    job = replace(job, seconds=message.sidecar.seconds)
    try:
        if spool.is_shared and not spool.is_claimed(job):
            raise _taken_over(job)
        result = spool.recover_result(job, stem) if job.result or looks else None
        if result is None:
            wanted = spool.result_name(job, stem, PurePosixPath(message.file).suffix, has_steps=bool(message.steps))
            # Known from here on: a failure may come after the result is in its place.
            job = replace(job, result=str(wanted))
            result = spool.publish(job, wanted, message.file, message.sidecar.text().encode(), steps=message.steps)
    except DreamdError as error:
        return Published(job, None, error)
    try:
        spool.finish(job)
    except DreamdError as error:
        return Published(job, result, error)
    return Published(job, result, None)


def _taken_over(job: Job) -> FolderError:
    return FolderError(
        f"the picture of {printable(str(job.path))} is gone from this daemon's work: another one has taken it over, "
        "since this one had lost its lock on the inbox"
    )


def explanation_of(job: Job) -> str:
    """Write what stands beside a failed picture, for whoever finds it there."""
    when = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(job.finished_at))
    folder = "the inbox" if job.folder == PurePosixPath() else f"{printable(str(job.folder))} in the inbox"
    name = printable(job.name)
    if job.failure == "cancelled":
        remedy = f"To dream it after all: `dreamd retry {job.id}`, or move it back to {folder}"
        return f"{name} was cancelled.\n\n{when}. {remedy}."
    return f"{name} could not be dreamed:\n\n{job.reason}\n\n{when}. To try it again, move it back to {folder}."

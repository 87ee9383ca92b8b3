"""A result's way from the worker's draft into the outbox. Knows folders and one job; may run in any thread."""

from __future__ import annotations

import time
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
    """

    job: Job
    result: PurePosixPath | None
    problem: DreamdError | None


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


def publish_result(spool: Spool, job: Job, message: Done) -> Published:
    """Publish a job's result, then put its original away."""
    stem = result_stem(job)
    job = replace(job, seconds=message.sidecar.seconds)
    try:
        if spool.is_shared and not spool.is_claimed(job):
            raise _taken_over(job)
        result = spool.recover_result(job, stem) if job.result else None
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

"""A job as a row of the journal, and back. Names and paths are bytes there, since a file's name need not be text."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import TypeAlias, get_args

from dreamd.errors import FailureCause, HoldCause
from dreamd.job import Job, JobState

COLUMNS = (
    "id, folder, name, state, (SELECT text FROM recipes WHERE recipes.id = jobs.recipe), attempts, claimed_at, "
    "started_at, finished_at, hold, reason, result, seconds, failure, dismissed"
)
"""The columns of a `Row`, in its order."""

KEEP_RECIPE = "INSERT OR IGNORE INTO recipes (text) VALUES (?)"
"""Keeps a recipe's text, once for all its jobs."""

SAVE = (
    "INSERT OR REPLACE INTO jobs (id, folder, name, state, recipe, attempts, claimed_at, started_at, finished_at, "
    "hold, reason, result, seconds, failure, dismissed) VALUES (?, ?, ?, ?, (SELECT id FROM recipes WHERE text = ?), "
    "?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
"""Adds or replaces a job, by the values of `row_of`."""

Value: TypeAlias = str | bytes | int | float | None
Row: TypeAlias = tuple[
    str, bytes, bytes, str, str, int, float, float | None, float | None, HoldCause | None,
    bytes | None, bytes | None, float | None, FailureCause | None, int,
]  # fmt: skip


def row_of(job: Job) -> tuple[Value, ...]:
    """Return a job as the values of SAVE."""
    return (
        job.id,
        os.fsencode(job.folder),
        os.fsencode(job.name),
        job.state.value,
        job.recipe,
        job.attempts,
        job.claimed_at,
        job.started_at,
        job.finished_at,
        job.hold,
        None if job.reason is None else job.reason.encode("utf-8", "surrogatepass"),
        None if job.result is None else os.fsencode(job.result),
        job.seconds,
        job.failure,
        job.dismissed,
    )


def job_of(row: Row) -> Job | None:
    """Read a job; None when another version, or whoever else, wrote something into its row that is none."""
    id_, folder, name, state, recipe, attempts, claimed, started, finished, hold, reason = row[:11]
    result, seconds, failure, dismissed = row[11:]
    if state not in JobState.__members__.values() or hold not in (None, *get_args(HoldCause)):
        return None
    if failure not in (None, *get_args(FailureCause)):
        return None
    return Job(
        id=id_,
        folder=PurePosixPath(os.fsdecode(folder)),
        name=os.fsdecode(name),
        state=JobState(state),
        recipe=recipe or "",
        attempts=attempts,
        claimed_at=claimed,
        started_at=started,
        finished_at=finished,
        hold=hold,
        reason=None if reason is None else reason.decode("utf-8", "surrogatepass"),
        result=None if result is None else os.fsdecode(result),
        seconds=seconds,
        failure=failure,
        dismissed=bool(dismissed),
    )

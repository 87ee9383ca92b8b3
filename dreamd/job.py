"""A job: one picture with its recipe snapshot. Values only; knows no folder, database or process."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from dreamd.errors import FailureCause, HoldCause

_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no letter that reads like a digit

_BATCH_MARK = "u"
"""The last letter of a batch's id. It is no digit of `_ID_ALPHABET`, so that no job's own id is taken for a batch's."""

_TIME_DIGITS = 13
"""The number of digits of what `new_job_id` makes."""

_PATH_DIGITS = 6
"""The number of digits by which the jobs of a batch differ, of 5 bits each."""


class JobState(StrEnum):
    """Where a job is on its way."""

    QUEUED = "queued"
    RUNNING = "running"
    HELD = "held"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One picture and what became of it.

    Attributes:
        id: unique; sorts by the time of the claim.
        folder: the picture's folder relative to the inbox, "." for its root.
        name: the picture's file name, as it was in the inbox.
        state: where the job is.
        recipe: the effective recipe as JSON; "" until it could be read.
        attempts: how often a worker has been started on it.
        claimed_at: seconds since the epoch.
        started_at: when its last attempt began.
        finished_at: when it was done or failed.
        hold: why it is held, when it is.
        failure: why it failed, when it has; None also where an earlier version of dreamd did not say.
        reason: what a person should know: why it is held or failed.
        result: the result's path relative to the outbox, once it was or may have been published.
        seconds: how long the dream took.
        dismissed: whether a person wants to see no more of its failure.
    """

    id: str
    folder: PurePosixPath
    name: str
    state: JobState = JobState.QUEUED
    recipe: str = ""
    attempts: int = 0
    claimed_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    hold: HoldCause | None = None
    reason: str | None = None
    result: str | None = None
    seconds: float | None = None
    failure: FailureCause | None = None
    dismissed: bool = False

    @property
    def path(self) -> PurePosixPath:
        """The picture's path relative to the inbox."""
        return self.folder / self.name

    @property
    def about(self) -> dict[str, str]:
        """What a log message about this job carries as its `extra`."""
        return {"job": self.id, "folder": str(self.folder)}


def new_job_id() -> str:
    """Make a new id: the time in milliseconds and 20 random bits, in 13 characters that sort by time."""
    return _digits((time.time_ns() // 1_000_000) << 20 | secrets.randbits(20), _TIME_DIGITS)


def new_batch_id() -> str:
    """Make the id of a batch of pictures that are claimed together; it sorts among the jobs' ids by time."""
    return new_job_id() + _BATCH_MARK


def id_in_batch(batch: str, path: PurePosixPath) -> str:
    """Return the id of the job of a path in a batch: the batch and the path tell it, whoever looks.

    Two paths of a batch have the same one at a chance of 1 to 2^30.
    """
    digest = hashlib.blake2b(os.fsencode(path), digest_size=4).digest()
    return batch + _digits(int.from_bytes(digest) % 32**_PATH_DIGITS, _PATH_DIGITS)


def is_batch_id(name: str) -> bool:
    """Return whether a name is that of a batch."""
    return len(name) == _TIME_DIGITS + 1 and name.endswith(_BATCH_MARK)


def home_of(job_id: str) -> str:
    """Return what the folder of a claimed job is called: its batch's id, or its own when it was claimed alone."""
    batch = job_id[: _TIME_DIGITS + 1]
    return batch if len(job_id) == len(batch) + _PATH_DIGITS and is_batch_id(batch) else job_id


def _digits(number: int, count: int) -> str:
    digits = []
    for _ in range(count):
        number, digit = divmod(number, 32)
        digits.append(_ID_ALPHABET[digit])
    return "".join(reversed(digits))

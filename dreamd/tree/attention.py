"""What keeps pictures from being dreamed, by cause: one entry for all that one deed mends.

Knows the journal, the snapshot and the failed pictures. Reads files, and imports nothing heavy, for `dreamd status`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dreamd.errors import FAILURES, REMEDIES, DreamdError, HoldCause
from dreamd.files.problems import os_errors_explained
from dreamd.inbox.dream_files import is_dream_file
from dreamd.job import Job, JobState
from dreamd.tree.journal import Journal
from dreamd.tree.steps.failure_search import failed_among

log = logging.getLogger(__name__)

LOOKED_AT = 1000
"""The most failed jobs, and as many held ones, that are looked at; the newest."""

NAMED = 100
"""The most pictures of a cause that are named."""

TroubleKind = Literal["held", "failed", "left"]
"""Whether the pictures wait for something, or have failed, or cannot be taken out of the inbox."""

_TITLES = {
    "recipe": "A recipe is wrong",
    "weights": "Weights are missing",
    "plugin": "A plugin is broken",
    "space": "The disk is full",
    "folder": "A folder cannot be used",
    "picture": "Pictures that cannot be dreamed",
    "crash": "Pictures that end every worker",
    "memory": "Not enough memory",
    "time": "Not enough time",
    "worker": "Their worker was ended",
    "error": "Something failed",
    "cancelled": "Cancelled",
    "replaced": "Dream files that were replaced",
    "gone": "Pictures that were taken away",
    "left": "Left in the inbox",
}
"""What each cause is called."""

_ATTEMPT = re.compile(r" \(attempt \d+ of \d+\)")


@dataclass(frozen=True, kw_only=True)
class TroubledPicture:
    """A picture that is not dreamed.

    Attributes:
        job: its job's id.
        path: its path in the inbox.
        reason: why.
        at: when it failed, or was claimed, in seconds since the epoch.
        attempts: how often it was tried.
        from_nothing: whether it is a dream file, so that there is no original.
    """

    job: str
    path: str
    reason: str
    at: float
    attempts: int
    from_nothing: bool


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """All pictures that are not dreamed for one cause.

    Attributes:
        kind: whether they are held, failed or left.
        cause: why, in a word: a cause of holds or of failures, or `left`.
        title: the same for a person.
        reason: what all of them have in common; "" where each has a reason of its own.
        remedy: what to do, or why trying again does not help.
        can_retry: whether to look at them again, or to try them again, may help.
        can_dream_again: whether to dream their originals again with other recipes may help.
        count: how many pictures there are, or files.
        is_more: whether there are more than that, since no more were looked at.
        folders: the folders of the inbox that they are of, in order.
        backbone: whose weights they wait for; None where they wait for none that can be fetched.
        pictures: the newest of them, at most `NAMED`; none of those that are left.
        jobs: the ids of all of them that were looked at.
    """

    kind: TroubleKind
    cause: str
    title: str
    reason: str
    remedy: str
    can_retry: bool
    can_dream_again: bool
    count: int
    is_more: bool
    folders: tuple[str, ...]
    backbone: str | None
    pictures: tuple[TroubledPicture, ...]
    jobs: tuple[str, ...]


def troubles(values: Mapping[str, Any], journal: Journal | None, failed: Path | None) -> list[Trouble]:
    """List what keeps pictures from being dreamed, what is held first.

    Args:
        values: the daemon's snapshot.
        journal: the memory, to look into; None where there is none.
        failed: the folder of the failed pictures: those that somebody has taken out of it are no trouble any more.
            None: all count that the journal has.
    """
    held = [] if journal is None else journal.jobs(state=JobState.HELD, limit=LOOKED_AT)
    failures = [] if journal is None else journal.failures(LOOKED_AT)
    return [
        *_held(values["holds"], held),
        *_failed(failures if failed is None else _still_there(failures, failed), is_more=len(failures) == LOOKED_AT),
        *_left(values["left"]),
    ]


def _held(holds: Iterable[Mapping[str, Any]], jobs: Collection[Job]) -> list[Trouble]:
    """Bring together the holds of one cause and reason, whatever their folders."""
    groups: dict[tuple[HoldCause, str], list[Mapping[str, Any]]] = {}
    for hold in holds:
        groups.setdefault((hold["cause"], hold["reason"]), []).append(hold)
    return [_trouble_of_holds(cause, reason, group, jobs) for (cause, reason), group in groups.items()]


def _trouble_of_holds(cause: HoldCause, reason: str, holds: list[Mapping[str, Any]], jobs: Iterable[Job]) -> Trouble:
    alike = [job for job in jobs if job.hold == cause and (job.reason or "") == reason]
    backbone = holds[0]["backbone"]
    return Trouble(
        kind="held",
        cause=cause,
        title=f"The weights of {backbone} are missing" if backbone else _TITLES[cause],
        reason=reason,
        remedy=REMEDIES[cause],
        can_retry=True,
        can_dream_again=False,
        count=sum(hold["jobs"] for hold in holds),
        is_more=False,
        folders=tuple(sorted(hold["folder"] for hold in holds)),
        backbone=backbone,
        pictures=_named(alike),
        jobs=tuple(job.id for job in alike),
    )


def _failed(jobs: Iterable[Job], *, is_more: bool) -> list[Trouble]:
    """Bring together the failures of one cause; where a plugin or dreamd failed, those of one reason."""
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        cause = job.failure or "error"
        groups.setdefault((cause, _common(job) if cause == "error" else ""), []).append(job)
    return [_trouble_of_failures(group, is_more=is_more) for group in groups.values()]


def _trouble_of_failures(jobs: list[Job], *, is_more: bool) -> Trouble:
    cause = jobs[0].failure or "error"
    reasons = {_common(job) for job in jobs}
    return Trouble(
        kind="failed",
        cause=cause,
        title=_TITLES[cause],
        reason=reasons.pop() if len(reasons) == 1 else "",
        remedy=FAILURES[cause].remedy,
        can_retry=FAILURES[cause].can_retry,
        can_dream_again=FAILURES[cause].can_dream_again,
        count=len(jobs),
        is_more=is_more,
        folders=tuple(sorted({str(job.folder) for job in jobs})),
        backbone=None,
        pictures=_named(jobs),
        jobs=tuple(job.id for job in jobs),
    )


def _left(left: Iterable[Mapping[str, Any]]) -> list[Trouble]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for each in left:
        groups.setdefault(each["reason"], []).append(each)
    return [
        Trouble(
            kind="left",
            cause="left",
            title=_TITLES["left"],
            reason=reason,
            remedy="",
            can_retry=False,
            can_dream_again=False,
            count=sum(each["files"] for each in group),
            is_more=False,
            folders=tuple(sorted(each["folder"] for each in group)),
            backbone=None,
            pictures=(),
            jobs=(),
        )
        for reason, group in groups.items()
    ]


def _common(job: Job) -> str:
    """Return a job's reason as other jobs may have it too."""
    return _ATTEMPT.sub("", job.reason or "")


def _named(jobs: Iterable[Job]) -> tuple[TroubledPicture, ...]:
    return tuple(
        TroubledPicture(
            job=job.id,
            path=str(job.path),
            reason=job.reason or "",
            at=job.finished_at or job.claimed_at,
            attempts=job.attempts,
            from_nothing=is_dream_file(job.name),
        )
        for job in list(jobs)[:NAMED]
    )


def _still_there(jobs: list[Job], failed: Path) -> list[Job]:
    """Return the failed jobs whose pictures are there; all of them where that cannot be seen now."""
    try:
        with os_errors_explained("look through", failed):
            there = failed_among(jobs, failed)
    except DreamdError as error:
        log.debug("it is not known which failed pictures are still there: %s", error)
        return jobs
    return [job for job in jobs if job.id in there]

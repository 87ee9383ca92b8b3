"""How often the jobs of a daemon that shares an inbox have been begun, where whoever takes them over finds it.

Each daemon's journal lies on a disk of its own. Without this a picture that takes its daemon down would begin anew with
each of them. Knows counts and a folder; knows no journal.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from dreamd.files.durable import replace
from dreamd.files.nofollow import Entry, opened_folder
from dreamd.job import JobState
from dreamd.tree.layout import HOUSE, attempts_name

if TYPE_CHECKING:
    from dreamd.job import Job


class SharedAttempts:
    """The attempts of one daemon's jobs that are not over, and of those that it took over."""

    def __init__(self, inbox: Path, share: str | None) -> None:
        """Know nothing yet.

        Args:
            inbox: the inbox.
            share: the daemon's name among those that share; None: it is alone, and writes nothing.
        """
        self._inbox = inbox
        self._share = share
        self._counts: dict[str, int] = {}
        self._own: dict[str, int] = {}
        self._taken_over: dict[str, int] = {}
        self._is_due = False

    def note(self, job: Job) -> None:
        """Take note of a job that has changed; from then on the journal knows it."""
        self._taken_over.pop(job.id, None)
        count = 0 if job.state in (JobState.DONE, JobState.FAILED) else job.attempts
        if count != self._counts.get(job.id, 0):
            self._is_due = True
            if count:
                self._counts[job.id] = count
            else:
                del self._counts[job.id]

    def write(self) -> None:
        """Write down what has changed, so that it outlives this machine."""
        if self._share is not None and self._is_due:
            self._write(self._taken_over | self._counts)
            self._is_due = False

    def read_own(self) -> None:
        """Read what this daemon wrote in an earlier run."""
        if self._share is not None:
            self._own = self._read(self._share)

    def take_over(self, other: str) -> None:
        """Take over what another daemon wrote, and write it down as one's own before its pictures are moved."""
        found = self._read(other)
        if found:
            self._taken_over.update(found)
            if self._share is not None:
                self._write(self._taken_over | self._counts)

    def drop(self, other: str) -> None:
        """Remove what another daemon wrote, whose pictures are all moved."""
        with opened_folder(self._inbox, [HOUSE]) as house:
            Entry(house, attempts_name(other)).unlink()

    def of(self, job_id: str, *, known: int | None) -> int:
        """Return how often a job was begun.

        Args:
            job_id: the job.
            known: what this daemon's own journal says; None: nothing.
        """
        if known is None:
            known = self._own.get(job_id, 0)
        return max(known, self._taken_over.get(job_id, 0))

    def _write(self, counts: dict[str, int]) -> None:
        assert self._share is not None
        name = attempts_name(self._share)
        with opened_folder(self._inbox, [HOUSE]) as house:
            replace(Entry(house, name), json.dumps(counts).encode(), draft_name=f".{name}.part")

    def _read(self, name: str) -> dict[str, int]:
        """Read what a daemon wrote; nothing where that is nothing."""
        with opened_folder(self._inbox, [HOUSE]) as house:
            text = Entry(house, attempts_name(name)).read()
        try:
            values = json.loads(text or b"{}")
            return {str(job): int(count) for job, count in values.items()}
        except (ValueError, TypeError, AttributeError):  # a share that lost its power has kept half of it
            return {}

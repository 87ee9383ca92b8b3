"""Jobs that a person has cancelled: each ends among the failed ones, where it can be taken up again.

That is a rename and a line in the journal for each, so that thousands are ended some at a time. Until one has ended it
stays in the journal's list of those to cancel: should the daemon end before, its next start goes on with them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from dreamd.daemon.jobs.endings import Endings
from dreamd.job import Job

CANCELLED = "it was cancelled"
"""The reason of a cancelled job."""

_AT_A_TIME = 64
"""The number of jobs that are ended in a turn of the loop."""


class Cancelling:
    """The jobs that are cancelled and have not ended yet."""

    def __init__(self, ends: Endings) -> None:
        """Begin with none; `ends` takes them."""
        self._ends = ends
        self._jobs: deque[Job] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs)

    def add(self, jobs: Iterable[Job]) -> None:
        """Take jobs that nobody else has in hand any more."""
        self._jobs.extend(jobs)

    def end_some(self) -> None:
        """End some of the jobs; the rest at the next turns."""
        some = [self._jobs.popleft() for _ in range(min(_AT_A_TIME, len(self._jobs)))]
        self._ends.fail_all(some, CANCELLED, "cancelled")

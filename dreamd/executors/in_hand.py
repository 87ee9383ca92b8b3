"""The jobs that a worker has in hand. Knows ids only."""

from __future__ import annotations

from collections.abc import Collection, Sequence


class InHand:
    """Jobs that were given to a worker and are not over for the loop.

    An answer is on its way twice: the worker sends it, and the loop takes it from its queue. A job stays in hand until
    the loop has it; but a worker that dies in between has answered.
    """

    def __init__(self) -> None:
        self._jobs: list[str] = []
        self._unanswered: set[str] = set()
        self._refill = 0

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def jobs(self) -> tuple[str, ...]:
        """The ids, in the order in which they were given."""
        return tuple(self._jobs)

    def unanswered_of(self, jobs: Collection[str]) -> set[str]:
        """Return those of some jobs that the worker has in hand and has not answered for."""
        return self._unanswered & set(jobs)

    @property
    def is_low(self) -> bool:
        """Whether so few are left that the worker may be given more: it then never waits for the loop."""
        return len(self._jobs) <= self._refill

    def give(self, jobs: Sequence[str]) -> None:
        """Put a batch into the worker's hand."""
        self._jobs += jobs
        self._unanswered.update(jobs)
        self._refill = len(jobs) // 2

    def note_answer(self, job: str) -> None:
        """Take note that the worker has answered for a job."""
        self._unanswered.discard(job)

    def take(self, job: str) -> bool:
        """Take a job out, for whose answer the loop has seen; return whether it was in hand."""
        if job not in self._jobs:
            return False
        self._jobs.remove(job)
        return True

    def take_all(self) -> tuple[str, ...]:
        """Take all jobs out; return those that the worker has not answered for."""
        lost = tuple(job for job in self._jobs if job in self._unanswered)
        self._jobs = []
        self._unanswered.clear()
        return lost

"""The jobs that a seat has in hand. Knows ids only."""

from __future__ import annotations

from collections.abc import Collection, Sequence


class InHand:
    """Jobs that were given to a seat and that it has not answered for."""

    def __init__(self) -> None:
        self._jobs: dict[str, None] = {}
        self._refill = 0

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def jobs(self) -> tuple[str, ...]:
        """The ids, in the order in which they were given."""
        return tuple(self._jobs)

    @property
    def is_low(self) -> bool:
        """Whether so few are left that the seat may be given more: its worker then never waits for the loop."""
        return len(self._jobs) <= self._refill

    def give(self, jobs: Sequence[str]) -> None:
        """Put a batch into the hand."""
        self._jobs.update(dict.fromkeys(jobs))
        self._refill = len(jobs) // 2

    def take(self, job: str) -> bool:
        """Take a job out, which is answered for; return whether it was in hand."""
        if job not in self._jobs:
            return False
        del self._jobs[job]
        return True

    def among(self, jobs: Collection[str]) -> tuple[str, ...]:
        """Return those of some jobs that are in hand."""
        return tuple(job for job in jobs if job in self._jobs)

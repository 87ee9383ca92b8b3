"""Orders that nobody wants any more, and the stop of a dream whose pictures are all among them.

Knows ids and threads. Knows no pictures.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager


class StoppedError(BaseException):
    """The dream that runs is not wanted any more.

    It passes through plugins, which may catch every Exception.
    """


class Cancels:
    """The orders that were cancelled.

    An order that is dreamed together with others goes on with them, and so nobody waits for its end: it is answered at
    once, like one that waits. One whose dream can be stopped is answered when it has stopped. A cancel that comes after
    the answer says nothing of an order that comes later for the same job.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._inside: set[str] = set()
        self._unwanted: set[str] = set()
        self._answered: set[str] = set()
        self._dreamed: frozenset[str] = frozenset()

    def enter(self, job: str) -> None:
        """Take note of the order of a job, which comes into the worker."""
        with self._lock:
            self._inside.add(job)

    def add(self, jobs: Collection[str]) -> list[str]:
        """Cancel the orders of jobs that are in the worker; return those that are to be answered now."""
        with self._lock:
            mine = [job for job in jobs if job in self._inside]
            self._unwanted.update(mine)
            stops = self._dreamed if self._dreamed <= self._unwanted else frozenset()
            now = [job for job in mine if job not in stops and job not in self._answered]
            self._answered.update(now)
            return now

    def is_unwanted(self, job: str) -> bool:
        """Tell whether the order of a job was cancelled."""
        with self._lock:
            return job in self._unwanted

    def close(self, job: str) -> bool:
        """Forget the order of a job, which leaves the worker; return whether it is to be answered still."""
        with self._lock:
            was_answered = job in self._answered
            self._inside.discard(job)
            self._unwanted.discard(job)
            self._answered.discard(job)
            return not was_answered

    @contextmanager
    def dreaming(self, jobs: Collection[str]) -> Iterator[None]:
        """Inside, the pictures of jobs are dreamed together."""
        with self._lock:
            self._dreamed = frozenset(jobs)
        try:
            yield
        finally:
            with self._lock:
                self._dreamed = frozenset()

    def check(self) -> None:
        """Raise StoppedError when none of the pictures that are dreamed is wanted any more."""
        with self._lock:
            if self._dreamed and self._dreamed <= self._unwanted:
                raise StoppedError

"""How busy a worker's device is. Knows seconds only."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_LOAD_SECONDS = 60.0
"""The time that the load is reckoned over, in seconds."""


class Load:
    """The load of a device, by the seconds of dreaming that its worker counts up."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._notes: deque[tuple[float, float]] = deque([(clock(), 0.0)])

    def note(self, busy_seconds: float) -> None:
        """Take note of how long the worker has dreamed since its start."""
        self._notes.append((self._clock(), busy_seconds))
        self._forget()

    def share(self) -> float:
        """Return the part of the last minute that it was dreaming, 0 to 1."""
        self._forget()
        begin, before = self._notes[0]
        elapsed = max(self._clock() - begin, 1e-3)
        return round(min(1.0, (self._notes[-1][1] - before) / elapsed), 2)

    def _forget(self) -> None:
        while len(self._notes) > 1 and self._notes[1][0] < self._clock() - _LOAD_SECONDS:
            self._notes.popleft()

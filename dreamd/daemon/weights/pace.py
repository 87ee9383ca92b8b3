"""How fast bytes come. Knows numbers only."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_SECONDS = 10.0
"""The time that the pace is reckoned over, in seconds."""


class BytesPace:
    """The bytes a second of the last ten seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._notes: deque[tuple[float, int]] = deque()

    def note(self, done: int) -> None:
        """Take note of how many bytes are here."""
        now = self._clock()
        self._notes.append((now, done))
        while len(self._notes) > 2 and self._notes[1][0] < now - _SECONDS:
            self._notes.popleft()

    @property
    def bytes_per_second(self) -> float | None:
        """The pace; None as long as nothing can be said of it. Where nothing comes any more it goes towards nothing."""
        if len(self._notes) < 2:
            return None
        begun, before = self._notes[0]
        elapsed = self._clock() - begun
        return (self._notes[-1][1] - before) / elapsed if elapsed > 0 else None

"""Slows down who guesses the token: each client more with each wrong one, and all of them together.

A try that comes too soon is refused without a look at what it says, so that many at a time bring no more than one after
the other. Knows clients by name, and clocks. Knows no request.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from dataclasses import dataclass

from dreamd.errors import DreamdError

FIRST_SECONDS = 1.0
"""The time in seconds that a client waits after its first wrong token; twice as long after each further one."""

_LONGEST_SECONDS = 60.0
"""The longest time in seconds that a client waits after a wrong token."""

_FORGET_SECONDS = 3600.0
"""The time in seconds without a wrong token after which a client counts as new."""

A_MINUTE = 60
"""The most wrong tokens a minute, of all clients together; then only clients that have shown the token may try."""

_MINUTE_SECONDS = 60.0

_MOST_CLIENTS = 4096
"""The most clients that are remembered, the last ones."""


class TooSoonError(DreamdError):
    """Too many wrong tokens were shown; the next try has to wait."""

    def __init__(self, seconds: float) -> None:
        """Say how long.

        Args:
            seconds: the time until a token is looked at again.
        """
        self.seconds = int(seconds) + 1
        super().__init__(f"too many wrong tokens; try again in {self.seconds} s")


@dataclass
class _Record:
    """What one client did.

    Attributes:
        wrong: the number of its wrong tokens since it counts as new.
        last: when it showed the last one, by the monotonic clock; 0 for never.
        free_at: when it may try again, by the same clock.
        has_token: whether it has ever shown the token.
    """

    wrong: int = 0
    last: float = 0.0
    free_at: float = 0.0
    has_token: bool = False


class Guesses:
    """Remembers who showed a wrong token, and when."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._all: deque[float] = deque()

    def check(self, client: str) -> None:
        """Let a client try. Raises TooSoonError when it has to wait."""
        now = time.monotonic()
        record = self._records.get(client, _Record())
        if record.free_at > now:
            raise TooSoonError(record.free_at - now)
        while self._all and self._all[0] <= now - _MINUTE_SECONDS:
            self._all.popleft()
        if len(self._all) >= A_MINUTE and not record.has_token:
            raise TooSoonError(self._all[0] + _MINUTE_SECONDS - now)

    def note_wrong(self, client: str) -> float:
        """Take note of a wrong token; returns the seconds that the client has to wait now."""
        now = time.monotonic()
        record = self._record(client)
        if now - record.last > _FORGET_SECONDS:
            record.wrong = 0
        seconds = min(FIRST_SECONDS * 2.0 ** min(record.wrong, 32), _LONGEST_SECONDS)
        record.wrong, record.last, record.free_at = record.wrong + 1, now, now + seconds
        self._all.append(now)
        return seconds

    def note_right(self, client: str) -> None:
        """Take note that a client has shown the token."""
        record = self._record(client)
        record.wrong, record.has_token = 0, True

    def _record(self, client: str) -> _Record:
        record = self._records.setdefault(client, _Record())
        self._records.move_to_end(client)
        while len(self._records) > _MOST_CLIENTS:
            self._records.popitem(last=False)
        return record

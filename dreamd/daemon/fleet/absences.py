"""Seats that are known and not open: until when each is not to be opened. Knows ids and times only."""

from __future__ import annotations

from dataclasses import dataclass

_WAIT_SECONDS = (1.0, 5.0, 30.0, 60.0)
"""The waits before a seat is opened again that was gone over no job, in seconds: longer each time."""


@dataclass
class _Absence:
    """How a seat is not open.

    Attributes:
        due: when it may be opened again, as a time of `time.monotonic`; None: when there is work.
        is_asked_for: whether the executor has been asked to open it since.
    """

    due: float | None
    is_asked_for: bool = False


class Absences:
    """All seats that are not open."""

    def __init__(self) -> None:
        self._seats: dict[str, _Absence] = {}
        self._failures: dict[str, int] = {}

    def __contains__(self, seat: str) -> bool:
        return seat in self._seats

    def add(self, seat: str, due: float | None) -> None:
        """Take note of a seat that is gone. `due`: when it may be opened again; None: when there is work."""
        self._seats[seat] = _Absence(due)

    def end(self, seat: str) -> None:
        """Take note that a seat is being opened, or gone for good."""
        self._seats.pop(seat, None)

    def next_wait(self, seat: str) -> float:
        """Return how many seconds a seat waits that is gone once more over no job."""
        self._failures[seat] = self._failures.get(seat, 0) + 1
        return _WAIT_SECONDS[min(self._failures[seat], len(_WAIT_SECONDS)) - 1]

    def forget_failures(self, seat: str) -> None:
        """Take note that a seat has worked."""
        self._failures.pop(seat, None)

    def expect_work(self, now: float) -> None:
        """Let those be opened that were waiting for work."""
        for absence in self._seats.values():
            if absence.due is None:
                absence.due = now

    def barred(self, now: float) -> frozenset[str]:
        """Return the seats that are not to be opened yet."""
        return frozenset(seat for seat, one in self._seats.items() if one.due is None or one.due > now)

    def take_due(self, now: float) -> bool:
        """Return whether a seat may be opened that the executor has not been asked for, and take it as asked for."""
        due = [one for one in self._seats.values() if one.due is not None and one.due <= now and not one.is_asked_for]
        for one in due:
            one.is_asked_for = True
        return bool(due)

    def next_due(self) -> float | None:
        """Return when the executor is to be asked for a seat next, as a time of `time.monotonic`."""
        return min(
            (one.due for one in self._seats.values() if one.due is not None and not one.is_asked_for), default=None
        )

"""Which seats are sick: a card that fails fast would else take one picture after the other, and fail them all.

A seat is sick when several pictures in a row failed at it while another seat dreams well. It then gets nothing for a
while, longer each time, and one picture at a time to prove itself. Knows ids and times only.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

_FAILURES = 3
"""The number of pictures in a row, all different, whose failure makes a seat sick."""

_REST_SECONDS = (30.0, 120.0, 600.0, 1800.0)
"""How long a sick seat gets nothing, in seconds: longer each time that it does not prove itself."""

_PICTURES_KNOWN = 10_000
"""The number of failed pictures of which it is remembered where they failed; the oldest is forgotten first."""


@dataclass
class _Record:
    """How one seat has done lately.

    Attributes:
        failed: the pictures that have failed at it since the last that did not.
        relapses: how often it was sick since then.
        until: until when it gets nothing, as a time of `time.monotonic`; 0: it never was sick.
        has_dreamed: whether a picture came out of it since it was sick last.
    """

    failed: set[str] = field(default_factory=set)
    relapses: int = 0
    until: float = 0.0
    has_dreamed: bool = False


class Sickness:
    """How every seat does."""

    def __init__(self) -> None:
        self._seats: dict[str, _Record] = {}
        self._failed_at: OrderedDict[str, set[str]] = OrderedDict()

    def note_dream(self, seat: str, job: str) -> None:
        """Take note that a picture came out: the seat is well."""
        self._seats[seat] = _Record(has_dreamed=True)
        self._failed_at.pop(job, None)

    def note_failure(self, seat: str, job: str, now: float) -> bool:
        """Take note that a picture failed at a seat; return whether that is the seat's fault and not the picture's.

        A picture that has failed elsewhere too says nothing of the seat.
        """
        places = self._places_known(job)
        has_failed_elsewhere = bool(places - {seat})
        places.add(seat)
        record = self._seats.setdefault(seat, _Record())
        if has_failed_elsewhere:
            return False
        record.failed.add(job)
        if len(record.failed) < (1 if record.relapses else _FAILURES) or not self._is_another_well(seat, now):
            return False
        record.until = now + _REST_SECONDS[min(record.relapses, len(_REST_SECONDS) - 1)]
        record.relapses += 1
        record.failed.clear()
        record.has_dreamed = False
        return True

    def rest_of(self, seat: str) -> float:
        """Return until when a seat gets nothing, as a time of `time.monotonic`."""
        record = self._seats.get(seat)
        return 0.0 if record is None else record.until

    def must_prove_itself(self, seat: str) -> bool:
        """Whether a seat was sick and nothing has come out of it since: it gets one picture at a time."""
        record = self._seats.get(seat)
        return record is not None and record.relapses > 0

    def places_of(self, job: str) -> frozenset[str]:
        """Return the seats at which a picture has failed: another may do better."""
        return frozenset(self._failed_at.get(job, ()))

    def _places_known(self, job: str) -> set[str]:
        places = self._failed_at.setdefault(job, set())
        self._failed_at.move_to_end(job)
        if len(self._failed_at) > _PICTURES_KNOWN:
            self._failed_at.popitem(last=False)
        return places

    def _is_another_well(self, seat: str, now: float) -> bool:
        return any(record.has_dreamed and record.until <= now for other, record in self._seats.items() if other != seat)

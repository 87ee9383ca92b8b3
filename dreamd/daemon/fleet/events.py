"""What executors tell of their seats, on its way to the loop: any thread puts it into the loop's queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, get_args

from dreamd.errors import FailureCause
from dreamd.executors.executor import Fault, Seat
from dreamd.messages import Said


@dataclass(frozen=True)
class Opened:
    """A seat is being opened."""

    seat: Seat


@dataclass(frozen=True)
class Spoke:
    """The worker at a seat said something."""

    seat: str
    message: Said


@dataclass(frozen=True)
class Closed:
    """A seat is gone: `Fleet.gone` says what the attributes are."""

    seat: str
    why: str
    fault: Fault
    failure: FailureCause | None


@dataclass(frozen=True)
class Refused:
    """A batch was given to a seat that was gone already, so that none of its jobs was begun."""

    jobs: tuple[str, ...]


@dataclass(frozen=True)
class Troubled:
    """No seats can be had, and why; None: that is over."""

    text: str | None


FleetEvent: TypeAlias = Opened | Spoke | Closed | Refused | Troubled


class Door:
    """The fleet as an executor sees it: everything that it tells becomes an event.

    An executor may be anybody's: what is no seat or message is refused where it is told, in the executor's own call.
    """

    def __init__(self, put: Callable[[FleetEvent], None]) -> None:
        """Put every event into the loop's queue."""
        self._put = put

    def seat(self, seat: Seat) -> None:
        """Tell that a seat is being opened. Raises TypeError when it is none."""
        _must_be(seat, Seat)
        self._put(Opened(seat))

    def said(self, seat: str, message: Said) -> None:
        """Tell what the worker at a seat said. Raises TypeError when that is no message."""
        _must_be(seat, str)
        _must_be(message, get_args(Said))
        self._put(Spoke(seat, message))

    def gone(self, seat: str, why: str, fault: Fault = "worker", failure: FailureCause | None = "worker") -> None:
        """Tell that a seat is gone. Raises TypeError when the fault is none of the three."""
        _must_be(seat, str)
        if fault not in get_args(Fault):
            raise TypeError(f"{fault!r} is no fault: one of {', '.join(get_args(Fault))}")
        self._put(Closed(seat, str(why), fault, failure))

    def trouble(self, text: str | None) -> None:
        """Tell that no seats can be had, or that this is over."""
        self._put(Troubled(text))


def _must_be(value: object, kinds: type | tuple[type, ...]) -> None:
    if not isinstance(value, kinds):
        names = [kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,))]
        raise TypeError(f"{value!r} is no {' or '.join(names)}")

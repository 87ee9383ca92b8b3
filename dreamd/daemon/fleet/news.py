"""What the loop hears of seats: what their workers say that concerns a job, and what became of a seat."""

from __future__ import annotations

from dataclasses import dataclass

from dreamd.errors import FailureCause
from dreamd.messages import Advanced, Done, NotDone, Ready, Writing, Yielded


@dataclass(frozen=True)
class SeatLost:
    """A seat is gone with what it had in hand, or did not come about.

    Attributes:
        jobs: the jobs that it had not answered for.
        reason: how it ended, for a person.
        was_ready: whether its worker had ever been ready; if not, its jobs are not to blame.
        plugin: the plugin that ended it by being loaded, and that workers do without from now on.
        failure: what its end says of the jobs; None: nothing, so that it costs them no attempt.
    """

    jobs: tuple[str, ...]
    reason: str
    was_ready: bool
    plugin: str | None = None
    failure: FailureCause | None = "worker"


@dataclass(frozen=True)
class SeatDreamed:
    """A picture came out.

    Attributes:
        kind: what kind of device is at the seat: pictures take as long at all of a kind.
    """

    answer: Done
    kind: str


@dataclass(frozen=True)
class SeatFailed:
    """A picture failed at a seat that is sick: the picture is not to blame, and goes elsewhere."""

    answer: NotDone


News = Ready | Advanced | Writing | NotDone | Yielded | SeatDreamed | SeatLost | SeatFailed
"""What the loop hears of seats."""

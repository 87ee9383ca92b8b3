"""One seat that is open, or being opened: its worker's word, what it has in hand, and when it must be looked after."""

from __future__ import annotations

from dataclasses import dataclass, field

from dreamd.daemon.fleet.in_hand import InHand
from dreamd.daemon.fleet.load import Load
from dreamd.daemon.fleet.views import WorkerState, WorkerView
from dreamd.errors import FailureCause
from dreamd.executors.executor import Seat
from dreamd.messages import Importing, Ready


@dataclass(frozen=True)
class Verdict:
    """Why the fleet has dropped a seat.

    Attributes:
        why: the same for a person.
        failure: what that says of the jobs in its hand; None: nothing.
        is_missed: whether it is to be opened again by itself.
        is_fault: whether something is wrong with it, so that it waits before that, longer each time, and says why.
    """

    why: str
    failure: FailureCause | None = None
    is_missed: bool = True
    is_fault: bool = False


@dataclass
class OpenSeat:
    """A seat as it is now. The roster alone changes it.

    Attributes:
        seat: what the executor told of it.
        deadline: when it has to be looked after, as a time of `time.monotonic`.
        ready: what its worker said when it could work; None: it is starting.
        importing: the plugin that its worker is loading; None: none, or one that is trusted.
        in_hand: the jobs that it has.
        cancelled: those of them that it was told to stop.
        cancelled_due: when it must have stopped them.
        load: how busy its device is.
        is_stale: whether it was opened with what no longer counts, so that it is dropped when its hand is empty.
        verdict: why it was dropped; None: it was not.
    """

    seat: Seat
    deadline: float
    ready: Ready | None = None
    importing: Importing | None = None
    in_hand: InHand = field(default_factory=InHand)
    cancelled: set[str] = field(default_factory=set)
    cancelled_due: float = 0.0
    load: Load = field(default_factory=Load)
    is_stale: bool = False
    verdict: Verdict | None = None

    @property
    def is_vacant(self) -> bool:
        """Whether it may be given a batch: a stale one once more, when it has nothing in hand."""
        if self.ready is None or self.verdict is not None or (self.in_hand and self.is_stale):
            return False
        return self.in_hand.is_low

    @property
    def next_look(self) -> float:
        """When it has to be looked after at the latest."""
        return min(self.deadline, self.cancelled_due) if self.cancelled else self.deadline

    def _state(self) -> WorkerState:
        if self.ready is None:
            return WorkerState.STARTING
        return WorkerState.BUSY if self.in_hand else WorkerState.IDLE

    def view(self, error: str | None) -> WorkerView:
        """Show it; `error` is how it ended the last time, if nothing went well since."""
        ready = self.ready
        return WorkerView(
            device=ready.device if ready else self.seat.device,
            device_name=ready.device_name if ready else "",
            precision=ready.precision if ready else "",
            state=self._state(),
            jobs=self.in_hand.jobs,
            pid=self.seat.pid,
            node=self.seat.node,
            error=error or (ready.warning if ready else None) or None,
            busy_share=self.load.share() if self.in_hand else 0.0,
            threads=ready.threads if ready else None,
            processors=ready.processors if ready else "",
            memory_limit=ready.memory if ready else None,
        )

"""Executors bring seats: places at which batches of jobs are dreamed, on this machine or on others.

An executor opens seats, carries batches to them and tells what is said there. Which seat gets what, how long it may
take, and which one is sick, the daemon decides: none of that is an executor's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from dreamd.errors import FailureCause
from dreamd.messages import Batch, Said
from dreamd.settings.config import Config

Fault = Literal["worker", "node", "cluster"]
"""Why a seat is gone. Its worker ended, perhaps by what it was dreaming; its machine is gone; nothing can be reached.
Only the first may be a picture's fault, and costs the pictures in its hand an attempt."""


@dataclass(frozen=True, kw_only=True)
class Seat:
    """A place at which batches are dreamed: one worker on one device.

    Attributes:
        id: its name, which no other seat of the executor has. It has the same one each time it is opened, so that a
            seat that fails is known again.
        device: what it dreams on, until its worker says so itself: `cpu`, `cuda:1`.
        node: the machine; empty for this one.
        pid: the number of its worker's process on this machine; None elsewhere.
        is_spare: whether another seat takes the processor when no GPU can be used, so that this one need not open.
    """

    id: str
    device: str
    node: str = ""
    pid: int | None = None
    is_spare: bool = False


@dataclass(frozen=True, kw_only=True)
class Demand:
    """How much is to be dreamed.

    Attributes:
        jobs: how many jobs wait or run; at least 1 while seats are wanted for another reason.
        barred: the seats that are not to be opened now: they were unloaded, or wait after they failed.
    """

    jobs: int
    barred: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What seats are opened with from now on.

    Attributes:
        config: the daemon's config.
        distrusted: the plugins that must not be loaded, because that ended a worker, each with the reason.
    """

    config: Config
    distrusted: Mapping[str, str]


class Fleet(Protocol):
    """The daemon's side: it is told what becomes of seats. Each method may be called from any thread, and returns at
    once. What is told of one seat counts in the order in which it is told."""

    def seat(self, seat: Seat) -> None:
        """A seat is being opened. It is given nothing until its worker has said `Ready`."""

    def said(self, seat: str, message: Said) -> None:
        """The worker at a seat said something. `Done` only once the result lies in the order's folder."""

    def gone(self, seat: str, why: str, fault: Fault = "worker", failure: FailureCause | None = "worker") -> None:
        """A seat is gone, and nothing more is told of it until it is opened anew.

        Args:
            seat: its id.
            why: how it ended, for a person.
            fault: whose end it was.
            failure: what its end says of the jobs in its hand; None: nothing.
        """

    def trouble(self, text: str | None) -> None:
        """No seats can be had, and why, for a person; None: that is over. Jobs wait meanwhile."""


@dataclass(frozen=True, kw_only=True)
class ExecutorContext:
    """What an executor is made with.

    Attributes:
        config: the daemon's config.
    """

    config: Config


class Executor(Protocol):
    """Where seats come from. The daemon's loop alone calls its methods, and waits for each: what takes time is done in
    threads or processes of the executor's own."""

    def open(self, fleet: Fleet) -> None:
        """Begin, with whom to tell of seats. Called once, first of all; `renew` and `want` follow."""

    def want(self, demand: Demand) -> None:
        """Open the seats that are worth it for so many jobs, and are not open. Called when the demand has changed."""

    def order(self, seat: str, batch: Batch) -> bool:
        """Give a batch to a seat that is open; return False when nothing was given, because it is gone.

        Each of its jobs is then answered by a `Done`, `NotDone` or `Yielded` there, or the seat is told to be gone.
        """

    def cancel(self, seat: str, jobs: Sequence[str]) -> None:
        """Have a seat stop working on jobs, soon; it answers for them as for all others, or need not."""

    def drop(self, seat: str, why: str, *, now: bool) -> None:
        """Close a seat: at once, whatever its worker does, or when its worker has ended by itself. It is told to be
        gone then."""

    def renew(self, bundle: Bundle) -> None:
        """Take what seats are opened with from now on. Those that are open are dropped by the daemon, each when its
        hand is empty."""

    def close(self, seconds: float) -> None:
        """End every seat, and wait for that as long as so many seconds."""

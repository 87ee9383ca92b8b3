"""What the loop is told of: everything that other threads and signals put into its one queue.

Knows the kinds of events, and what none of them means.
"""

from __future__ import annotations

import queue
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TypeAlias

from dreamd.daemon.fleet.events import FleetEvent
from dreamd.daemon.jobs.publishing import Published, PublishedTogether, PutAway
from dreamd.daemon.weights.fetch_process import FetchEvent
from dreamd.inbox.events import FileEvent


@dataclass(frozen=True)
class Signalled:
    """A signal arrived."""

    number: int


@dataclass(frozen=True)
class Crashed:
    """A thread met an error that it has no answer to."""

    error: BaseException


Event: TypeAlias = FileEvent | FleetEvent | FetchEvent | Published | PublishedTogether | PutAway | Signalled | Crashed

EventQueue: TypeAlias = "queue.SimpleQueue[Event]"
"""The loop's queue: any thread puts events into it, the loop alone takes them out."""


@contextmanager
def signals_to(put: Callable[[Signalled], None], *numbers: signal.Signals) -> Iterator[None]:
    """Turn signals into events inside; afterwards the handlers are as before."""

    def handle(number: int, _frame: FrameType | None) -> None:
        put(Signalled(number))

    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: the handler before was not Python's, and cannot be named.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

"""A watcher on a desk: its queue and its clock are in the test's hands."""

from __future__ import annotations

import os
import queue
import time
from contextlib import suppress
from pathlib import Path, PurePosixPath

from dreamd.inbox.events import FileEvent
from dreamd.inbox.settling import Settled
from dreamd.inbox.watcher import Watcher

PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
PNG = b"\x89PNG\r\n\x1a\n" + (200).to_bytes(4, "big") + b"IDAT" + bytes(204) + PNG_END
HALF = PNG[:100]
"""A picture that is still being copied."""

UNKNOWN = b"no picture that anyone knows"
WAIT_SECONDS = 10.0


class Desk:
    """A watcher with its queue and a clock that stands still until it is turned."""

    def __init__(self, inbox: Path, **settings: object) -> None:
        self.inbox = inbox
        self.now = 1000.0
        self.events: queue.SimpleQueue[FileEvent] = queue.SimpleQueue()
        defaults = {"notify": self.events.put, "backend": "auto", "settle_seconds": 1.0, "rescan_seconds": 30.0}
        self.watcher = Watcher(inbox, clock=lambda: self.now, **(defaults | settings))

    def start(self) -> Desk:
        self.watcher.start()
        return self

    def due(self, after: float = 0.0) -> list[object]:
        """What the loop gets, which calls again as long as the next deadline is past."""
        self.now += after
        found = self.watcher.due(self.now)
        while (deadline := self.watcher.next_deadline()) is not None and deadline <= self.now:
            found += self.watcher.due(self.now)
        return found

    def paths(self, after: float = 0.0) -> list[str]:
        return [os.fspath(found.path) for found in self.due(after) if isinstance(found, Settled)]

    def until(self, kind: str, path: str) -> None:
        """Handles events up to the one that is waited for."""
        while True:
            event = self.events.get(timeout=WAIT_SECONDS)
            self.watcher.handle(event)
            if (event.kind, event.path) == (kind, path):
                return

    def find(self) -> list[object]:
        """What is found first, by events or by walks."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not (found := self.due(after=1)) and time.monotonic() < deadline:
            with suppress(queue.Empty):
                self.watcher.handle(self.events.get(timeout=0.1))
        return found

    def settle(self, count: int) -> list[object]:
        """What settles by events alone, until there are `count`; the clock stands still."""
        found = self.due()
        deadline = time.monotonic() + WAIT_SECONDS
        while len(found) < count and time.monotonic() < deadline:
            self.watcher.handle(self.events.get(timeout=WAIT_SECONDS))
            found += self.due()
        return found


def by_event(path: str) -> Settled:
    return Settled(PurePosixPath(path), "event")


def by_rescan(path: str) -> Settled:
    return Settled(PurePosixPath(path), "rescan")

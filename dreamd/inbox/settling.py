"""Which files have settled: what is pending, and when it is inspected again.

While somebody is known to write a file, it does not settle; nor while somebody may write it who created it and has not
closed it, unless that takes very long. Else it settles
- at once, when it was moved into place, or its bytes are a whole picture and nobody writes it;
- when it has not changed for `patience_seconds`, if it is empty, or its bytes are a picture without its end;
- when it has not changed for `settle_seconds`, in all other cases.
"""

from __future__ import annotations

import heapq
import itertools
import time
from dataclasses import dataclass, field
from math import inf
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal, TypeAlias

from dreamd.inbox.by_folder import ByFolder
from dreamd.inbox.wholeness.judging import Wholeness

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from dreamd.inbox.wholeness.appearance import Appearance

_INSPECTIONS_A_TURN = 2_000
"""The number of files that are inspected before the loop has its turn again; one takes about 40 µs."""

_TURN_SECONDS = 0.004
"""The time for inspecting files before the loop has its turn again, in seconds; a few are read from end to end."""

_MOST_WAITING = 20_000
"""The number of files that are due to be inspected before no more are looked for."""

_WRITER_SECONDS = 0.25
"""The time between two looks at a file that somebody writes, in seconds; with inotify its end is an event."""

_OPEN_SECONDS = 600.0
"""The time in seconds after which a file counts as closed that was created, is still, and was not seen to be closed."""

FoundBy: TypeAlias = Literal["event", "rescan"]

Arrival: TypeAlias = Literal["created", "closed", "moved", "seen"]
"""How a file came: it was created and is open, was closed by its writer, was moved into place, or was just seen."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A file that is whole. `path` is relative to the inbox; `stamp` is the one that it settled with."""

    path: PurePosixPath
    found_by: FoundBy
    stamp: int = field(default=0, compare=False)


@dataclass(slots=True)
class _Pending:
    """A file that has not settled yet.

    Attributes:
        found_by: what has told of it.
        was_moved: whether it was moved into place, and nobody has been seen writing it since.
        is_open: whether it was created, and not closed since.
        stamp: its stamp when it was inspected last.
        since: when it was first seen with this stamp.
        at: when it is inspected again.
    """

    found_by: FoundBy
    was_moved: bool = False
    is_open: bool = False
    stamp: int = 0
    since: float = 0.0
    at: float = 0.0


class Settling:
    """Inspects files that were found until they have settled, and reports each once.

    A file is reported again only when it has changed, or went and came again.
    """

    def __init__(
        self, inspect: Callable[[str], Appearance | None], *, settle_seconds: float, patience_seconds: float
    ) -> None:
        """Begin with no file.

        Args:
            inspect: says how the file at a path relative to the inbox appears; None: there is none to report.
            settle_seconds: how long a file must be still when nothing else shows that it is whole.
            patience_seconds: how long it must be still when something shows that it is not.
        """
        self._inspect = inspect
        self._settle_seconds = settle_seconds
        self._patience_seconds = max(settle_seconds, patience_seconds)
        self._pending: ByFolder[_Pending] = ByFolder()
        self._reported: ByFolder[int] = ByFolder()
        self._deadlines: list[tuple[float, int, str]] = []  # the number keeps those of one time in their order
        self._numbers = itertools.count()

    @property
    def has_pending(self) -> bool:
        """Whether there are files that have not settled yet, as far as is known."""
        return len(self._pending) > 0

    def is_behind(self, now: float) -> bool:
        """Return whether so many files wait to be inspected that no more should be looked for meanwhile."""
        return len(self._deadlines) >= _MOST_WAITING and self._deadlines[0][0] <= now

    def expect(self, path: str, at: float, *, found_by: FoundBy, arrival: Arrival = "seen") -> None:
        """Inspect a file at a time; what an event has told of counts as found by it, whatever found it before."""
        pending = self._pending.get(path)
        if pending is None:
            pending = _Pending(found_by)
            self._pending.put(path, pending)
        if found_by == "event":
            pending.found_by = "event"
        if arrival == "moved":
            pending.was_moved = True
        if arrival != "seen":
            pending.is_open = arrival == "created"
        self._schedule(path, pending, at)

    def hasten(self, path: str, stamp: int, at: float) -> None:
        """Inspect a pending file at a time, if it has changed since it was inspected."""
        pending = self._pending.get(path)
        if pending is not None and pending.stamp != stamp:
            self._schedule(path, pending, at)

    def mistrust_events(self, at: float) -> None:
        """Take in that events were lost, and inspect at a time every file that waits for one."""
        for path, pending in self._pending.items():
            if pending.is_open:
                pending.is_open = False
                self._schedule(path, pending, at)

    def report_again(self, path: str, at: float) -> None:
        """Report a file once more at a time, if it is still there then."""
        pending = _Pending("event", stamp=self._reported.pop(path) or 0, since=-inf)
        self._pending.put(path, pending)
        self._schedule(path, pending, at)

    def awaits(self, path: str) -> bool:
        """Return whether a file is to be inspected again."""
        return path in self._pending

    def is_known(self, path: str, stamp: int) -> bool:
        """Return whether a file is pending, or was reported with this stamp."""
        return path in self._pending or self._reported.get(path) == stamp

    def reported_stamp(self, path: str) -> int | None:
        """Return the stamp with which a file was reported; None: it was not, or that counts no more."""
        return self._reported.get(path)

    def forget_report(self, path: str) -> None:
        """Take in that what is at a path now is another file than the one reported, however much it looks like it."""
        self._reported.pop(path)

    def forget(self, path: str) -> None:
        """Take in that a file is gone."""
        self._pending.pop(path)
        self._reported.pop(path)

    def forget_below(self, folder: str) -> None:
        """Take in that a folder is gone, with all that was in it."""
        self._forget_folders(lambda known: known == folder or known.startswith(f"{folder}/"))

    def keep_folders(self, folders: Collection[str]) -> None:
        """Take in that there are no other folders than these, "" for the inbox itself."""
        self._forget_folders(lambda known: known not in folders)

    def reported_in(self, folder: str) -> set[str]:
        """Return the names of the files in a folder that were reported, "" for the inbox itself."""
        return self._reported.names_in(folder)

    def names_in(self, folder: str) -> set[str]:
        """Return the names of the files in a folder that are pending, or were reported."""
        return self._pending.names_in(folder) | self._reported.names_in(folder)

    def _forget_folders(self, is_gone: Callable[[str], bool]) -> None:
        for folder in {*self._pending.folders(), *self._reported.folders()}:
            if is_gone(folder):
                for name in self.names_in(folder):
                    self.forget(f"{folder}/{name}" if folder else name)

    def settle(self, now: float) -> list[Settled]:
        """Inspect what is due and return what has settled.

        Of very many files only some are inspected; `next_deadline` is then past.
        """
        found = []
        end = time.perf_counter() + _TURN_SECONDS
        for _ in range(_INSPECTIONS_A_TURN):
            if not self._deadlines or self._deadlines[0][0] > now or time.perf_counter() > end:
                break
            at, _, path = heapq.heappop(self._deadlines)
            pending = self._pending.get(path)
            if pending is not None and pending.at == at and (settled := self._settle_one(path, pending, now)):
                found.append(settled)
        return found

    def next_deadline(self) -> float | None:
        """Return when a file is to be inspected next; None while there is none."""
        while self._deadlines and self._is_outdated(*self._deadlines[0]):
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def _settle_one(self, path: str, pending: _Pending, now: float) -> Settled | None:
        """Inspect a file; report it where it has settled, and else say when it is inspected again."""
        appearance = self._inspect(path)
        if appearance is None:
            self.forget(path)
            return None
        if appearance.stamp == self._reported.get(path):
            self._pending.pop(path)
            return None
        if appearance.stamp != pending.stamp:
            pending.stamp, pending.since = appearance.stamp, now
        if appearance.has_writer:
            pending.was_moved = False  # whoever moved it goes on writing: now it must show that it is whole
        at = self._settles_at(pending, appearance, now)
        if at > now:
            self._schedule(path, pending, at)
            return None
        self._pending.pop(path)
        self._reported.put(path, appearance.stamp)
        return Settled(PurePosixPath(path), pending.found_by, appearance.stamp)

    def _settles_at(self, pending: _Pending, appearance: Appearance, now: float) -> float:
        """Return when a file that goes on looking like this has settled, or is to be inspected again."""
        if appearance.has_writer:
            return now + max(self._settle_seconds, _WRITER_SECONDS)
        if pending.is_open and appearance.has_writer is None and not appearance.has_other_names:
            return pending.since + max(_OPEN_SECONDS, self._patience_seconds)
        if appearance.wholeness is Wholeness.CUT_SHORT:
            return pending.since + self._patience_seconds
        if pending.was_moved or (appearance.wholeness is Wholeness.WHOLE and appearance.has_writer is False):
            return now
        return pending.since + self._settle_seconds

    def _schedule(self, path: str, pending: _Pending, at: float) -> None:
        pending.at = at
        heapq.heappush(self._deadlines, (at, next(self._numbers), path))

    def _is_outdated(self, at: float, _number: int, path: str) -> bool:
        pending = self._pending.get(path)
        return pending is None or pending.at != at

"""From files to settled files: says when a file in the inbox is whole and may be claimed.

Events are hints, the walk is the truth: a walk over the whole inbox, every `rescan_seconds`, finds what events missed,
and is all there is where inotify cannot see (shares). Nothing here runs by itself but watchdog's threads, and those
only put `FileEvent`s into the queue that they were given. Everything else is done by the daemon's loop, which calls
`handle` for each of them, and `due` at `next_deadline`.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

from dreamd.files.problems import refusal
from dreamd.inbox.ignored import Ignored
from dreamd.inbox.recipes import RecipeChanged, RecipeChanges, is_recipe
from dreamd.inbox.rescans import MissedEvents, RescanTimes
from dreamd.inbox.settling import Arrival, Settled, Settling
from dreamd.inbox.walk import Walker
from dreamd.inbox.watch import Backend, Watch
from dreamd.inbox.wholeness.appearance import Appearance, inspect, stamp, status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from dreamd.inbox.events import FileEvent

log = logging.getLogger(__name__)

_LOOK_FOR_INBOX_SECONDS = 1.0
"""The shortest time between two looks whether the inbox is still the folder that is watched, in seconds."""

_WALK_SECONDS = 0.004
"""The time that a walk goes on before the loop has its turn again, in seconds."""

_STEP_ENTRIES = 512
"""The number of files after which a walk may pause."""

_FOLDER_ENTRIES = 8
"""A folder takes a walk as long as so many files."""

_MOST_IN_ORDER = 10_000
"""The most files of a folder that are put in the order in which they came."""

Finding: TypeAlias = Settled | RecipeChanged


class Watcher:
    """Finds the files in an inbox and reports each once, when it has settled.

    Attributes:
        overflows: how often the system lost events.
    """

    def __init__(
        self,
        inbox: Path,
        *,
        notify: Callable[[FileEvent], None],
        backend: Backend = "auto",
        settle_seconds: float = 1.0,
        patience_seconds: float = 60.0,
        rescan_seconds: float = 30.0,
        ignore: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up; nothing is touched before `start`.

        Args:
            inbox: the folder to watch with all below it; it may come and go.
            notify: takes a `FileEvent` from another thread and does no more than to queue it for `handle`.
            backend: "auto" takes inotify where it sees everything and polls elsewhere.
            settle_seconds: how long a file must be still when nothing else shows that it is whole.
            patience_seconds: how long it must be still when something shows that it is not.
            rescan_seconds: how often the whole inbox is walked; less often beside inotify, where a walk takes long.
            ignore: patterns (`*.part`) of the names of files and folders to leave alone, besides those that are left
                alone in every inbox.
            clock: the time in seconds that `due` and `next_deadline` speak of.
        """
        self._clock = clock
        self._rescan_seconds = rescan_seconds
        self._ignored = Ignored(ignore)
        self._watch = Watch(inbox, wish=backend, notify=notify, ignored=self._ignored, clock=clock)
        self._walker = Walker(self._ignored)
        self._settling = Settling(self._inspect, settle_seconds=settle_seconds, patience_seconds=patience_seconds)
        self._recipes = RecipeChanges()
        self._rescans = RescanTimes(rescan_seconds)
        self._missed = MissedEvents()
        self._is_started = False
        self._is_first_walk = True
        self._walk: Iterator[None] | None = None
        self._walk_cost = 0.0
        self._looked_for_inbox_at = 0.0
        self.overflows = 0

    @property
    def backend(self) -> str:
        """How the inbox is watched and why so: "inotify", "polling: nfs", "waiting: … is not there"."""
        return self._watch.backend

    @property
    def has_pending(self) -> bool:
        """Whether there are files that have not settled yet, as far as is known, or some may still be found."""
        return self._settling.has_pending or self._walk is not None

    @property
    def found_by_rescan_only(self) -> int:
        """How many files only a walk found although inotify watched: the alarm for a broken watch."""
        return self._missed.count

    @property
    def skipped(self) -> Mapping[str, str]:
        """What is left in the inbox though somebody may have meant it to be taken, such as a link, and why."""
        return self._walker.skipped

    def start(self) -> None:
        """Set up the watch; the files that are there already are found by the first `due`."""
        self._is_started = True
        self._is_first_walk = True
        self._watch.open()
        # The walk comes after the watch: what arrives in between is seen twice rather than never.
        self._rescans.start(self._clock())

    def stop(self) -> None:
        """Take the watch down and end its threads."""
        self._is_started = False
        self._watch.close()

    def handle(self, event: FileEvent) -> None:
        """Take in one event; call `due` when the queue is empty."""
        if event.kind == "overflow":
            self.overflows += 1
            self._settling.mistrust_events(self._clock())
            self._rescans.hurry(self._clock())
        elif event.kind == "limit" or not event.path:
            self._rescans.hurry(self._clock())
        elif self._ignored.path(event.path, is_folder=event.is_folder and not is_recipe(event.path)):
            return
        elif is_recipe(event.path):
            self._handle_recipe(event)
        elif event.is_folder:
            self._handle_folder(event)
        else:
            self._handle_file(event)

    def due(self, now: float) -> list[Finding]:
        """Return what has settled by `now`, changed recipes first; walk the inbox when it is time to.

        A file is reported once, and again only when it has changed, or went and came again. Of very many files only
        some are inspected, and `next_deadline` is then past.
        """
        if self._is_started:
            self._look_for_inbox(now)
            if self._walk is not None:
                self._walk_on()
            elif now >= self._rescans.next:
                self.rescan()
        return [*self._recipes.take(), *self._settling.settle(now)]

    def is_unchanged(self, path: PurePosixPath) -> bool:
        """Return whether a file is as it was reported; one that is not is reported again when it has settled again."""
        status = status_of(self._full(os.fspath(path)))
        return status is not None and stamp(status) == self._settling.reported_stamp(os.fspath(path))

    def reported_in(self, folder: PurePosixPath) -> set[str]:
        """Return the names of the files in a folder that were reported and, as far as is known, are there still."""
        return self._settling.reported_in("" if folder == PurePosixPath() else os.fspath(folder))

    def next_deadline(self) -> float | None:
        """Return when `due` is to be called next, if no event comes before; None while stopped."""
        if not self._is_started:
            return None
        inspection = self._settling.next_deadline()
        if self._walk is not None and not self._settling.is_behind(self._clock()):
            return self._clock()
        return self._rescans.next if inspection is None else min(self._rescans.next, inspection)

    def postpone(self, path: PurePosixPath) -> None:
        """Report a file again after `rescan_seconds`, if it is still there: for one that could not be claimed."""
        self._settling.report_again(os.fspath(path), self._clock() + self._rescan_seconds)

    def forget_report(self, path: PurePosixPath) -> None:
        """Report a file again when the next walk or event finds it: for one that was claimed, or seemed to be gone."""
        self._settling.forget_report(os.fspath(path))

    def rescan(self) -> None:
        """Repair the watch, and begin to walk the inbox: take in what is new or changed, and forget what has gone.

        A large inbox is walked in steps, as `due` is called.
        """
        self._walk = None
        if self._watch.repair():
            self._is_first_walk = True
            self._settling.mistrust_events(self._clock())
        began = self._clock()
        if not self._watch.has_inbox:
            self._settling.keep_folders(())
            self._rescans.await_inbox(began)
            return
        # A file that inotify should have told of, and has not until the next walk, is one that it missed.
        self._missed.begin_walk(counts=self._watch.has_events and not self._is_first_walk)
        self._is_first_walk = False
        self._rescans.begin()
        self._walk, self._walk_cost = self._steps_of_walk(), 0.0
        self._walk_on()

    def awaits(self, path: PurePosixPath) -> bool:
        """Return whether a file has not settled yet, or is to be reported again."""
        return self._settling.awaits(os.fspath(path))

    def _look_for_inbox(self, now: float) -> None:
        """Walk at once when the inbox is not the folder any more that is watched: no event tells of a new mount."""
        if now >= self._looked_for_inbox_at + _LOOK_FOR_INBOX_SECONDS:
            self._looked_for_inbox_at = now
            if self._watch.is_elsewhere():
                self._walk = None
                self._rescans.start(now)

    def _walk_on(self) -> None:
        """Walk on for a moment, unless inspections lag behind; at the end of the walk plan the next one."""
        if self._walk is None or self._settling.is_behind(self._clock()):
            return
        began, end = self._clock(), time.perf_counter() + _WALK_SECONDS
        for _ in self._walk:
            if time.perf_counter() > end:
                self._walk_cost += self._clock() - began
                return
        self._walk = None
        now = self._clock()
        self._rescans.finish(began - self._walk_cost, now, has_events=self._watch.has_events)

    def _steps_of_walk(self) -> Iterator[None]:
        """Take in all that is in the inbox, folder by folder; yields where the walk may pause."""
        self._walker.begin()
        recipes: set[str] = set()
        folders, walked, entries = [""], set[str](), 0
        while folders:
            folder = folders.pop()
            walked.add(folder)
            entries += _FOLDER_ENTRIES
            gone, new = self._settling.names_in(folder), list[tuple[int, str]]()
            for path, status in self._walker.folder(self._watch.root, folder, folders):
                entries += 1
                if is_recipe(path):
                    recipes.add(path)
                    self._recipes.see(path, stamp(status))
                else:
                    gone.discard(path.rpartition("/")[2])
                    self._take_in_file(path, status, new)
                if entries >= _STEP_ENTRIES:
                    entries = 0
                    yield
            self._expect_in_order(new)
            for name in gone:
                self._settling.forget(f"{folder}/{name}" if folder else name)
        self._walker.end()
        self._settling.keep_folders(walked)
        self._recipes.keep_only(recipes)

    def _take_in_file(self, path: str, status: os.stat_result, new: list[tuple[int, str]]) -> None:
        """Take in a file that a walk met, among those of its folder that are new."""
        self._settling.hasten(path, stamp(status), self._clock())
        if not self._settling.is_known(path, stamp(status)):
            new.append((status.st_ctime_ns, path))
            if len(new) >= _MOST_IN_ORDER:
                self._expect_in_order(new)

    def _expect_in_order(self, new: list[tuple[int, str]]) -> None:
        """Have files inspected, first come, first served, though the walk meets them in any order."""
        for _, path in sorted(new):
            self._settling.expect(path, self._clock(), found_by="rescan")
            self._missed.found_by_walk(path)
        new.clear()

    def _handle_folder(self, event: FileEvent) -> None:
        """Walk a folder that came, because what is in a folder that is moved has no events of its own."""
        if event.kind == "deleted":
            self._settling.forget_below(event.path)
            self._recipes.forget_below(event.path)
            return
        for path, status in self._walker.below(self._watch.root, event.path):
            if is_recipe(path):
                self._recipes.see(path, stamp(status))
            else:
                self._expect(path, "moved" if event.kind == "moved" else "seen")

    def _handle_recipe(self, event: FileEvent) -> None:
        status = status_of(self._full(event.path))
        if event.kind == "created" and status is not None and stat.S_ISREG(status.st_mode):
            return  # it is still empty, and is read when it is closed
        self._recipes.see(event.path, None if status is None else stamp(status))

    def _handle_file(self, event: FileEvent) -> None:
        if event.kind == "deleted":
            self._settling.forget(event.path)
            return
        if event.kind == "moved" and not self._missed.is_unannounced(event.path):
            self._settling.forget_report(event.path)
        arrival: Arrival = event.kind if event.kind in ("created", "closed", "moved") else "seen"
        self._expect(event.path, arrival)

    def _expect(self, path: str, arrival: Arrival) -> None:
        self._missed.announce(path)
        self._settling.expect(path, self._clock(), found_by="event", arrival=arrival)

    def _inspect(self, path: str) -> Appearance | None:
        try:
            return inspect(self._full(path), leases=self._watch.trusts_leases)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            # Not reported, so that the next walk finds it again.
            log.warning("cannot look at %r in the inbox: %s; trying again later", path, refusal(error))
            return None

    def _full(self, path: str) -> str:
        return f"{self._watch.root}/{path}"  # no Path: this is done for each of 100,000 files

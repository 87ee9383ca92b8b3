"""From files to settled files: says when a file in the inbox is whole and may be claimed.

Events are hints, the rescan is the truth: a walk over the whole inbox, every `rescan_seconds`, finds what events
missed, and is all there is where inotify cannot see (shares). Nothing here runs by itself but watchdog's threads, and
those only put `FileEvent`s into the queue that they were given; everything else is done by the daemon's loop, which
calls `handle` for each of them and `due` at `next_deadline`. Knows files and times; knows no job, no recipe's content
and no folder but the inbox.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import logging
import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, TypeAlias

from dreamd.inbox.filesystems import MOUNTS, filesystem_type, is_deaf
from dreamd.inbox.ignored import RECIPES, Ignored
from dreamd.inbox.inotify import FileEvent, InboxObserver
from dreamd.inbox.look import Look, look_at, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


_log = logging.getLogger(__name__)

_MISSING_SECONDS = 1.0
"""How often a missing inbox is looked for."""

_POLL_SECONDS = 1.0
"""How often an inbox without inotify is walked at most."""

_POLL_SHARE = 0.004
"""How much of one core that walking may cost; a large tree is walked less often."""

_RESCAN_SHARE = 0.003
"""How much of one core rescans may cost beside inotify."""

_RESCANS_LEFT_OUT = 10

_BETWEEN_RESCANS_SECONDS = 1.0
"""How long a rescan that trouble calls for waits after the one before."""

_LOOKS_A_TURN = 2_000
"""Files looked at before the loop has its turn again; a look takes about 40 µs."""

_WRITER_SECONDS = 0.25
"""How often a file that somebody writes is looked at, at the most; its end is an event where there is inotify."""

_LIMIT_RETRY_SECONDS = 600.0
"""How often inotify is tried again after its limit was reached."""

Backend = Literal["auto", "inotify", "polling"]


@dataclass(frozen=True, slots=True)
class Settled:
    """A file that is whole. `path` is relative to the inbox; `stamp` is the look that it settled with."""

    path: PurePosixPath
    found_by: Literal["event", "rescan"]
    stamp: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class RecipeChanged:
    """A folder's recipe file came, changed or went. `folder` is relative to the inbox, "." for its root."""

    folder: PurePosixPath


Finding: TypeAlias = Settled | RecipeChanged


@dataclass(slots=True)
class _Pending:
    """A file that is not settled yet: `stamp` has been its look since `since`; it is looked at again at `at`."""

    found_by: Literal["event", "rescan"]
    moved: bool = False
    stamp: int = 0
    since: float = 0.0
    at: float = 0.0


class Watcher:
    """Finds the files in an inbox and reports each once, when it has settled.

    A file settles at once when it was moved into place, or when nobody writes it and its bytes are a complete picture;
    else when it has not changed for `settle_seconds` and nobody is known to write it.

    Args:
        inbox: the folder to watch with all below it; it may come and go.
        notify: takes a `FileEvent` from another thread and does no more than to queue it for `handle`.
        backend: "auto" takes inotify where it sees everything and polls elsewhere.
        settle_seconds: how long a file must be still when nothing else shows that it is whole.
        rescan_seconds: how often the whole inbox is walked; seldomer beside inotify, where a walk takes long.
        ignore: patterns (`*.part`) of the names of files and folders to leave alone, besides dotfiles, temporary names
            and system litter.
        clock: the time in seconds that `due` and `next_deadline` speak of.

    Attributes:
        found_by_rescan_only: how many files only a rescan found although inotify watched: the alarm for a broken watch.
        overflows: how often the system lost events.
        rebuilds: how often the watch was set up anew, because it died or the inbox went or came.
    """

    def __init__(
        self,
        inbox: Path,
        *,
        notify: Callable[[FileEvent], None],
        backend: Backend = "auto",
        settle_seconds: float = 1.0,
        rescan_seconds: float = 30.0,
        ignore: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox = inbox
        self._notify = notify
        self._wish = backend
        self._settle_seconds = settle_seconds
        self._rescan_seconds = rescan_seconds
        self._ignored = Ignored(ignore)
        self._clock = clock

        self._root = os.fspath(inbox)
        self._identity: tuple[int, int] | None = None
        self._observer: InboxObserver | None = None
        self._backend = "stopped"
        self._leases = True
        self._retry_at: float | None = None
        self._started = False

        self._pending: dict[str, _Pending] = {}
        self._deadlines: list[tuple[float, int, str]] = []  # the number keeps those of one time in their order
        self._numbers = itertools.count()
        self._reported: dict[str, int] = {}
        self._recipes: dict[str, int] = {}
        self._changed_recipes: set[str] = set()
        self._unannounced: set[str] = set()
        self._unreadable: set[str] = set()
        self._next_rescan = 0.0
        self._last_rescan = -_BETWEEN_RESCANS_SECONDS
        self._is_first_walk = True
        self._is_alarming = False

        self.found_by_rescan_only = 0
        self.overflows = 0
        self.rebuilds = 0

    @property
    def backend(self) -> str:
        """How the inbox is watched and why so: "inotify", "polling: nfs", "waiting: … is not there"."""
        return self._backend

    @property
    def has_pending(self) -> bool:
        """Whether there are files that have not settled yet, as far as is known."""
        return bool(self._pending)

    def start(self) -> None:
        """Sets up the watch; the files that are there already are found by the first `due`."""
        self._started = True
        self._open_watch()
        # The walk comes after the watch: what arrives in between is seen twice rather than never.
        self._next_rescan = self._clock()

    def stop(self) -> None:
        """Takes the watch down and ends its threads."""
        self._started = False
        self._close_watch()
        self._backend = "stopped"

    def handle(self, event: FileEvent) -> None:
        """Takes in one event; call `due` when the queue is empty."""
        if event.kind == "overflow":
            self.overflows += 1
            self._rescan_soon()
        elif event.kind == "limit" or not event.path:
            self._rescan_soon()
        elif self._ignored.path(event.path):
            return
        elif event.is_folder:
            self._handle_folder(event)
        elif event.path.rpartition("/")[2] in RECIPES:
            self._handle_recipe(event)
        elif event.kind == "deleted":
            self._forget(event.path)
        else:
            if event.kind == "moved" and event.path not in self._unannounced:
                self._reported.pop(event.path, None)  # another file, however much it looks like the one before
            self._expect(event.path, found_by="event", moved=event.kind == "moved")

    def due(self, now: float) -> list[Finding]:
        """What has settled by `now`, changed recipes first; walks the inbox when it is time to.

        A file is reported once, and again only when it has changed, or went and came again. Of very many files it looks
        at some only, and `next_deadline` is then past.
        """
        if self._started and now >= self._next_rescan:
            self.rescan()
        found: list[Finding] = [RecipeChanged(PurePosixPath(folder)) for folder in sorted(self._changed_recipes)]
        self._changed_recipes.clear()
        for _ in range(_LOOKS_A_TURN):
            if not self._deadlines or self._deadlines[0][0] > now:
                break
            at, _, path = heapq.heappop(self._deadlines)
            pending = self._pending.get(path)
            if pending is not None and pending.at == at and self._has_settled(path, pending, now):
                found.append(Settled(PurePosixPath(path), pending.found_by, pending.stamp))
        return found

    def is_unchanged(self, settled: Settled) -> bool:
        """Whether a file is still as it settled; one that is not is reported again when it has settled again."""
        return self._stamp_of(os.fspath(settled.path)) == settled.stamp

    def next_deadline(self) -> float | None:
        """When `due` is to be called next, if no event comes before; None while stopped."""
        if not self._started:
            return None
        while self._deadlines and self._is_outdated(*self._deadlines[0]):
            heapq.heappop(self._deadlines)
        return min(self._next_rescan, self._deadlines[0][0]) if self._deadlines else self._next_rescan

    def postpone(self, path: PurePosixPath) -> None:
        """Reports a file again after `rescan_seconds`, if it is still there: for one that could not be claimed."""
        name = os.fspath(path)
        self._reported.pop(name, None)
        self._pending[name] = pending = _Pending("event", moved=True)
        self._look_later(name, pending, self._clock() + self._rescan_seconds)

    def rescan(self) -> None:
        """Walks the inbox, takes in what is new or changed, and forgets what has gone; sets the watch right first."""
        self._check_watch()
        began = self._clock()
        if self._identity is None:
            self._pending.clear()
            self._reported.clear()
            self._next_rescan = began + min(_MISSING_SECONDS, self._rescan_seconds)
            return
        if self._is_alarming:
            self.found_by_rescan_only += len(self._unannounced)
        self._unannounced.clear()
        self._take_in_everything()
        # A file that inotify should have told of, and has not until the next rescan, is one that it missed.
        self._is_alarming = self._observer is not None and not self._is_first_walk
        self._is_first_walk = False
        self._last_rescan = self._clock()
        self._next_rescan = self._last_rescan + self._pause_after(self._last_rescan - began)

    def _take_in_everything(self) -> None:
        seen: set[str] = set()
        recipes: set[str] = set()
        new: list[tuple[int, str]] = []
        for path, status in self._walk(""):
            if path.rpartition("/")[2] in RECIPES:
                recipes.add(path)
                self._see_recipe(path, stamp(status))
                continue
            seen.add(path)
            if path not in self._pending and self._reported.get(path) != stamp(status):
                new.append((status.st_ctime_ns, path))
        for _, path in sorted(new):  # first come, first served, though the walk meets them in any order
            self._expect(path, found_by="rescan")
            self._unannounced.add(path)
        for known in (self._pending, self._reported):
            for path in [path for path in known if path not in seen]:
                del known[path]
        for path in self._recipes.keys() - recipes:
            self._see_recipe(path, None)

    def _pause_after(self, cost: float) -> float:
        if self._observer is not None:  # the rescan only makes sure: of a very large tree it does so less often
            return max(self._rescan_seconds, min(cost / _RESCAN_SHARE, _RESCANS_LEFT_OUT * self._rescan_seconds))
        return min(self._rescan_seconds, max(_POLL_SECONDS, cost / _POLL_SHARE))

    def _rescan_soon(self) -> None:
        soon = max(self._clock(), self._last_rescan + _BETWEEN_RESCANS_SECONDS)
        self._next_rescan = min(self._next_rescan, soon)

    # Files

    def _handle_folder(self, event: FileEvent) -> None:
        """What is in a folder that is moved has no events of its own."""
        if event.kind == "deleted":
            for known in (self._pending, self._reported):
                for path in [path for path in known if path.startswith(f"{event.path}/")]:
                    del known[path]
            return
        for path, status in self._walk(event.path):
            if path.rpartition("/")[2] in RECIPES:
                self._see_recipe(path, stamp(status))
            else:
                self._expect(path, found_by="event", moved=event.kind == "moved")

    def _handle_recipe(self, event: FileEvent) -> None:
        if event.kind == "created":
            return  # still empty: it is read when it is closed
        self._see_recipe(event.path, self._stamp_of(event.path))

    def _see_recipe(self, path: str, stamp: int | None) -> None:
        if stamp == self._recipes.get(path):
            return
        if stamp is None:
            del self._recipes[path]
        else:
            self._recipes[path] = stamp
        self._changed_recipes.add(path.rpartition("/")[0] or ".")

    def _expect(self, path: str, *, found_by: Literal["event", "rescan"], moved: bool = False) -> None:
        pending = self._pending.setdefault(path, _Pending(found_by))
        pending.moved = pending.moved or moved
        if found_by == "event":
            pending.found_by = "event"
            self._unannounced.discard(path)
        self._look_later(path, pending, self._clock())

    def _forget(self, path: str) -> None:
        self._pending.pop(path, None)
        self._reported.pop(path, None)

    def _look_later(self, path: str, pending: _Pending, at: float) -> None:
        pending.at = at
        heapq.heappush(self._deadlines, (at, next(self._numbers), path))

    def _is_outdated(self, at: float, _number: int, path: str) -> bool:
        pending = self._pending.get(path)
        return pending is None or pending.at != at

    def _has_settled(self, path: str, pending: _Pending, now: float) -> bool:
        look = self._look(path)
        if look is None:
            self._forget(path)
            return False
        if look.stamp == self._reported.get(path):
            del self._pending[path]
            return False
        if look.stamp != pending.stamp:
            pending.stamp, pending.since = look.stamp, now
        return self._settle(path, pending, look, now)

    def _settle(self, path: str, pending: _Pending, look: Look, now: float) -> bool:
        still = pending.since + self._settle_seconds
        if look.has_writer:
            pending.moved = False  # whoever moved it goes on writing: now it must show that it is whole
            self._look_later(path, pending, now + max(self._settle_seconds, _WRITER_SECONDS))
            return False
        if not (pending.moved or look.is_complete or now >= still):
            self._look_later(path, pending, still)
            return False
        del self._pending[path]
        self._reported[path] = look.stamp
        return True

    def _look(self, path: str) -> Look | None:
        try:
            return look_at(self._full(path), leases=self._leases)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            # Not reported, so that the next rescan finds it again.
            _log.warning("cannot look at %r in the inbox: %s; trying again later", path, error.strerror)
            return None

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"  # str, not Path: a walk does this 100,000 times

    def _stamp_of(self, path: str) -> int | None:
        try:
            status = os.lstat(self._full(path))
        except OSError:
            return None
        return stamp(status) if stat.S_ISREG(status.st_mode) else None

    def _walk(self, top: str) -> Iterator[tuple[str, os.stat_result]]:
        folders = [top]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(self._full(folder)) as entries:
                    yield from self._sorted_out(folder, entries, folders)
            except (FileNotFoundError, NotADirectoryError):
                continue  # gone meanwhile
            except OSError as error:
                self._complain(folder, error)
            else:
                self._unreadable.discard(folder)

    def _sorted_out(
        self, folder: str, entries: Iterator[os.DirEntry[str]], folders: list[str]
    ) -> Iterator[tuple[str, os.stat_result]]:
        for entry in entries:
            if self._ignored.name(entry.name):
                continue
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            elif entry.is_file(follow_symlinks=False):
                try:
                    yield path, entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # gone meanwhile

    def _complain(self, folder: str, error: OSError) -> None:
        if folder not in self._unreadable:
            self._unreadable.add(folder)
            _log.warning("cannot read the folder %r in the inbox: %s; its files wait", folder or ".", error.strerror)

    # The watch

    def _check_watch(self) -> None:
        """Sets up the watch anew where it died, or where the inbox went, came, or is another disk now.

        A root that is removed ends watchdog's emitter and leaves its observer running; a handler that raises ends the
        observer. Neither says so.
        """
        identity = self._identity_now()
        if identity == self._identity and self._is_watch_sound():
            return
        if identity is not None or self._identity is not None:
            self.rebuilds += 1
        self._close_watch()
        self._open_watch()

    def _is_watch_sound(self) -> bool:
        if self._observer is not None:
            return self._observer.is_sound()
        return self._retry_at is None or self._clock() < self._retry_at

    def _open_watch(self) -> None:
        self._identity = self._identity_now()
        self._is_first_walk = True
        if self._identity is None:
            return
        self._root = os.path.realpath(self._inbox)
        filesystem = filesystem_type(self._root, MOUNTS.read_text("utf-8", "surrogateescape"))
        deaf = is_deaf(filesystem)
        self._leases = not deaf
        if self._wish == "polling":
            self._set_backend("polling: as configured")
        elif self._wish == "auto" and deaf:
            self._set_backend(f"polling: {filesystem}")
        else:
            self._open_inotify()

    def _open_inotify(self) -> None:
        observer = None
        try:
            observer = InboxObserver(self._root, self._notify, self._ignored)
            observer.start()
        except OSError as error:
            if observer is not None:
                observer.stop()
            self._poll_meanwhile(error)
            return
        if observer.reached_limit:
            observer.stop()
            observer.join()
            self._poll_meanwhile(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            return
        self._observer = observer
        self._retry_at = None
        self._set_backend("inotify")

    def _poll_meanwhile(self, error: OSError) -> None:
        self._retry_at = self._clock() + _LIMIT_RETRY_SECONDS
        why = {
            errno.ENOSPC: "watch limit reached, raise fs.inotify.max_user_watches",
            errno.EMFILE: "inotify limit reached, raise fs.inotify.max_user_instances",
        }.get(error.errno or 0, f"inotify failed, {error.strerror}")
        self._set_backend(f"polling: {why}")

    def _close_watch(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join()

    def _identity_now(self) -> tuple[int, int] | None:
        try:
            status = self._inbox.stat()
        except OSError as error:
            self._set_backend(f"waiting: the inbox {self._inbox}: {error.strerror}; is its disk mounted?")
            return None
        if not stat.S_ISDIR(status.st_mode):
            self._set_backend(f"waiting: the inbox {self._inbox} is no folder")
            return None
        return status.st_dev, status.st_ino

    def _set_backend(self, backend: str) -> None:
        if backend != self._backend:
            level = logging.INFO if backend == "inotify" else logging.WARNING
            _log.log(level, "watching %s by %s", self._inbox, backend)
        self._backend = backend

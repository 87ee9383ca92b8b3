"""Watchdog's threads, cut down to what puts `FileEvent`s into a queue."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
    FileSystemMovedEvent,
)
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyFullEmitter, InotifyWatchGroup
from watchdog.observers.inotify_c import InotifyFD

from dreamd.inbox.events import FileEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from watchdog.observers.inotify_c import CallbackId, InotifyEvent, Mask, Watch, WatchCallback, WatchDescriptor

    from dreamd.inbox.events import FileEventKind
    from dreamd.inbox.ignored import Ignored

_WATCHED: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]
"""The events that watchdog asks the kernel for."""

_KINDS: dict[str, FileEventKind] = {"closed": "closed", "created": "created", "deleted": "deleted"}
"""Our kind for each kind of watchdog's that tells of one path."""


class InboxObserver(BaseObserver):
    """watchdog's inotify observer with a descriptor of our own kind, which watches no folder that is left alone."""

    def __init__(self, root: str, notify: Callable[[FileEvent], None], ignored: Ignored) -> None:
        self._descriptor = _InboxDescriptor(root, notify, ignored)
        self._descriptor.start()
        super().__init__(_Emitter, inotify_fd=self._descriptor)
        self.schedule(_Enqueue(root, notify), root, recursive=True, event_filter=_WATCHED)

    @property
    def reached_limit(self) -> bool:
        """Whether a folder could not be watched because there are too many."""
        return self._descriptor.reached_limit

    def is_sound(self) -> bool:
        """Whether every thread runs and every folder is watched."""
        threads = (self, self._descriptor, *self.emitters)
        return bool(self.emitters) and all(thread.is_alive() for thread in threads) and not self.reached_limit

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end of the thread, if it was ever started."""
        if self.ident is not None:
            super().join(timeout)

    def on_thread_stop(self) -> None:
        """End the other threads; watchdog calls it."""
        super().on_thread_stop()
        self._descriptor.stop()
        self._descriptor.join()


class _Emitter(InotifyFullEmitter):
    """watchdog's emitter with a watch group of our own kind."""

    def on_thread_start(self) -> None:
        """Set up the watch group; watchdog calls it."""
        self._inotify = _WatchGroup(
            self._inotify_fd,
            os.fsencode(self.watch.path),
            is_recursive=self.watch.is_recursive,
            event_mask=self.get_event_mask_from_filter(),
            follow_symlink=self.watch.follow_symlink,
        )


class _WatchGroup(InotifyWatchGroup):
    """watchdog's watches of a tree, less the events that it makes up."""

    def _recursive_simulate(self, src_path: bytes) -> list[InotifyEvent]:  # noqa: ARG002 (watchdog's signature)
        """Make up no events for what lies in a new folder: the watcher walks it.

        A file that lies there was perhaps closed long ago. By a made-up `created` it would be waited for until it is
        closed.
        """
        return []


class _InboxDescriptor(InotifyFD):
    """watchdog's inotify descriptor, less what nobody needs.

    Without this, 100,000 claimed pictures would cost 100,000 watches below `.dreamd`.
    """

    def __init__(self, root: str, notify: Callable[[FileEvent], None], ignored: Ignored) -> None:
        super().__init__()
        self._root = root
        self._notify = notify
        self._ignored = ignored
        self.reached_limit = False

    def add_callback(self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId) -> WatchDescriptor:
        """Watch a folder, unless it is one that is left alone.

        When this raises an `OSError` for any folder but the root, watchdog thinks that the folder is gone, and goes on
        without it. That is right for a folder to leave alone. It hides the limit of watches, which is noted here.
        """
        folder = _relative(os.fsdecode(path), self._root)
        if folder and self._ignored.path(folder, is_folder=True):
            raise FileNotFoundError(errno.ENOENT, "left alone", path)
        try:
            return super().add_callback(path, mask, callback, id_)
        except OSError as error:
            if error.errno == errno.ENOSPC and not self.reached_limit:
                self.reached_limit = True
                self._notify(FileEvent("limit"))
            raise

    def _get_or_create_watch(self, path: bytes, mask: Mask) -> Watch:
        """Return the folder's watch without the callbacks that it has.

        A folder may be reported by its own event and by its parent's walk, and watchdog warns at the second.
        """
        watch = super()._get_or_create_watch(path, mask)
        watch.callbacks.clear()  # this descriptor serves one callback, which is added again at once
        return watch

    def handle_event(self, event: InotifyEvent) -> None:
        """Report lost events, and drop those of files that were moved away.

        watchdog holds such an event, and all that come after it, for half a second, to see whether the file turns up
        elsewhere. Every claim is such a move.
        """
        if event.is_queue_overflow:
            self._notify(FileEvent("overflow"))
        if not event.is_moved_from or event.is_directory:
            super().handle_event(event)


class _Enqueue(FileSystemEventHandler):
    """Turns watchdog's events into `FileEvent`s and does no more: a handler that raises ends watchdog's thread."""

    def __init__(self, root: str, notify: Callable[[FileEvent], None]) -> None:
        self._root = root
        self._notify = notify

    def dispatch(self, event: FileSystemEvent) -> None:
        """Pass an event on; watchdog calls it, in its thread."""
        if event.is_synthetic:
            return  # from watchdog's own walk of a folder that was moved; the watcher walks it better
        if not isinstance(event, FileSystemMovedEvent):
            self._tell(_KINDS[event.event_type], event.src_path, event)
            return
        if event.src_path:
            self._tell("deleted", event.src_path, event)
        if event.dest_path:
            self._tell("moved", event.dest_path, event)

    def _tell(self, kind: FileEventKind, path: str | bytes, event: FileSystemEvent) -> None:
        self._notify(FileEvent(kind, _relative(os.fsdecode(path), self._root), event.is_directory))


def _relative(path: str, root: str) -> str:
    return path[len(root) :].lstrip("/")

"""The watch on an inbox: by inotify where that sees everything, else by polling; set up anew when it dies."""

from __future__ import annotations

import errno
import logging
import os
import stat
from typing import TYPE_CHECKING, Literal, TypeAlias

from dreamd.files.problems import refusal
from dreamd.inbox.filesystems import MOUNTS, filesystem_type, is_deaf
from dreamd.inbox.inotify import InboxObserver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dreamd.inbox.events import FileEvent
    from dreamd.inbox.ignored import Ignored

log = logging.getLogger(__name__)

_INOTIFY_RETRY_SECONDS = 600.0
"""The time before inotify is tried again after it failed, in seconds."""

_ADVICE = {
    errno.ENOSPC: "watch limit reached, raise fs.inotify.max_user_watches",
    errno.EMFILE: "inotify limit reached, raise fs.inotify.max_user_instances",
}
"""What to do when inotify fails, by the number of the error."""

Backend: TypeAlias = Literal["auto", "inotify", "polling"]


class Watch:
    """The watch on an inbox, which may come and go."""

    def __init__(
        self,
        inbox: Path,
        *,
        wish: Backend,
        notify: Callable[[FileEvent], None],
        ignored: Ignored,
        clock: Callable[[], float],
    ) -> None:
        """Describe a watch; nothing is touched before `open`.

        Args:
            inbox: the folder to watch with all below it.
            wish: "auto" takes inotify where it sees everything and polls elsewhere.
            notify: takes an event from another thread.
            ignored: the names of folders that are not watched.
            clock: says the time in seconds.
        """
        self._inbox = inbox
        self._wish = wish
        self._notify = notify
        self._ignored = ignored
        self._clock = clock
        self._identity: tuple[int, int] | None = None
        self._observer: InboxObserver | None = None
        self._retry_at: float | None = None
        self._backend = "stopped"
        self.root = os.fspath(inbox)
        self.trusts_leases = True

    @property
    def backend(self) -> str:
        """How the inbox is watched and why so: "inotify", "polling: nfs", "waiting: … is not there"."""
        return self._backend

    @property
    def has_inbox(self) -> bool:
        """Whether the inbox was there when the watch was set up."""
        return self._identity is not None

    @property
    def has_events(self) -> bool:
        """Whether inotify tells of what happens."""
        return self._observer is not None

    def open(self) -> None:
        """Set up the watch on the inbox that is there now."""
        self._identity, trouble = self._look_for_inbox()
        if self._identity is None:
            self._set_backend(f"waiting: the inbox {self._inbox}{trouble}")
            return
        self.root = os.path.realpath(self._inbox)
        filesystem = filesystem_type(self.root, MOUNTS.read_text("utf-8", "surrogateescape"))
        deaf = is_deaf(filesystem)
        self.trusts_leases = not deaf
        if self._wish == "polling":
            self._set_backend("polling: as configured")
        elif self._wish == "auto" and deaf:
            self._set_backend(f"polling: {filesystem}")
        else:
            self._open_inotify()

    def close(self) -> None:
        """Take the watch down and end its threads."""
        self._close_inotify()
        self._backend = "stopped"

    def is_elsewhere(self) -> bool:
        """Return whether the inbox is another folder now than the one that is watched, or is gone, or has come."""
        return self._look_for_inbox()[0] != self._identity

    def repair(self) -> bool:
        """Set up the watch anew where it died, or where the inbox went, came, or is another folder now.

        A root that is removed ends watchdog's emitter and leaves its observer running; a handler that raises ends the
        observer. Neither says so.

        Returns:
            whether there is a new watch.
        """
        if not self.is_elsewhere() and self._is_sound():
            return False
        self._close_inotify()
        self.open()
        return True

    def _is_sound(self) -> bool:
        if self._observer is not None:
            return self._observer.is_sound()
        return self._retry_at is None or self._clock() < self._retry_at

    def _open_inotify(self) -> None:
        observer = None
        try:
            observer = InboxObserver(self.root, self._notify, self._ignored)
            observer.start()
        except OSError as error:
            if observer is not None:
                observer.stop()
            self._poll_for_now(error)
            return
        if observer.reached_limit:
            observer.stop()
            observer.join()
            self._poll_for_now(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            return
        self._observer = observer
        self._retry_at = None
        self._set_backend("inotify")

    def _poll_for_now(self, error: OSError) -> None:
        self._retry_at = self._clock() + _INOTIFY_RETRY_SECONDS
        self._set_backend(f"polling: {_ADVICE.get(error.errno or 0, f'inotify failed, {refusal(error)}')}")

    def _close_inotify(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join()

    def _look_for_inbox(self) -> tuple[tuple[int, int] | None, str]:
        """Return what tells the inbox's folder from any other; or None while there is none, and why there is none."""
        try:
            status = self._inbox.stat()
        except OSError as error:
            return None, f": {refusal(error)}; is its disk mounted?"
        if not stat.S_ISDIR(status.st_mode):
            return None, " is no folder"
        return (status.st_dev, status.st_ino), ""

    def _set_backend(self, backend: str) -> None:
        if backend != self._backend:
            level = logging.INFO if backend == "inotify" else logging.WARNING
            log.log(level, "watching %s by %s", self._inbox, backend)
        self._backend = backend

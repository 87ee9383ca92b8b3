"""The daemon's hold on its inbox: whether the inbox is there, is the right one, and is this daemon's to work on.

An inbox is a folder that may be a disk or a share: it goes away, comes back, or is replaced. While it is not there, the
daemon waits, and takes nothing for lost.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Self

from dreamd.errors import ConfigError, DreamdError, FolderError
from dreamd.files.problems import os_error_explained, os_errors_explained, shown
from dreamd.tree.identity import Identity, give_mark, mark_of, own_identity, read_identity
from dreamd.tree.layout import StateFolder
from dreamd.tree.lock import Lock
from dreamd.tree.spool import Spool

log = logging.getLogger(__name__)


class AwayError(FolderError):
    """The inbox is not there, or what is there is not the inbox."""


class Attachment:
    """One daemon's hold on its inbox.

    Attributes:
        problem: why the inbox cannot be worked on now; None when it can.
    """

    def __init__(
        self, spool: Spool, state: StateFolder, *, has_unfinished: Callable[[], bool], waits: bool = True
    ) -> None:
        """Hold nothing yet.

        Args:
            spool: the folders.
            state: the state folder, which knows its inbox.
            has_unfinished: tells whether the journal knows jobs whose pictures are claimed.
            waits: the daemon goes on while the inbox is away; else that is an error.
        """
        self._spool = spool
        self._inbox = spool.folders.inbox
        self._state = state
        self._has_unfinished = has_unfinished
        self._waits = waits
        self._lock: Lock | None = None
        self._root: os.stat_result | None = None
        self.problem: str | None = None

    def __enter__(self) -> Self:
        """Take the inbox, or begin to wait for it.

        Raises:
            ConfigError: there is no folder and never was one, or the state folder belongs to another inbox.
            DreamdError: another daemon works on the inbox, or a folder cannot be made.
            AwayError: the inbox is not there, and nobody waits for it.
        """
        try:
            self._attach()
        except AwayError as error:
            if not self._waits:
                raise
            self._note_problem(error)
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    def look(self) -> bool:
        """Look whether the inbox is there; returns whether it has come, or is another folder than before."""
        had_problem = self.problem is not None
        if self._lock is not None and self._lock.is_current():
            if had_problem:
                log.info("the inbox %s is there again", shown(self._inbox))
            self.problem = None
            return had_problem
        try:
            self._attach()
        except DreamdError as error:
            self._note_problem(error)
            return False
        self.problem = None
        log.info("the inbox %s is there", shown(self._inbox))
        return True

    def let_go(self, problem: DreamdError) -> None:
        """Give the inbox up, since it cannot be worked on; the next look takes it anew."""
        self._release()
        self._note_problem(problem)

    def _attach(self) -> None:
        try:
            root = self._inbox.stat()
        except OSError as error:
            if self._root is None and not self._is_known():
                self._spool.prepare()  # says what is missing at the first start
            raise AwayError(str(os_error_explained(error, "look at the inbox", self._inbox))) from error
        known, mark = own_identity(self._state), mark_of(self._inbox)
        with os_errors_explained("look at the inbox", self._inbox):
            self._check_is_ours(known, mark, root)
        self._spool.prepare()
        self._release()  # of several files one may be replaced: what is left of the old lock would be in the way
        self._lock, self._root = self._spool.lock(), root
        current = replace(known, mark=mark or give_mark(self._inbox), inbox=str(self._inbox))
        if current != known:
            current.write(self._state)

    def _is_known(self) -> bool:
        """Whether the state folder remembers an inbox at this place."""
        known = read_identity(self._state)
        return known is not None and bool(known.mark) and known.inbox == str(self._inbox)

    def _check_is_ours(self, known: Identity, mark: str, root: os.stat_result) -> None:
        """Raise AwayError when the folder must not be taken for the inbox, ConfigError when it never will be."""
        if known.mark and known.mark == mark:
            return
        if known.mark and known.inbox != str(self._inbox):
            raise ConfigError(
                f"{shown(self._state.path)} belongs to the inbox {shown(known.inbox)}: give this config a state folder "
                f"of its own; or, if that inbox is gone for good, remove {shown(self._state.identity)}",
                field=("state",),
            )
        if self._root is not None and os.path.samestat(root, self._root):
            return  # somebody has removed the mark
        if self._has_unfinished():
            # Of a version before marks, the work folder alone tells that pictures were claimed here.
            if not known.mark and (mark or self._spool.has_worked()):
                return
        elif not known.mark or mark or not self._waits or any(self._inbox.iterdir()):
            return  # nothing can be lost: it is an inbox of its own
        raise AwayError(
            f"{shown(self._inbox)} is not the inbox that dreamd knows: is its disk mounted? If it is the inbox from "
            f"now on, and what was claimed in the old one is gone for good, remove {shown(self._state.identity)}"
        )

    def _note_problem(self, error: DreamdError) -> None:
        if self.problem != str(error):
            log.warning("waiting: %s", error)
        self.problem = str(error)

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

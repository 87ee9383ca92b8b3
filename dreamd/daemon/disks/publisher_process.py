"""The daemon's side of the publisher: results that come in crowds go to a process, in lots that grow while it works."""

from __future__ import annotations

import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from dreamd.daemon.jobs.publishing import Publication, Published
from dreamd.daemon.jobs.recipes import result_stem
from dreamd.files.problems import refusal
from dreamd.tree.publisher.lines import Told, lot_line, read_outcomes, spool_line
from dreamd.tree.spool import Spool

log = logging.getLogger(__name__)

_LOT = 128
"""The most results that are published together. Two files of each are open for a moment."""

_IDLE_SECONDS = 60.0
"""The time after which a process that has nothing to do is ended, in seconds."""

_REST_SECONDS = 60.0
"""The time that no process is started for after one has died, in seconds."""


class Publisher:
    """The process, and the one thread that talks to it.

    The kernel ends the process with the thread that started it, so the thread lasts until `close`.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        published: Callable[[list[Published]], None],
        failed: Callable[[Publication], None],
        crashed: Callable[[BaseException], None],
        locks: Sequence[int] = (),
    ) -> None:
        """Start nothing yet.

        Args:
            spool: the folders.
            published: told of what became of each lot, from the thread.
            failed: takes each result of a lot of which nothing is known, since the process died over it.
            crashed: told of an error that the thread has no answer to, by which it ends.
            locks: descriptors of locks that nobody else may have before the process has ended, too.
        """
        self._spool = spool
        self._published = published
        self._failed = failed
        self._crashed = crashed
        self._locks = tuple(locks)
        self._waiting: queue.SimpleQueue[Publication | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._popen: subprocess.Popen[bytes] | None = None
        self._rests_until = 0.0

    @property
    def is_working(self) -> bool:
        """Whether a process runs, so that what comes now costs no start."""
        return self._popen is not None

    @property
    def waiting(self) -> int:
        """How many results wait for their lot."""
        return self._waiting.qsize()

    @property
    def is_able(self) -> bool:
        """Whether results may be given to it."""
        return time.monotonic() >= self._rests_until

    def add(self, one: Publication) -> None:
        """Have a result published with others."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._talk, name="publisher", daemon=True)
            self._thread.start()
        self._waiting.put(one)

    def close(self) -> None:
        """Wait until everything is published, and end the process."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()

    def _talk(self) -> None:
        try:
            is_last = False
            while not is_last:
                lot, is_last = self._next_lot()
                if lot:
                    self._publish(lot)
            self._end()
        except BaseException as error:  # noqa: BLE001 (raised by the loop, which ends by it)
            self._crashed(error)

    def _next_lot(self) -> tuple[list[Publication], bool]:
        """Wait for results; return all that are there then, and whether none will follow."""
        try:
            one = self._waiting.get(timeout=_IDLE_SECONDS)
        except queue.Empty:
            self._end()
            one = self._waiting.get()
        lot: list[Publication] = []
        while one is not None:
            lot.append(one)
            if len(lot) >= _LOT:
                return lot, False
            try:
                one = self._waiting.get_nowait()
            except queue.Empty:
                return lot, False
        return lot, True

    def _publish(self, lot: list[Publication]) -> None:
        try:
            outcomes = self._ask(lot)
        except (OSError, ValueError) as error:
            self._rests_until = time.monotonic() + _REST_SECONDS
            why = refusal(error) if isinstance(error, OSError) else str(error)
            log.error("the publisher's process has ended (%s); results are published one by one", why)
            self._end(now=True)
            for one in lot:
                self._failed(one)
            return
        for outcome in outcomes:
            if outcome.result is not None:  # its draft is empty
                self._spool.drafts.release(outcome.job.id)
        self._published(outcomes)

    def _ask(self, lot: list[Publication]) -> list[Published]:
        """Have the process publish a lot.

        Raises:
            OSError: the process cannot be started, or does not read.
            ValueError: it gave no answer.
        """
        popen = self._popen or self._start()
        assert popen.stdin is not None
        assert popen.stdout is not None
        popen.stdin.write(lot_line(_told(one) for one in lot))
        popen.stdin.flush()
        outcomes = read_outcomes(popen.stdout.readline())
        return [one.outcome(**outcome._asdict()) for one, outcome in zip(lot, outcomes, strict=True)]

    def _start(self) -> subprocess.Popen[bytes]:
        popen = self._popen = subprocess.Popen(
            command(os.getpid()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            pass_fds=self._locks,
        )
        assert popen.stdin is not None
        popen.stdin.write(spool_line(self._spool))
        return popen

    def _end(self, *, now: bool = False) -> None:
        """End the process, when it has finished or now, and wait until nothing of it is left."""
        popen, self._popen = self._popen, None
        if popen is None:
            return
        if now:
            popen.kill()
        assert popen.stdin is not None
        assert popen.stdout is not None
        try:
            popen.stdin.close()
        except OSError as error:
            log.debug("the publisher's process did not read to its end: %s", refusal(error))
        popen.wait()
        popen.stdout.close()


def _told(one: Publication) -> Told:
    job, message = one.job, one.message
    sidecar = message.sidecar.model_dump(mode="json")
    draft = one.spool.drafts.place_of(job.id)
    return Told(job.id, str(job.folder), job.name, result_stem(job), message.file, draft, sidecar)


def command(parent: int) -> list[str]:
    """Return the command line of the process; `parent` is the daemon's number."""
    return [sys.executable, "-m", "dreamd.tree.publisher.main", str(parent)]

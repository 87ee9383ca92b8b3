"""What publishes results and puts originals away: the loop never waits for a disk. Knows no job.

Results that come singly are published each by a thread, at once. Those that come in crowds go to a process, which does
each step for many of them: threads would fight the loop for the interpreter, and sync file by file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from dreamd.daemon.disks.publisher_process import Publisher
from dreamd.daemon.events import Crashed, Event
from dreamd.daemon.jobs.publishing import Publication, Published, PublishedTogether, PutAway
from dreamd.tree.spool import Spool

_THREADS = 8
"""The number of threads. A disk syncs several files in little more time than one."""

CROWD = 8
"""The number of results that are published singly at a time: more are a crowd."""

_MOST_WAITING = 512
"""The number of results that wait to be published before no more jobs are begun: each takes room on the disk."""


class Publishers:
    """Does what has to do with disks, and puts the outcome into the loop's queue. Used in a `with`, whose end waits."""

    def __init__(self, spool: Spool, put: Callable[[Event], None], *, locks: Sequence[int] = ()) -> None:
        """Tell every outcome to `put`, from a thread.

        Args:
            spool: the folders.
            put: puts an event into the loop's queue.
            locks: descriptors of locks that are kept until everything is published, however the daemon ends.
        """
        self._put = put
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="publish")
        self._singly = 0
        self._count = threading.Lock()
        self._crowd = Publisher(
            spool, published=self._tell, failed=self._publish_after_all, crashed=self._crash, locks=locks
        )

    @property
    def is_behind(self) -> bool:
        """Whether so many results wait to be published that no more should be made meanwhile."""
        return self._crowd.waiting >= _MOST_WAITING

    def __enter__(self) -> Publishers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._crowd.close()
        self._threads.shutdown()

    def publish(self, one: Publication) -> None:
        """Have a result published, with others where there are many."""
        if one.may_join and self._crowd.is_able and (self._crowd.is_working or self._singly >= CROWD):
            self._crowd.add(one)
        else:
            self._publish_singly(one)

    def submit(self, move: Callable[[], Published | PutAway]) -> None:
        """Have a thread do what `move` does."""
        self._threads.submit(self._do, move)

    def _publish_singly(self, one: Callable[[], Published]) -> None:
        with self._count:
            self._singly += 1
        self._threads.submit(self._do, one).add_done_callback(self._note_end)

    def _note_end(self, _: object) -> None:
        with self._count:
            self._singly -= 1

    def _publish_after_all(self, one: Publication) -> None:
        """Publish a result that may be out already."""
        self._publish_singly(one.publish_after_all)

    def _tell(self, outcomes: list[Published]) -> None:
        self._put(PublishedTogether(tuple(outcomes)))

    def _do(self, move: Callable[[], Published | PutAway]) -> None:
        try:
            self._put(move())
        except BaseException as error:  # noqa: BLE001 (raised by the loop, which ends by it)
            self._crash(error)

    def _crash(self, error: BaseException) -> None:
        self._put(Crashed(error))

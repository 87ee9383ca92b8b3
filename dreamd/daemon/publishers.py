"""The threads that publish results and put originals away: the loop never waits for a disk. Knows no job."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from dreamd.daemon.events import Crashed, Event
from dreamd.daemon.jobs.publishing import Published, PutAway

_THREADS = 8
"""The number of threads. A disk syncs several files in little more time than one."""


class Publishers:
    """Does what has to do with disks, and puts the outcome into the loop's queue. Used in a `with`, whose end waits."""

    def __init__(self, put: Callable[[Event], None]) -> None:
        """Tell every outcome to `put`, from a thread."""
        self._put = put
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="publish")

    def __enter__(self) -> Publishers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown()

    def submit(self, move: Callable[[], Published | PutAway]) -> None:
        """Have a thread do what `move` does."""
        self._threads.submit(self._do, move)

    def _do(self, move: Callable[[], Published | PutAway]) -> None:
        try:
            self._put(move())
        except BaseException as error:  # noqa: BLE001 (raised by the loop, which ends by it)
            self._put(Crashed(error))

"""A limit to the time that a plugin may take."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dreamd.plugin_host.calling.blame import TookTooLongError

_AGAIN_SECONDS = 1.0
"""An error that did not end what takes too long comes again after so many seconds: time for it to clean up."""


@contextmanager
def time_limit(seconds: float, otherwise: str = "it was not loaded") -> Iterator[None]:
    """Raise TookTooLongError inside after so many seconds. Works in the main thread; elsewhere there is no limit.

    Python ignores what is raised in a `__del__`, or in a callback of the garbage collector or of a weak reference, and
    a plugin may catch everything. So the error comes again each second until this is left.

    Args:
        seconds: the limit.
        otherwise: how the error's text begins; "after N s" follows.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_left = False

    def ring(_number: int, _frame: FrameType | None) -> None:
        if not is_left:
            raise TookTooLongError(f"{otherwise} after {seconds:g} s")

    handler_before = signal.signal(signal.SIGALRM, ring)
    started = time.monotonic()
    alarm_before, interval_before = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_SECONDS)
    try:
        try:
            yield
        finally:
            is_left = True
    finally:
        is_left = True  # also where it rang just before the line above, and skipped it
        signal.setitimer(signal.ITIMER_REAL, 0)  # first, as the handler before may end the process
        signal.signal(signal.SIGALRM, handler_before)
        if alarm_before:
            left = max(0.001, alarm_before - (time.monotonic() - started))
            signal.setitimer(signal.ITIMER_REAL, left, interval_before)

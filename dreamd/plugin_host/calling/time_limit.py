"""A limit to the time that a plugin may take."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dreamd.plugin_host.calling.blame import TookTooLongError


@contextmanager
def time_limit(seconds: float, otherwise: str = "it was not loaded") -> Iterator[None]:
    """Raise TookTooLongError inside after so many seconds. Works in the main thread; elsewhere there is no limit.

    Args:
        seconds: the limit.
        otherwise: how the error's text begins; "after N s" follows.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TookTooLongError(f"{otherwise} after {seconds:g} s")

    handler_before = signal.signal(signal.SIGALRM, ring)
    started = time.monotonic()
    alarm_before, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        left = max(0.001, alarm_before - (time.monotonic() - started)) if alarm_before else 0.0
        signal.signal(signal.SIGALRM, handler_before)
        signal.setitimer(signal.ITIMER_REAL, left)

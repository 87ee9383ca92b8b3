"""A limit to the time that a plugin may take."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from dreamd.plugin_host.calling.blame import TookTooLongError
from dreamd.plugin_host.calling.time_limit import time_limit


def test_what_takes_too_long_is_ended_although_it_catches_everything() -> None:
    def stubborn() -> None:
        while True:
            try:
                time.sleep(60)
            except Exception:  # noqa: BLE001 (that is the point)
                continue

    with pytest.raises(TookTooLongError, match=r"it was not loaded after 0\.05 s"), time_limit(0.05):
        stubborn()


def test_a_time_limit_leaves_the_alarm_of_others_as_it_was() -> None:
    rung = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda *_: rung.set())
    others, _ = signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with time_limit(60):
            pass
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
        assert rung.wait(5) or not signal.pause()  # type: ignore[func-returns-value]
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, others)
    assert rung.is_set()


def test_in_another_thread_there_is_no_limit_and_no_error() -> None:
    ended = threading.Event()

    def work() -> None:
        with time_limit(0.001):
            ended.set()

    threading.Thread(target=work).start()
    assert ended.wait(5)

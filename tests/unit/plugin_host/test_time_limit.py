"""A limit to the time that a plugin may take."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable

import pytest

from dreamd.plugin_host.calling import time_limit as time_limits
from dreamd.plugin_host.calling.blame import TookTooLongError
from dreamd.plugin_host.calling.time_limit import time_limit


class Finalized:
    """It goes with a `__del__` that hangs."""

    def __del__(self) -> None:
        time.sleep(60)


class Referred:
    """It can be referred to weakly."""


def hang_in_a_weak_reference() -> None:
    referred = Referred()
    reference = weakref.ref(referred, lambda _: time.sleep(60))
    del referred
    assert reference() is None


def hang_in_the_garbage_collector() -> None:
    def callback(_phase: str, _info: dict[str, int]) -> None:
        gc.callbacks.remove(callback)
        time.sleep(60)

    gc.callbacks.append(callback)
    gc.collect()


def test_what_takes_too_long_is_ended_although_it_catches_everything() -> None:
    def stubborn() -> None:
        while True:
            try:
                time.sleep(60)
            except Exception:  # noqa: BLE001 (that is the point)
                continue

    with pytest.raises(TookTooLongError, match=r"it was not loaded after 0\.05 s"), time_limit(0.05):
        stubborn()
    assert signal.getitimer(signal.ITIMER_REAL)[1] == 0


@pytest.mark.parametrize("hang", [Finalized, hang_in_a_weak_reference, hang_in_the_garbage_collector])
def test_a_hang_is_ended_although_python_ignored_the_first_error(
    monkeypatch: pytest.MonkeyPatch, hang: Callable[[], object]
) -> None:
    def hang_on() -> None:
        hang()
        time.sleep(10)

    ignored: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: ignored.append(told.exc_type))
    monkeypatch.setattr(time_limits, "_AGAIN_SECONDS", 0.1)
    with pytest.raises(TookTooLongError, match=r"after 0\.3 s"), time_limit(0.3):
        hang_on()
    assert set(ignored) == {TookTooLongError}  # more than once where the collection itself takes long


def test_what_catches_even_that_error_is_ended_at_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def most_stubborn() -> None:
        try:
            time.sleep(10)
        except TookTooLongError:
            time.sleep(10)

    monkeypatch.setattr(time_limits, "_AGAIN_SECONDS", 0.1)
    with pytest.raises(TookTooLongError), time_limit(0.05):
        most_stubborn()


def test_a_time_limit_leaves_the_alarm_of_others_as_it_was() -> None:
    rung = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda *_: rung.set())
    others, _ = signal.setitimer(signal.ITIMER_REAL, 0.2, 30)
    try:
        with time_limit(60):
            pass
        left, interval = signal.getitimer(signal.ITIMER_REAL)
        assert 0 < left <= 0.2
        assert interval == 30
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

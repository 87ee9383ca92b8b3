"""How the daemon is told to stop: once gently, twice at once, and when its time is over."""

from __future__ import annotations

import logging
import signal
import time
from unittest.mock import MagicMock

import pytest

from dreamd.daemon.stopping import Stopping


def test_one_signal_lets_what_runs_finish_and_a_second_does_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    service = MagicMock()
    stopping = Stopping(60.0, service)
    assert not stopping.is_wanted
    assert stopping.by is None
    stopping.take(signal.SIGTERM, 2)
    assert stopping.is_wanted
    assert not stopping.is_at_once
    assert not stopping.is_out_of_time
    assert stopping.by is not None
    assert 50 < stopping.by - time.monotonic() <= 60
    stopping.take(signal.SIGINT, 2)
    assert stopping.is_at_once
    service.announce_stop.assert_called_once_with(60.0)
    assert [record.message for record in caplog.records] == [
        "SIGTERM: finishing 2 running; the rest waits for the next start",
        "SIGINT again: stopping at once; what was running waits for the next start",
    ]


def test_what_runs_when_its_time_is_over_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stopping = Stopping(0.0, MagicMock())
    stopping.tell_end(1)
    stopping.take(signal.SIGTERM, 0)
    assert stopping.is_out_of_time
    stopping.tell_end(3)
    assert [record.message for record in caplog.records] == [
        "0 s are over (limits.stop_seconds): 3 running wait for the next start"
    ]

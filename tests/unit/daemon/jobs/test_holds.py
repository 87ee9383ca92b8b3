"""Why jobs are held is told once, and not at each look at the cause."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from dreamd.daemon.jobs import holds
from dreamd.daemon.jobs.holds import Holds
from dreamd.job import Job, JobState

FAR = 1e12
"""A time of `time.monotonic` at which every wait is over."""

JOB = Job(
    id="1", folder=PurePosixPath("a"), name="cat.jpg", state=JobState.HELD, hold="weights", reason="vgg19 is missing"
)


def held(held: Holds, job: Job, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Hold a job; returns what was logged of it."""
    caplog.clear()
    held.add([job])
    return [record.getMessage() for record in caplog.records]


def test_a_hold_is_told_once_and_not_at_each_look(caplog: pytest.LogCaptureFixture) -> None:
    waiting = Holds()
    assert held(waiting, JOB, caplog) == ["a/cat.jpg is held: vgg19 is missing"]
    for _ in range(3):
        waiting.release_due(FAR)
        assert waiting.take_released() == [JOB]
        assert held(waiting, JOB, caplog) == []


def test_another_reason_is_told_and_the_old_one_again_after_a_while(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = Holds()
    held(waiting, JOB, caplog)
    waiting.take(lambda job: True)
    assert held(waiting, replace(JOB, reason="its disk is full", hold="space"), caplog) == [
        "a/cat.jpg is held: its disk is full"
    ]
    waiting.take(lambda job: True)
    monkeypatch.setattr(holds, "_TOLD_SECONDS", 0.0)
    assert held(waiting, JOB, caplog) == ["a/cat.jpg is held: vgg19 is missing"]


def test_of_many_reasons_the_newest_are_remembered(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "_MOST_TOLD", 2)
    waiting = Holds()
    for reason in ("one", "two", "three"):
        held(waiting, replace(JOB, reason=reason), caplog)
        waiting.take(lambda job: True)
    assert held(waiting, replace(JOB, reason="three"), caplog) == []
    waiting.take(lambda job: True)
    assert held(waiting, replace(JOB, reason="one"), caplog) == ["a/cat.jpg is held: one"]

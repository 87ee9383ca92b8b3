"""Plugins that are told of jobs: in order, each in a thread of its own, and none delays anybody."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import PurePosixPath

import pytest

import dreamd.plugin_host.calling.listener
from dreamd.job import Job
from dreamd.plugin_host.calling.listener import Listener


def job(number: int) -> Job:
    return Job(id=f"{number:04}", folder=PurePosixPath(), name="cat.jpg")


def test_a_listener_hears_everything_in_order_before_it_is_closed() -> None:
    heard: list[str] = []
    listener = Listener("mine", lambda job: heard.append(job.id), takes_job=True)
    for number in range(50):
        listener.tell(job(number))
    listener.close(10)
    assert heard == [f"{number:04}" for number in range(50)]


def test_a_listener_that_hangs_delays_nobody_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()
    listener = Listener("stuck", lambda job: gate.wait(), takes_job=True)
    begun = time.monotonic()
    listener.tell(job(1))
    listener.tell(job(2))
    assert time.monotonic() - begun < 1
    with caplog.at_level(logging.WARNING):
        listener.close(0.2)
    assert time.monotonic() - begun < 5
    assert "plugin stuck: dreamd_job_changed has not returned yet; everything else goes on" in caplog.text
    gate.set()


def test_a_listener_that_is_far_behind_misses_what_comes_then_and_that_is_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dreamd.plugin_host.calling.listener, "_MOST_WAITING", 2)
    gate, heard = threading.Event(), list[str]()

    def slow(job: Job) -> None:
        gate.wait(30)
        heard.append(job.id)

    listener = Listener("slow", slow, takes_job=True)
    with caplog.at_level(logging.WARNING):
        for number in range(9):
            listener.tell(job(number))
    assert "plugin slow is not told of 0008: 2 jobs wait for it" in caplog.text
    gate.set()
    listener.close(10)
    assert heard[0] == "0000"
    assert 2 <= len(heard) < 9


def test_a_listener_that_raises_is_told_of_the_next_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    def moody(job: Job) -> None:
        heard.append(job.id)
        raise SystemExit if job.id == "0000" else ValueError("no")

    listener = Listener("moody", moody, takes_job=True)
    listener.tell(job(0))
    listener.tell(job(1))
    listener.close(10)
    assert heard == ["0000", "0001"]
    assert "plugin moody: dreamd_job_changed failed: ValueError: no (test_listener.py:" in caplog.text


def test_a_listener_that_was_never_told_anything_has_no_thread() -> None:
    before = threading.active_count()
    Listener("quiet", print, takes_job=True).close(1)
    assert threading.active_count() == before

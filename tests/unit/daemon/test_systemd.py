"""What the daemon tells systemd, over a real socket, and when a worker counts as stalled."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dreamd.daemon.systemd import Heart, Pulse, Service
from dreamd.errors import DreamdError
from dreamd.tree.snapshot import Snapshot

SNAPSHOT = Snapshot(
    state="running", pid=1, version="0", started_at=0.0, inbox="", lock="", watching="inotify", found_by_rescan_only=0,
    overflows=0, queued=3, running=1, held=2, done=9, failed=0, folders={}, done_per_hour=239.7, eta_seconds=None,
    paused=[], workers=[], holds=[], plugins_not_loaded={},
)  # fmt: skip


class Systemd:
    """The end of the line that is systemd's."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def heard(self) -> list[str]:
        """What was told since the last look."""
        messages = []
        while True:
            try:
                messages.append(self._line.recv(4096).decode())
            except BlockingIOError:
                return messages


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    path = tmp_path / "notify"
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(path))
        line.setblocking(False)
        yield Systemd(line)


def test_ready_is_told_once(systemd: Systemd) -> None:
    service = Service.from_environment()
    service.announce_ready()
    service.announce_ready()
    assert systemd.heard() == ["READY=1"]


def test_a_reload_is_told_with_its_time_and_its_end(systemd: Systemd) -> None:
    service = Service.from_environment()
    service.announce_ready()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    service.announce_reload()
    service.announce_reloaded()
    _, reloading, ready = systemd.heard()
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert before <= int(reloading.rpartition("=")[2]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert ready == "READY=1"


def test_a_reload_before_it_is_ready_does_not_make_it_ready(systemd: Systemd) -> None:
    service = Service.from_environment()
    service.announce_reload()
    service.announce_reloaded()
    assert systemd.heard() == []


def test_stopping_asks_for_the_time_that_running_jobs_may_take(systemd: Systemd) -> None:
    Service.from_environment().announce_stop(600.0)
    assert systemd.heard() == ["STOPPING=1\nEXTEND_TIMEOUT_USEC=660000000"]


def test_the_status_is_told_when_it_changes(systemd: Systemd) -> None:
    service = Service.from_environment()
    service.show(SNAPSHOT)
    service.show(SNAPSHOT)
    assert systemd.heard() == ["STATUS=running; watching by inotify; 3 queued, 1 running, 2 held; 240 pictures an hour"]
    service.show(replace(SNAPSHOT, page_problem="status.listen: Address already in use"))
    assert systemd.heard()[0].endswith("; the page is not served: status.listen: Address already in use")


def test_where_nobody_listens_nothing_is_told_and_nothing_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    service = Service.from_environment()
    service.announce_ready()
    service.beat(0.0, list)
    assert service.next_deadline() is None


def test_without_cysystemd_it_says_what_to_install(systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cysystemd.daemon", None)
    with pytest.raises(DreamdError, match=r"pip install 'dreamd\[service\]'"):
        Service.from_environment()


def test_the_ping_comes_four_times_in_the_watchdogs_time_while_nothing_is_busy(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "8000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    service = Service.from_environment()
    for now in (100.0, 101.0, 102.0, 103.9, 104.0):
        service.beat(now, list)
    assert systemd.heard() == ["WATCHDOG=1"] * 3
    assert service.next_deadline() == 106.0


def test_a_watchdog_that_is_meant_for_another_process_is_not_pinged(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "8000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    assert Service.from_environment().next_deadline() is None


def test_no_ping_comes_for_a_stalled_worker_until_it_goes_on(systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "8000000")
    service = Service.from_environment()
    for now in (0.0, 2.0, 4.0, 6.0, 8.0):
        service.beat(now, lambda: [Pulse(None, ("7",), "iteration 1")])
    assert systemd.heard() == ["WATCHDOG=1"] * 3
    service.beat(10.0, lambda: [Pulse(None, ("7",), "iteration 2")])
    assert systemd.heard() == ["WATCHDOG=1"]


# Signs of life


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that computes without end."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield process
        process.kill()


def test_a_worker_that_computes_lives_without_a_word_and_one_that_is_stopped_does_not(
    process: subprocess.Popen[bytes],
) -> None:
    heart = Heart(10.0)
    pulse = [Pulse(process.pid, ("7",), "iteration 1")]
    assert heart.check(0.0, pulse)
    wait_for_cpu(process.pid, 0.3)
    assert heart.check(20.0, pulse)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    assert heart.check(30.0, pulse)  # what it had done before it was stopped
    assert not heart.check(41.0, pulse)
    process.send_signal(signal.SIGCONT)
    wait_for_cpu(process.pid, 0.6)
    assert heart.check(60.0, pulse)


def wait_for_cpu(pid: int, seconds: float) -> None:
    """Until a process has used so much of a processor."""
    while True:
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        if (int(user) + int(system)) / os.sysconf("SC_CLK_TCK") > seconds:
            return
        os.sched_yield()


def test_a_worker_that_only_wakes_now_and_then_is_stalled() -> None:
    heart = Heart(10.0)
    pulse = [Pulse(os.getpid(), ("7",), "iteration 1")]
    heart.check(0.0, pulse)
    began = time.process_time()
    while time.process_time() - began < 0.05:  # which is something, and nothing for a day
        pass
    assert not heart.check(86_400.0, pulse)


def test_one_stalled_worker_among_others_is_enough() -> None:
    heart = Heart(10.0)
    assert heart.check(0.0, [Pulse(None, ("7",), "a"), Pulse(None, ("8",), "b")])
    assert not heart.check(11.0, [Pulse(None, ("7",), "a"), Pulse(None, ("8",), "c")])


def test_a_job_that_has_just_begun_has_its_whole_patience() -> None:
    heart = Heart(10.0)
    heart.check(0.0, [Pulse(None, ("7",), None)])
    assert heart.check(100.0, [Pulse(None, ("8",), None)])

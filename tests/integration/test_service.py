"""A daemon that a service manager has started: what it tells it, and what its log carries."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Tree = Any
Run = Callable[..., Any]


@pytest.fixture
def plain(tree: Tree) -> Tree:
    """A tree whose pictures come out as they are."""
    tree.echo()
    return tree


@contextmanager
def service_manager(folder: Path) -> Iterator[Callable[[str], list[str]]]:
    """Listens in systemd's place; gives what waits for a message with a beginning, and returns all up to it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(folder / "notify"))
        line.settimeout(60)

        def hear(beginning: str) -> list[str]:
            messages = [""]
            while not messages[-1].startswith(beginning):
                messages.append(line.recv(4096).decode())
            return messages

        yield hear


def test_a_service_manager_is_told_of_start_reload_and_stop(
    plain: Tree, run_daemon: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.configure(limits={"stop_seconds": 30})
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with service_manager(tmp_path) as hear:
        daemon = run_daemon(plain)
        hear("READY=1")
        plain.drop("weightless.png")
        hear("STATUS=running; watching by inotify; 0 queued, 0 running, 1 held; ")
        daemon.signal(signal.SIGHUP)
        assert "\nMONOTONIC_USEC=" in hear("RELOADING=1")[-1]
        hear("READY=1")
        daemon.signal(signal.SIGTERM)
        assert hear("STOPPING=1")[-1].endswith("\nEXTEND_TIMEOUT_USEC=90000000")
        hear("STATUS=stopped")
    assert daemon.wait() == 0


def test_the_watchdog_is_pinged_while_a_daemon_is_idle(
    plain: Tree, run_daemon: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    with service_manager(tmp_path) as hear:
        run_daemon(plain)
        hear("READY=1")
        for _ in range(3):
            hear("WATCHDOG=1")


def test_a_daemon_whose_workers_never_answer_is_never_ready(
    tree: Tree, run_daemon: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree.root / "executors").mkdir()
    (tree.root / "executors" / "mute.py").write_text(MUTE)
    tree.configure(plugins={"daemon": ["executors"]}, workers={"executor": "mute"})
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with service_manager(tmp_path) as hear:
        daemon = run_daemon(tree)
        tree.drop("a.png")
        tree.wait_for(lambda: daemon.status().get("queued"), "the picture to be queued")
        daemon.stop()
        assert not [message for message in hear("STATUS=stopped") if message == "READY=1"]


MUTE = '''
"""The executor `mute`, whose workers never answer."""

from dreamd.api import hookimpl


class Mute:
    def __init__(self, context): ...
    def open(self, fleet): ...
    def renew(self, bundle): ...
    def want(self, demand): ...
    def order(self, seat, batch): return False
    def cancel(self, seat, jobs): ...
    def drop(self, seat, why, *, now): ...
    def close(self, seconds): ...


@hookimpl
def dreamd_executors(register):
    register("mute", Mute)
'''


def test_a_log_of_json_names_the_job_and_its_folder(
    plain: Tree, run_daemon: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DREAMD_LOG", "json")
    plain.drop("cats/broken.png")
    daemon = run_daemon(plain, "drain")
    daemon.wait()
    lines = [json.loads(line) for line in daemon.log.splitlines()]
    (failed,) = [line for line in lines if "failed:" in line["message"]]
    (job,) = plain.jobs()
    assert (failed["level"], failed["job"], failed["folder"]) == ("error", job.id, "cats")
    assert failed["message"] == "cats/broken.png failed: it is broken"


def test_a_service_manager_that_is_gone_stops_nothing(
    plain: Tree, run_daemon: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", os.fspath(tmp_path / "nobody"))
    daemon = run_daemon(plain)
    plain.drop("a.png")
    plain.result("a.png")
    assert daemon.stop() == 0
    assert daemon.log.count("systemd cannot be told") == 1

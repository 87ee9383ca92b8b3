"""Locks: one holder, told to the others, and nothing taken by who only looks."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dreamd.errors import DreamdError
from dreamd.tree import lock as locks
from dreamd.tree.lock import is_locked, lock, lock_if_free


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_a_second_holder_is_refused_and_told_who_has_it(path):
    with lock(path, taken="{holder} has it"):
        program = (
            "import sys; from pathlib import Path; from dreamd.tree.lock import lock;"
            "lock(Path(sys.argv[1]), taken='{holder}')"
        )
        command = [sys.executable, "-c", program, path]
        other = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert other.returncode
        assert f"pid {os.getpid()} on " in other.stderr
        with pytest.raises(DreamdError, match=rf"pid {os.getpid()} on .* has it"):
            lock(path, taken="{holder} has it")
    lock(path, taken="").close()


def test_several_share_a_lock_and_one_alone_has_to_wait(path):
    with lock(path, shared=True, taken=""), lock(path, shared=True, taken=""):
        with pytest.raises(DreamdError, match="taken"):
            lock(path, taken="taken")
        assert lock_if_free(path) is None


def test_a_lock_that_is_about_to_be_given_back_is_waited_for(path):
    first = lock(path, taken="")
    timer = threading.Timer(0.2, first.close)
    timer.start()
    lock(path, taken="taken").close()
    timer.join()


def test_looking_takes_nothing_and_sees_a_lock_of_any_kind(path):
    assert not is_locked(path)
    lock(path, taken="").close()
    assert not is_locked(path)
    for shared in (False, True):
        with lock(path, shared=shared, taken=""):
            assert is_locked(path)
    looking = threading.Event()

    def look() -> None:
        while not looking.is_set():
            is_locked(path)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(500):
            free = lock_if_free(path)
            assert free is not None, "somebody who only looked kept it from being taken"
            free.close()
    finally:
        looking.set()
        for thread in threads:
            thread.join()


def test_a_readers_lock_of_another_kind_keeps_nobody_out(path):
    path.touch()
    with path.open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        lock(path, taken="").close()


def test_nobody_else_may_open_the_file(path):
    path.touch()
    path.chmod(0o666)
    with lock(path, taken=""):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_lock_on_a_file_that_went_away_is_not_current(path):
    with lock(path, taken="") as held:
        assert held.is_current()
        path.rename(path.with_name("old"))
        assert not held.is_current()
        path.touch()
        assert not held.is_current()
        path.with_name("old").rename(path)
        assert held.is_current()


def test_a_file_that_is_replaced_while_its_lock_is_taken_is_not_free(path, monkeypatch):
    take = locks._take

    def take_late(descriptor, **how):
        path.unlink()
        path.touch()
        return take(descriptor, **how)

    monkeypatch.setattr(locks, "_take", take_late)
    assert lock_if_free(path) is None


def test_a_symlink_is_not_followed(path, tmp_path):
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DreamdError, match="cannot lock"):
        lock(path, taken="")
    assert not (tmp_path / "elsewhere").exists()

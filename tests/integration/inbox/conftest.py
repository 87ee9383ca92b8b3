"""Watchers on real folders, with real inotify and real leases; time is a number that the test turns."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import contextmanager

import pytest

from dreamd.inbox.wholeness import leases
from tests.integration.inbox.desk import Desk

OTHER_USER = 4001


@pytest.fixture
def inbox(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def make(inbox):
    desks = []

    def make(**settings):
        desk = Desk(settings.pop("inbox", inbox), **settings)
        desks.append(desk)
        return desk

    yield make
    for desk in desks:
        desk.watcher.stop()


@pytest.fixture
def desk(make):
    """A watcher that has seen the empty inbox."""
    desk = make().start()
    assert desk.watcher.backend == "inotify"
    assert desk.due() == []
    return desk


@pytest.fixture
def no_leases(monkeypatch):
    """Another user's file, as far as the system call can tell."""
    real = leases.fcntl.fcntl

    def refused(descriptor, command, argument=0):
        if command == leases.fcntl.F_SETLEASE:
            raise PermissionError(errno.EACCES, "not yours")
        return real(descriptor, command, argument)

    monkeypatch.setattr(leases.fcntl, "fcntl", refused)


@pytest.fixture
def as_another_user(tmp_path):
    """Become somebody to whom the kernel says nothing of who writes others' files, as the daemon's user is."""
    if os.geteuid() != 0:
        pytest.skip("only root can take another user's part")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder.is_relative_to(tempfile.gettempdir()):
            folder.chmod(folder.stat().st_mode | 0o055)

    @contextmanager
    def become():
        os.seteuid(OTHER_USER)
        try:
            yield
        finally:
            os.seteuid(0)

    return become

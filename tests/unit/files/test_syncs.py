"""Syncing folders: those that come while a folder is synced share the next sync."""

from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from dreamd.files import syncs as module
from dreamd.files.nofollow import opened_folder


@pytest.fixture
def gated_sync(monkeypatch):
    """Syncs that wait at a gate; `folders` are those that were begun."""
    gate = SimpleNamespace(open=threading.Event(), begun=threading.Semaphore(0), folders=[], fails=0)

    def sync(folder: int) -> None:
        gate.folders.append(folder)
        gate.begun.release()
        assert gate.open.wait(30)
        if len(gate.folders) <= gate.fails:
            raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(module, "_sync_now", sync)
    return gate


def inside(syncs: module._SharedSyncs, folder: int) -> int:
    status = os.fstat(folder)
    return syncs._inside[(status.st_dev, status.st_ino)]


def test_those_that_come_while_a_folder_is_synced_share_the_next_sync(gated_sync, tmp_path):
    syncs = module._SharedSyncs()
    (tmp_path / "other").mkdir()
    with (
        opened_folder(tmp_path) as folder,
        opened_folder(tmp_path) as same_folder,
        opened_folder(tmp_path / "other") as other,
        ThreadPoolExecutor(6) as pool,
    ):
        first = pool.submit(syncs.sync, folder)
        assert gated_sync.begun.acquire(timeout=30)
        others = [pool.submit(syncs.sync, same_folder) for _ in range(4)]
        elsewhere = pool.submit(syncs.sync, other)
        assert gated_sync.begun.acquire(timeout=30), "another folder waits for nobody"
        while inside(syncs, folder) < 5:
            pass
        assert not any(future.done() for future in (first, *others))
        gated_sync.open.set()
        for future in (first, *others, elsewhere):
            future.result(30)
    assert len(gated_sync.folders) == 3
    assert not any((syncs._inside, syncs._started, syncs._ended, syncs._running))


def test_a_sync_that_fails_serves_nobody_else(gated_sync, tmp_path):
    gated_sync.fails = 2
    syncs = module._SharedSyncs()
    with opened_folder(tmp_path) as folder, ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(syncs.sync, folder) for _ in range(4)]
        while inside(syncs, folder) < 4:
            pass
        gated_sync.open.set()
        failed = [future for future in futures if future.exception(30)]
    assert len(failed) == 2
    assert len(gated_sync.folders) in (3, 4)

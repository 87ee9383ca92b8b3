"""The watch: what it misses, how it dies, and where it cannot be."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import threading
import time

import pytest
from watchdog.observers import inotify_c

from dreamd.inbox import watch
from dreamd.inbox.events import FileEvent
from tests.integration.inbox.desk import PNG, WAIT_SECONDS, by_event, by_rescan


def test_what_only_the_rescan_found_is_counted_when_no_event_follows(desk, inbox):
    (inbox / "cat.png").write_bytes(PNG)
    lost = desk.events.get(timeout=WAIT_SECONDS)
    assert lost.path == "cat.png"
    assert desk.due(after=31) == [by_rescan("cat.png")]
    assert desk.watcher.found_by_rescan_only == 0
    desk.due(after=31)
    assert desk.watcher.found_by_rescan_only == 1


def test_a_file_whose_event_comes_just_after_the_rescan_is_no_alarm(desk, inbox):
    (inbox / "cat.png").write_bytes(PNG)
    assert desk.due(after=31) == [by_rescan("cat.png")]
    desk.until("closed", "cat.png")
    assert desk.due(after=31) == []
    assert desk.watcher.found_by_rescan_only == 0


def test_a_file_that_the_rescan_saw_before_its_event_was_found_by_the_event(desk, inbox):
    (inbox / "cat.xyz").write_bytes(b"unknown")
    assert desk.due(after=31) == []
    desk.until("closed", "cat.xyz")
    assert desk.due(after=1) == [by_event("cat.xyz")]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_observer_that_died_is_rebuilt_by_the_rescan(make, inbox):
    died = threading.Event()

    def notify(event: FileEvent) -> None:
        if not died.is_set():
            died.set()
            raise RuntimeError("a handler must not raise")
        desk.events.put(event)

    desk = make(notify=notify).start()
    desk.due()
    observer = next(thread for thread in threading.enumerate() if type(thread).__name__ == "InboxObserver")
    (inbox / "lost.png").write_bytes(PNG)
    assert died.wait(WAIT_SECONDS)
    observer.join(WAIT_SECONDS)
    assert desk.paths(after=31) == ["lost.png"]
    (inbox / "cat.png").write_bytes(PNG)
    assert desk.settle(1) == [by_event("cat.png")]


def test_an_inbox_that_vanishes_is_waited_for_and_its_return_is_seen(desk, inbox):
    (inbox / "cat.png").write_bytes(PNG)
    desk.settle(1)
    shutil.rmtree(inbox)
    desk.until("deleted", "")
    assert desk.due(after=1) == []
    assert desk.watcher.backend.startswith("waiting: ")
    assert os.fspath(inbox) in desk.watcher.backend
    assert not inbox.exists()
    inbox.mkdir()
    (inbox / "dog.png").write_bytes(PNG)
    assert desk.paths(after=1) == ["dog.png"]
    assert desk.watcher.backend == "inotify"
    (inbox / "cow.png").write_bytes(PNG)
    assert desk.settle(1) == [by_event("cow.png")]


def test_what_an_inbox_brings_back_unchanged_is_reported_again(desk, inbox, tmp_path):
    (inbox / "cat.png").write_bytes(PNG)
    desk.settle(1)
    inbox.rename(tmp_path / "away")
    assert desk.due(after=31) == []
    (tmp_path / "away").rename(inbox)
    assert desk.paths(after=1) == ["cat.png"]


def test_an_inbox_replaced_by_another_folder_is_watched_anew(desk, inbox, tmp_path):
    inbox.rename(tmp_path / "old")
    inbox.mkdir()
    (inbox / "dog.png").write_bytes(PNG)
    (tmp_path / "old/late.png").write_bytes(PNG)
    assert desk.due(after=1) == [by_rescan("dog.png")]
    (inbox / "cow.png").write_bytes(PNG)
    assert desk.settle(1) == [by_event("cow.png")]


def test_a_watcher_starts_before_its_inbox_is_there(make, tmp_path):
    desk = make(inbox=tmp_path / "mounted/later").start()
    assert desk.due() == []
    assert desk.watcher.next_deadline() == pytest.approx(desk.now + 1)
    desk.inbox.mkdir(parents=True)
    (desk.inbox / "cat.png").write_bytes(PNG)
    assert desk.paths(after=1) == ["cat.png"]


def test_an_overflow_of_events_brings_a_rescan_soon(desk, inbox):
    descriptor = desk.watcher._watch._observer._descriptor
    overflow = inotify_c.InotifyEvent(-1, inotify_c.InotifyConstants.IN_Q_OVERFLOW, 0, b"")
    (inbox / "cat.png").write_bytes(PNG)
    desk.until("closed", "cat.png")
    desk.due(after=5)
    descriptor.handle_event(overflow)
    desk.until("overflow", "")
    assert desk.watcher.overflows == 1
    assert desk.watcher.next_deadline() == desk.now
    desk.due()
    descriptor.handle_event(overflow)
    desk.until("overflow", "")
    assert desk.watcher.next_deadline() == pytest.approx(desk.now + 1)
    (inbox / "dog.png").write_bytes(PNG)
    assert desk.settle(1) == [by_event("dog.png")]


def test_folders_of_dreamds_own_cost_no_watch(make, inbox):
    for number in range(20):
        (inbox / f".dreamd/work/{number}").mkdir(parents=True)
    desk = make().start()
    desk.due()
    (inbox / ".dreamd/work/late").mkdir()
    (inbox / "album").mkdir()
    desk.until("created", "album")
    assert len(desk.watcher._watch._observer._descriptor._watch_for_wd) == 2


def test_a_claim_does_not_hold_up_the_events_after_it(desk, inbox):
    (inbox / ".dreamd").mkdir()
    (inbox / "a.png").write_bytes(PNG)
    desk.settle(1)
    (inbox / "a.png").rename(inbox / ".dreamd/a.png")
    began = time.monotonic()
    (inbox / "b.png").write_bytes(PNG)
    assert desk.settle(1) == [by_event("b.png")]
    assert time.monotonic() - began < 0.4  # watchdog would hold it for half a second


def test_the_polling_backend_finds_files_and_says_why_it_polls(make, inbox):
    desk = make(backend="polling").start()
    assert desk.watcher.backend == "polling: as configured"
    desk.due()
    (inbox / "cat.png").write_bytes(PNG)
    assert desk.watcher.next_deadline() == pytest.approx(desk.now + 1)
    assert desk.due(after=1) == [by_rescan("cat.png")]
    desk.due(after=31)
    assert desk.watcher.found_by_rescan_only == 0


def test_a_share_is_polled_and_its_leases_are_not_believed(make, inbox, tmp_path, monkeypatch):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / / rw - ext4 /dev/sda rw\n2 1 0:2 / {inbox} rw - nfs4 server:/x rw\n")
    monkeypatch.setattr(watch, "MOUNTS", mounts)
    desk = make().start()
    assert desk.watcher.backend == "polling: nfs4"
    (inbox / "cat.png").write_bytes(PNG)
    assert desk.due() == []
    assert desk.due(after=1) == [by_rescan("cat.png")]


def test_at_the_limit_of_watches_it_polls_says_which_limit_and_tries_again(make, inbox, monkeypatch):
    real, watched = inotify_c.inotify_add_watch, []

    def limited(descriptor, path, mask):
        if len(watched) >= 3:
            ctypes.set_errno(errno.ENOSPC)
            return -1
        watched.append(path)
        return real(descriptor, path, mask)

    monkeypatch.setattr(inotify_c, "inotify_add_watch", limited)
    for number in range(5):
        (inbox / f"folder{number}").mkdir()
    desk = make().start()
    assert desk.watcher.backend == "polling: watch limit reached, raise fs.inotify.max_user_watches"
    (inbox / "folder4/cat.png").write_bytes(PNG)
    assert desk.due() == [by_rescan("folder4/cat.png")]
    monkeypatch.setattr(inotify_c, "inotify_add_watch", real)
    desk.due(after=601)
    assert desk.watcher.backend == "inotify"


def test_a_limit_reached_while_watching_is_noticed(desk, inbox, monkeypatch):
    def refused(descriptor, path, mask):
        ctypes.set_errno(errno.ENOSPC)
        return -1

    monkeypatch.setattr(inotify_c, "inotify_add_watch", refused)
    (inbox / "album").mkdir()
    desk.until("limit", "")
    desk.due(after=1)
    assert desk.watcher.backend == "polling: watch limit reached, raise fs.inotify.max_user_watches"


def test_an_idle_watcher_sleeps_until_the_next_rescan(desk):
    assert desk.watcher.next_deadline() == pytest.approx(desk.now + 30)
    desk.watcher.stop()
    assert desk.watcher.next_deadline() is None


def test_stopping_ends_every_thread(make):
    before = threading.active_count()
    desk = make().start()
    assert threading.active_count() > before
    desk.watcher.stop()
    assert threading.active_count() == before

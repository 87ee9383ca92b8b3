"""A file is reported once, and again when it is another."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

import pytest

from dreamd.inbox.events import FileEvent
from tests.integration.inbox.desk import HALF, PNG, PNG_END, by_event


def test_a_file_is_reported_once_until_it_changes(desk, inbox):
    (inbox / "cat.png").write_bytes(PNG)
    assert len(desk.settle(1)) == 1
    assert desk.due(after=31) == []
    assert desk.due(after=31) == []
    (inbox / "cat.png").write_bytes(PNG + PNG_END)
    assert desk.settle(1) == [by_event("cat.png")]


def test_a_file_rewritten_to_look_the_same_is_reported_again(desk, inbox):
    path = inbox / "cat.png"
    path.write_bytes(PNG)
    desk.settle(1)
    before = path.stat()
    path.write_bytes(PNG.replace(bytes(200), bytes([1]) * 200))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert desk.settle(1) == [by_event("cat.png")]


def test_a_file_moved_into_place_is_reported_again_where_a_move_leaves_no_mark_on_it(desk, inbox):
    (inbox / "cat.png").write_bytes(PNG)
    desk.settle(1)
    desk.watcher.handle(FileEvent("moved", "cat.png"))
    assert desk.due() == [by_event("cat.png")]


def test_opening_a_reported_file_for_writing_without_writing_does_not_report_it_again(desk, inbox):
    (inbox / "cat.png").write_bytes(PNG)
    desk.settle(1)
    with (inbox / "cat.png").open("r+b"):
        pass
    desk.until("closed", "cat.png")
    assert desk.due(after=2) == []


def test_a_postponed_file_that_is_not_whole_waits_no_second_time(desk, inbox):
    (inbox / "cat.png").write_bytes(HALF)
    desk.until("closed", "cat.png")
    assert desk.paths() == []
    assert desk.paths(after=60) == ["cat.png"]
    desk.watcher.postpone(PurePosixPath("cat.png"))
    assert desk.watcher.awaits(PurePosixPath("cat.png"))
    assert desk.paths(after=30) == ["cat.png"]
    assert not desk.watcher.awaits(PurePosixPath("cat.png"))


def test_a_file_that_went_and_came_back_the_same_is_reported_again(desk, inbox, tmp_path):
    (inbox / "cat.png").write_bytes(PNG)
    desk.settle(1)
    (inbox / "cat.png").rename(tmp_path / "cat.png")
    (tmp_path / "cat.png").rename(inbox / "cat.png")
    assert desk.settle(1) == [by_event("cat.png")]


def test_a_folder_that_went_and_came_back_the_same_is_reported_again(desk, inbox, tmp_path):
    (inbox / "album").mkdir()
    (inbox / "album/cat.png").write_bytes(PNG)
    desk.settle(1)
    (inbox / "album").rename(tmp_path / "album")
    (tmp_path / "album").rename(inbox / "album")
    desk.until("moved", "album")
    assert desk.due() == [by_event("album/cat.png")]


def test_a_file_that_vanishes_before_it_settles_is_forgotten(desk, inbox):
    (inbox / "cat.xyz").write_bytes(b"half")
    desk.until("closed", "cat.xyz")
    desk.due()
    (inbox / "cat.xyz").unlink()
    assert desk.due(after=2) == []
    assert desk.watcher.next_deadline() == pytest.approx(1030.0)


def test_a_postponed_file_is_reported_again_after_rescan_seconds(desk, inbox):
    (inbox / "cat.png").write_bytes(PNG)
    desk.settle(1)
    desk.watcher.postpone(PurePosixPath("cat.png"))
    desk.watcher.rescan()
    assert desk.due(after=29) == []
    assert desk.paths(after=1) == ["cat.png"]

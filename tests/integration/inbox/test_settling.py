"""When a file has settled."""

from __future__ import annotations

import os

import pytest

from dreamd.inbox.events import FileEvent
from tests.integration.inbox.desk import HALF, PNG, UNKNOWN, by_event, by_rescan


def test_a_complete_picture_that_was_written_and_closed_settles_at_once(desk, inbox):
    (inbox / "cat.png").write_bytes(PNG)
    assert desk.settle(1) == [by_event("cat.png")]


def test_a_file_of_an_unknown_kind_settles_when_it_was_still_for_settle_seconds(desk, inbox):
    (inbox / "cat.xyz").write_bytes(UNKNOWN)
    desk.until("closed", "cat.xyz")
    assert desk.due() == []
    assert desk.watcher.next_deadline() == pytest.approx(desk.now + 1.0)
    assert desk.due(after=0.9) == []
    assert desk.due(after=0.1) == [by_event("cat.xyz")]


def test_a_file_moved_into_place_settles_at_once_whatever_its_bytes(desk, inbox, tmp_path):
    (tmp_path / "draft").write_bytes(UNKNOWN)
    (tmp_path / "draft").rename(inbox / "cat.xyz")
    assert desk.settle(1) == [by_event("cat.xyz")]


def test_a_rename_from_a_temporary_name_settles_at_once(desk, inbox):
    (inbox / "cat.xyz.part").write_bytes(b"half")
    (inbox / "cat.xyz.part").rename(inbox / "cat.xyz")
    assert desk.settle(1) == [by_event("cat.xyz")]


def test_a_complete_picture_hard_linked_into_place_settles_at_once(desk, inbox, tmp_path):
    (tmp_path / "cat.png").write_bytes(PNG)
    (inbox / "cat.png").hardlink_to(tmp_path / "cat.png")
    assert desk.settle(1) == [by_event("cat.png")]


def test_a_writer_that_opens_appends_and_closes_again_and_again_is_left_alone(desk, inbox):
    path = inbox / "cat.png"
    for start in range(0, len(PNG), 20):
        with path.open("ab") as file:
            file.write(PNG[start : start + 20])
        desk.until("closed", "cat.png")
        is_whole = start + 20 >= len(PNG)
        found = desk.due(after=0.9)
        assert (found == [by_event("cat.png")]) == is_whole, start
    assert desk.due(after=5) == []


def test_a_file_that_a_writer_keeps_open_does_not_settle_however_long_it_is_still(desk, inbox):
    with (inbox / "cat.png").open("wb") as file:
        file.write(PNG)
        file.flush()
        desk.until("created", "cat.png")
        for _ in range(20):
            assert desk.due(after=5) == []
    assert desk.settle(1) == [by_event("cat.png")]


def test_a_file_renamed_while_its_writer_goes_on_waits_for_the_writer(desk, inbox):
    with (inbox / ".draft").open("wb") as file:
        file.write(PNG[:50])
        file.flush()
        (inbox / ".draft").rename(inbox / "cat.png")
        desk.until("moved", "cat.png")
        assert desk.due(after=3) == []
        file.write(PNG[50:100])
    desk.until("closed", "cat.png")
    assert desk.due() == []
    with (inbox / "cat.png").open("ab") as file:
        file.write(PNG[100:])
    assert desk.settle(1) == [by_event("cat.png")]


def test_without_leases_a_closed_picture_settles_after_settle_seconds_only(make, inbox, no_leases):
    desk = make().start()
    desk.due()
    (inbox / "cat.png").write_bytes(PNG)
    desk.until("closed", "cat.png")
    assert desk.due() == []
    (inbox / "cat.png").write_bytes(PNG + b"more")
    desk.until("closed", "cat.png")
    assert desk.due(after=0.9) == []
    assert desk.due(after=0.9) == []
    assert desk.due(after=0.1) == [by_event("cat.png")]


@pytest.mark.parametrize("data", [HALF, b"", bytes(1000)], ids=["half", "empty", "reserved"])
def test_a_file_that_is_not_whole_waits_for_patience_seconds(desk, inbox, data):
    (inbox / "cat.png").write_bytes(data)
    desk.until("closed", "cat.png")
    assert desk.due() == []
    assert desk.due(after=59.9) == []
    assert desk.due(after=0.1) == [by_event("cat.png")]


@pytest.mark.parametrize("data", [HALF, b""], ids=["half", "empty"])
def test_a_file_that_is_not_whole_waits_though_it_was_moved_into_place(desk, inbox, tmp_path, data):
    (tmp_path / "draft").write_bytes(data)
    (tmp_path / "draft").rename(inbox / "cat.png")
    desk.until("moved", "cat.png")
    assert desk.due() == []
    (inbox / "cat.png").write_bytes(PNG)
    assert desk.settle(1) == [by_event("cat.png")]


def test_patience_begins_anew_whenever_the_file_grows(desk, inbox):
    for _ in range(4):
        with (inbox / "cat.png").open("ab") as file:
            file.write(HALF[:20] if not file.tell() else HALF[20:40])
        desk.until("closed", "cat.png")
        assert desk.due(after=50) == []
    assert desk.due(after=10) == []
    assert desk.due(after=50) == [by_event("cat.png")]


def test_patience_is_configured_and_never_less_than_settle_seconds(make, inbox):
    desk = make(patience_seconds=5.0).start()
    hasty = make(patience_seconds=0.0, settle_seconds=2.0).start()
    (inbox / "cat.png").write_bytes(HALF)
    assert desk.due() == hasty.due() == []
    assert desk.due(after=4.9) == []
    assert desk.due(after=0.1) == [by_rescan("cat.png")]
    assert hasty.due(after=1.9) == []
    assert hasty.due(after=0.1) == [by_rescan("cat.png")]


def test_a_placeholder_is_taken_when_it_is_filled_and_not_before(desk, inbox):
    (inbox / "phone.png").touch()
    desk.until("closed", "phone.png")
    assert desk.due(after=3) == []
    (inbox / "phone.png").write_bytes(PNG)
    assert desk.settle(1) == [by_event("phone.png")]


def test_where_events_are_not_heard_a_file_is_seen_to_grow_by_walks(make, inbox):
    desk = make(backend="polling").start()
    (inbox / "cat.png").write_bytes(HALF)
    assert desk.due() == desk.due(after=40) == []
    (inbox / "cat.png").write_bytes(PNG)
    assert desk.due(after=1) == [by_rescan("cat.png")]
    assert desk.watcher.found_by_rescan_only == 0


@pytest.mark.parametrize("data", [UNKNOWN, PNG[:100], PNG], ids=["unknown", "half", "whole"])
def test_another_users_file_that_was_created_is_awaited_until_it_is_closed(make, inbox, as_another_user, data):
    desk = make().start()
    desk.due()
    with (inbox / "cat.png").open("wb") as file, as_another_user():
        desk.until("created", "cat.png")
        os.write(file.fileno(), data)
        for _ in range(5):
            assert desk.due(after=100) == []
        os.write(file.fileno(), b"" if data == PNG else PNG[100:])
        assert desk.due() == []
    with as_another_user():
        desk.until("closed", "cat.png")
        assert desk.paths() + desk.paths(after=1) == ["cat.png"]


def test_another_users_file_that_was_linked_into_place_is_not_awaited(make, inbox, tmp_path, as_another_user):
    desk = make().start()
    desk.due()
    (tmp_path / "cat.png").write_bytes(PNG)
    (inbox / "cat.png").hardlink_to(tmp_path / "cat.png")
    with as_another_user():
        desk.until("created", "cat.png")
        assert desk.paths() + desk.paths(after=1) == ["cat.png"]


def test_another_users_file_whose_end_no_event_tells_of_is_taken_at_last(make, inbox, as_another_user):
    desk = make().start()
    desk.due()
    with (inbox / "cat.xyz").open("wb") as file:
        file.write(UNKNOWN)
        file.flush()
        with as_another_user():
            desk.until("created", "cat.xyz")
            assert desk.due() == desk.due(after=599) == []
            assert desk.paths(after=1) == ["cat.xyz"]
            file.write(UNKNOWN)
            file.flush()
            desk.watcher.handle(FileEvent("created", "cat.xyz"))
            assert desk.due() == desk.due(after=2) == []
            desk.watcher.handle(FileEvent("overflow"))  # the event of its end may be lost
            assert desk.paths() == ["cat.xyz"]


def test_without_leases_a_file_moved_into_place_settles_at_once(make, inbox, tmp_path, no_leases):
    desk = make().start()
    desk.due()
    (tmp_path / "cat.png").write_bytes(PNG)
    (tmp_path / "cat.png").rename(inbox / "cat.png")
    assert desk.settle(1) == [by_event("cat.png")]


def test_an_empty_dream_file_is_whole_and_an_empty_picture_is_not(desk, inbox):
    desk.start()
    (inbox / "clouds.dream.yaml").touch()
    (inbox / "cat.jpg").touch()
    (inbox / "zeros.dream.yaml").write_bytes(bytes(10))
    assert desk.paths(after=desk_rescan(desk)) == ["clouds.dream.yaml"]


def desk_rescan(desk):
    """Meets the files by a walk, and returns how long they must be still."""
    desk.watcher.rescan()
    desk.due()
    return 2.0

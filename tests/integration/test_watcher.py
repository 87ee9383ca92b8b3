"""Files that settle: real folders, real inotify, real leases; time is a number that the test turns."""

from __future__ import annotations

import ctypes
import errno
import os
import queue
import shutil
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

import pytest
from watchdog.observers import inotify_c

from dreamd.inbox import appearance, leases, watch
from dreamd.inbox.events import FileEvent
from dreamd.inbox.recipes import RecipeChanged
from dreamd.inbox.settling import Settled
from dreamd.inbox.watcher import Watcher

PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
PNG = b"\x89PNG\r\n\x1a\n" + (200).to_bytes(4, "big") + b"IDAT" + bytes(204) + PNG_END
HALF = PNG[:100]
"""A picture that is still being copied."""

UNKNOWN = b"no picture that anyone knows"
OTHER_USER = 4001
WAIT_SECONDS = 10.0


class Desk:
    """A watcher with its queue and a clock that stands still until it is turned."""

    def __init__(self, inbox: Path, **settings: object) -> None:
        self.inbox = inbox
        self.now = 1000.0
        self.events: queue.SimpleQueue[FileEvent] = queue.SimpleQueue()
        defaults = {"notify": self.events.put, "backend": "auto", "settle_seconds": 1.0, "rescan_seconds": 30.0}
        self.watcher = Watcher(inbox, clock=lambda: self.now, **(defaults | settings))

    def start(self) -> Desk:
        self.watcher.start()
        return self

    def due(self, after: float = 0.0) -> list[object]:
        """What the loop gets, which calls again as long as the next deadline is past."""
        self.now += after
        found = self.watcher.due(self.now)
        while (deadline := self.watcher.next_deadline()) is not None and deadline <= self.now:
            found += self.watcher.due(self.now)
        return found

    def paths(self, after: float = 0.0) -> list[str]:
        return [os.fspath(found.path) for found in self.due(after) if isinstance(found, Settled)]

    def until(self, kind: str, path: str) -> None:
        """Handles events up to the one that is waited for."""
        while True:
            event = self.events.get(timeout=WAIT_SECONDS)
            self.watcher.handle(event)
            if (event.kind, event.path) == (kind, path):
                return

    def find(self) -> list[object]:
        """What is found first, by events or by walks."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not (found := self.due(after=1)) and time.monotonic() < deadline:
            with suppress(queue.Empty):
                self.watcher.handle(self.events.get(timeout=0.1))
        return found

    def settle(self, count: int) -> list[object]:
        """What settles by events alone, until there are `count`; the clock stands still."""
        found = self.due()
        deadline = time.monotonic() + WAIT_SECONDS
        while len(found) < count and time.monotonic() < deadline:
            self.watcher.handle(self.events.get(timeout=WAIT_SECONDS))
            found += self.due()
        return found


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


def by_event(path: str) -> Settled:
    return Settled(PurePosixPath(path), "event")


def by_rescan(path: str) -> Settled:
    return Settled(PurePosixPath(path), "rescan")


def no_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's file, as far as the system call can tell."""
    real = leases.fcntl.fcntl

    def refused(descriptor, command, argument=0):
        if command == leases.fcntl.F_SETLEASE:
            raise PermissionError(errno.EACCES, "not yours")
        return real(descriptor, command, argument)

    monkeypatch.setattr(leases.fcntl, "fcntl", refused)


# Settling


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


def test_without_leases_a_closed_picture_settles_after_settle_seconds_only(make, inbox, monkeypatch):
    no_leases(monkeypatch)
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


def test_without_leases_a_file_moved_into_place_settles_at_once(make, inbox, tmp_path, monkeypatch):
    no_leases(monkeypatch)
    desk = make().start()
    desk.due()
    (tmp_path / "cat.png").write_bytes(PNG)
    (tmp_path / "cat.png").rename(inbox / "cat.png")
    assert desk.settle(1) == [by_event("cat.png")]


# Reporting once


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


# What is found


def test_files_that_were_there_at_the_start_settle_like_any_other(make, inbox):
    (inbox / "trips").mkdir()
    (inbox / "trips/cat.png").write_bytes(PNG)
    (inbox / "dog.xyz").write_bytes(b"unknown")
    desk = make().start()
    assert desk.watcher.next_deadline() == desk.now
    assert desk.due() == [by_rescan("trips/cat.png")]
    assert desk.due(after=1) == [by_rescan("dog.xyz")]


def test_the_files_of_a_folder_moved_in_whole_settle_at_once(desk, inbox, tmp_path):
    (tmp_path / "album/rome").mkdir(parents=True)
    (tmp_path / "album/a.xyz").write_bytes(b"unknown")
    (tmp_path / "album/rome/b.png").write_bytes(PNG)
    (tmp_path / "album").rename(inbox / "album")
    assert sorted(desk.settle(2), key=str) == [by_event("album/a.xyz"), by_event("album/rome/b.png")]
    (inbox / "album").rename(inbox / "trip")
    assert sorted(desk.settle(2), key=str) == [by_event("trip/a.xyz"), by_event("trip/rome/b.png")]
    (inbox / "last.png").write_bytes(PNG)
    assert desk.settle(1) == [by_event("last.png")]


def test_files_in_folders_made_a_moment_ago_are_found_by_events(desk, inbox):
    for number in range(50):
        folder = inbox / f"a{number}/b/c"
        folder.mkdir(parents=True)
        (folder / "cat.png").write_bytes(PNG)
    assert {found.path.name for found in desk.settle(50)} == {"cat.png"}
    (inbox / "a7").rename(inbox / "z7")
    assert desk.settle(1) == [by_event("z7/b/c/cat.png")]
    (inbox / "z7/b/c/dog.png").write_bytes(PNG)
    assert desk.settle(1) == [by_event("z7/b/c/dog.png")]


def test_a_folder_that_loses_its_hidden_name_is_watched_from_then_on(desk, inbox):
    (inbox / ".unpacking").mkdir()
    (inbox / ".unpacking/a.png").write_bytes(PNG)
    (inbox / ".unpacking").rename(inbox / "album")
    assert desk.settle(1) == [by_event("album/a.png")]
    (inbox / "album/b.png").write_bytes(PNG)
    assert desk.settle(1) == [by_event("album/b.png")]


def test_names_that_are_no_utf8_or_hold_a_newline_are_found(desk, inbox):
    names = [b"caf\xe9.png", b"a\nb.png", b"-rf.png", b"n" * 251 + b".png"]
    for name in names:
        Path(os.fsdecode(os.fsencode(inbox) + b"/" + name)).write_bytes(PNG)
    assert sorted(os.fsencode(found.path) for found in desk.settle(4)) == sorted(names)


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.png",
        ".dreamd/work/1/cat.png",
        "trips/.trash/cat.png",
        "cat.png~",
        "cat.png.crdownload",
        "#cat.png#",
        "Thumbs.db",
        "@eaDir/cat.png",
        "#recycle/cat.png",
        "trips/@Recycle/deep/cat.png",
        "Recipe.yaml",
        "recipe.yaml/cat.png",
        "raw/cat.CR3",
        "skip-me/cat.png",
    ],
)
def test_litter_and_temporary_names_are_left_alone_by_event_and_by_walk(make, inbox, name):
    desk = make(ignore=["*.CR3", "skip-*"]).start()
    desk.due()
    (inbox / name).parent.mkdir(parents=True, exist_ok=True)
    (inbox / name).write_bytes(PNG)
    (inbox / "seen.png").write_bytes(PNG)
    found = [*desk.settle(1), *desk.due(after=31), *desk.due(after=31)]
    assert [os.fspath(each.path) for each in found if isinstance(each, Settled)] == ["seen.png"]


def test_only_regular_files_are_reported_and_nothing_else_is_opened(desk, inbox, tmp_path, monkeypatch):
    opened = []
    real = os.open
    monkeypatch.setattr(appearance.os, "open", lambda path, *rest, **more: opened.append(path) or real(path, *rest))
    (tmp_path / "secret.png").write_bytes(PNG)
    (inbox / "link.png").symlink_to(tmp_path / "secret.png")
    (inbox / "folder").symlink_to(tmp_path)
    os.mkfifo(inbox / "pipe.png")
    (inbox / "seen.png").write_bytes(PNG)
    assert desk.settle(1) == [by_event("seen.png")]
    assert desk.due(after=31) == []
    assert opened == [os.fspath(inbox / "seen.png")]


def test_a_changed_recipe_is_reported_and_never_as_a_picture(desk, inbox):
    (inbox / "trips").mkdir()
    (inbox / "trips/recipe.yaml").write_text("layers: 3")
    (inbox / "recipe.yml").write_text("layers: 4")
    desk.until("closed", "recipe.yml")
    assert desk.due() == [RecipeChanged(PurePosixPath(".")), RecipeChanged(PurePosixPath("trips"))]
    (inbox / "trips/recipe.yaml").unlink()
    desk.until("deleted", "trips/recipe.yaml")
    assert desk.due() == [RecipeChanged(PurePosixPath("trips"))]
    assert desk.due(after=31) == []


def test_a_recipe_is_reported_when_it_is_written_not_when_it_is_still_empty(desk, inbox):
    with (inbox / "recipe.yaml").open("w") as file:
        desk.until("created", "recipe.yaml")
        assert desk.due() == []
        file.write("layers: 3")
    desk.until("closed", "recipe.yaml")
    assert desk.due() == [RecipeChanged(PurePosixPath("."))]


def test_a_recipe_that_changed_without_an_event_is_found_by_the_rescan(make, inbox):
    desk = make(backend="polling").start()
    (inbox / "recipe.yaml").write_text("layers: 3")
    assert desk.due() == [RecipeChanged(PurePosixPath("."))]
    (inbox / "recipe.yaml").write_text("layers: 31")
    assert desk.due(after=2) == [RecipeChanged(PurePosixPath("."))]
    (inbox / "recipe.yaml").unlink()
    assert desk.due(after=2) == [RecipeChanged(PurePosixPath("."))]
    assert desk.due(after=2) == []


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
@pytest.mark.parametrize("backend", ["inotify", "polling"])
def test_whatever_is_called_a_recipe_is_reported_when_it_comes_and_when_it_goes(make, inbox, tmp_path, kind, backend):
    recipe = inbox / "trips" / "recipe.yaml"
    recipe.parent.mkdir()
    desk = make(backend=backend).start()
    assert desk.due() == []
    if kind == "link":
        recipe.symlink_to(tmp_path)
    elif kind == "folder":
        recipe.mkdir()
        (recipe / "cat.png").write_bytes(PNG)
    else:
        os.mkfifo(recipe)
    assert desk.find() == [RecipeChanged(PurePosixPath("trips"))]
    shutil.rmtree(recipe) if kind == "folder" else recipe.unlink()
    assert desk.find() == [RecipeChanged(PurePosixPath("trips"))]
    assert desk.due(after=31) == []


def test_a_folder_that_goes_takes_its_recipe_with_it(desk, inbox, tmp_path):
    (inbox / "trips").mkdir()
    (inbox / "trips/recipe.yaml").write_text("layers: 3")
    assert desk.find() == [RecipeChanged(PurePosixPath("trips"))]
    (inbox / "trips").rename(tmp_path / "trips")
    desk.until("deleted", "trips")
    assert desk.due() == [RecipeChanged(PurePosixPath("trips"))]


def test_links_and_pipes_and_misspelt_recipes_are_said_once_and_listed_while_they_are_there(
    desk, inbox, tmp_path, caplog
):
    (inbox / "trips").mkdir()
    for number in range(3):
        (inbox / f"trips/{number}.png").symlink_to(tmp_path / "cat.png")
    (inbox / "folder").symlink_to(tmp_path)
    (inbox / ".hidden").symlink_to(tmp_path)
    assert desk.due(after=31) == desk.due(after=31) == []
    assert set(desk.watcher.skipped) == {"trips/0.png", "trips/1.png", "trips/2.png", "folder"}
    assert set(desk.watcher.skipped.values()) == {"a link, and links are not followed"}
    said = [record.getMessage() for record in caplog.records if "left in the inbox" in record.getMessage()]
    assert len(said) == 1
    assert said[0].endswith("is a link, and links are not followed (and 3 more are left like it)")
    shutil.rmtree(inbox / "trips")
    os.mkfifo(inbox / "pipe.png")
    (inbox / "Recipe.yaml").write_text("layers: 3")
    desk.due(after=31)
    (inbox / "folder").unlink()
    desk.due(after=31)
    assert desk.watcher.skipped == {
        "pipe.png": "neither a file nor a folder",
        "Recipe.yaml": "not read, for a recipe is called recipe.yaml, in small letters",
    }


@pytest.mark.slow
def test_twenty_thousand_files_at_once_are_all_reported_once(desk, inbox):
    count = 20_000
    for number in range(count):
        (inbox / f"{number}.png").write_bytes(PNG)
    found = []
    for _ in range(20):
        while not desk.events.empty():
            desk.watcher.handle(desk.events.get())
        found += desk.paths(after=2)
        if len(found) >= count:
            break
    found += desk.paths(after=31)
    assert len(found) == count
    assert len(set(found)) == count


def test_of_very_many_files_some_are_looked_at_in_a_turn_and_none_is_left_out(make, inbox):
    for number in range(2_500):
        (inbox / f"{number}.xyz").write_bytes(UNKNOWN)
    desk = make(backend="polling", settle_seconds=0.0).start()
    turns = [desk.watcher.due(desk.now)]
    while desk.watcher.next_deadline() <= desk.now:
        turns.append(desk.watcher.due(desk.now))
    assert max(len(turn) for turn in turns) <= 2_000
    assert len({found.path for turn in turns for found in turn}) == 2_500


def test_files_that_came_while_nobody_watched_settle_in_the_order_they_came(make, inbox):
    names = [f"{number * 7 % 10}.png" for number in range(10)]
    last = 0
    for name in names:
        while not (inbox / name).exists() or (inbox / name).stat().st_ctime_ns == last:  # the kernel's clock is coarse
            (inbox / name).write_bytes(PNG)
        last = (inbox / name).stat().st_ctime_ns
    assert make(backend="polling").start().paths() == names


@pytest.mark.slow
def test_a_rescan_of_many_known_files_is_quick(make, inbox):
    for number in range(20_000):
        (inbox / f"{number}.xyz").write_bytes(UNKNOWN)
    desk = make(backend="polling").start()
    assert len(desk.paths()) == 0
    assert len(desk.paths(after=2)) == 20_000
    began = time.perf_counter()
    assert desk.due(after=31) == []
    assert time.perf_counter() - began < 1.5  # 100,000 in well under 3 s, with room for a busy machine


# The watch


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

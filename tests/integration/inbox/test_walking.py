"""A large inbox is walked in steps, between which the loop has its turns and files come and go."""

from __future__ import annotations

import os

import pytest

from dreamd.inbox import settling, watcher
from dreamd.inbox.events import FileEvent
from dreamd.inbox.settling import Settled
from tests.integration.inbox.desk import PNG

NAMES = [f"{folder}/{number}.png" for folder in ("a", "b", "c") for number in range(5)]


@pytest.fixture(autouse=True)
def _steps_are_small(monkeypatch):
    monkeypatch.setattr(watcher, "_STEP_ENTRIES", 1)
    monkeypatch.setattr(watcher, "_WALK_SECONDS", 0.0)


@pytest.fixture
def full(inbox):
    for name in NAMES:
        (inbox / name).parent.mkdir(exist_ok=True)
        (inbox / name).write_bytes(PNG)
    return inbox


def turns(desk, count=100):
    """What so many turns of the loop find at most, or as many as the walk takes."""
    found = []
    for _ in range(count):
        found += [os.fspath(one.path) for one in desk.watcher.due(desk.now) if isinstance(one, Settled)]
        if not desk.watcher.has_pending:
            break
    return found


def begun(desk):
    """A walk that has begun and not ended."""
    desk.start()
    found = turns(desk, 6)
    assert found
    assert len(found) < len(NAMES)
    assert desk.watcher.next_deadline() == desk.now
    return found


def test_everything_is_found_once_whatever_the_steps(make, full):
    desk = make(backend="polling").start()
    assert sorted(turns(desk)) == NAMES
    assert desk.due(after=40) == []
    (full / "a" / "new.png").write_bytes(PNG)
    assert desk.paths(after=40) == ["a/new.png"]


def test_the_files_of_a_folder_come_in_the_order_in_which_they_were_made(make, full):
    last = (full / NAMES[-1]).stat().st_ctime_ns
    for name in reversed(NAMES):
        while (full / name).stat().st_ctime_ns <= last:
            (full / name).touch()  # a filesystem's clock takes steps of some milliseconds
        last = (full / name).stat().st_ctime_ns
    found = turns(make(backend="polling").start())
    assert [name for name in found if name.startswith("b/")] == [f"b/{number}.png" for number in range(4, -1, -1)]


def test_a_file_that_comes_to_a_folder_while_it_is_walked_is_not_taken_for_gone(make, full):
    desk = make()
    found = begun(desk)
    folder = found[0].partition("/")[0]
    (full / folder / "late.png").write_bytes(PNG)
    desk.until("closed", f"{folder}/late.png")
    found += turns(desk)
    found += desk.paths()
    assert sorted(found) == sorted([*NAMES, f"{folder}/late.png"])


def test_what_goes_while_it_is_walked_is_forgotten_and_comes_again(make, full):
    desk = make(backend="polling").start()
    turns(desk)
    (full / "b").rename(full.parent / "b")
    assert desk.due(after=40) == []
    (full.parent / "b").rename(full / "b")
    assert sorted(desk.paths(after=40)) == [name for name in NAMES if name.startswith("b/")]


def test_a_walk_that_is_asked_for_meanwhile_follows_and_does_not_begin_this_one_anew(make, full):
    desk = make()
    found = begun(desk)
    desk.watcher.handle(FileEvent("overflow"))
    for name in ("a/x.png", "b/x.png", "c/x.png"):
        (full / name).write_bytes(PNG)
    found += turns(desk)
    desk.now += 1.0
    found += turns(desk)
    assert set(found) >= set(NAMES)
    assert len(found) == len(set(found))


def test_the_walk_waits_for_inspections_that_lag_behind(make, full, monkeypatch):
    monkeypatch.setattr(settling, "_MOST_WAITING", 3)
    monkeypatch.setattr(settling, "_INSPECTIONS_A_TURN", 1)
    desk = make(backend="polling").start()
    most, found = 0, desk.watcher.due(desk.now)
    while desk.watcher.has_pending:
        found += desk.watcher.due(desk.now)
        most = max(most, len(desk.watcher._settling._pending))
    assert len(found) == len(NAMES)
    assert most <= 5 + 3  # a folder's, and those that may wait before it

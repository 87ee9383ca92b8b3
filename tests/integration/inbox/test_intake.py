"""What the watcher reports is claimed, and nothing that is in the inbox still is forgotten."""

from __future__ import annotations

import errno
import os
import time
from pathlib import PurePosixPath

import pytest

from dreamd.daemon.intake.intake import Intake
from tests.integration.inbox.desk import PNG

CAT = PurePosixPath("cat.png")


class Life:
    """Claims what is in the inbox; the first claims may find nothing, as on a share that hides a file."""

    def __init__(self, inbox, blind):
        self.inbox = inbox
        self.blind = blind
        self.queue = []

    def take_in(self, paths):
        for path in paths:
            if self.blind:
                self.blind -= 1
            else:
                (self.inbox / path).unlink()
                self.queue.append(path)
        return {}


@pytest.fixture
def settled(make, inbox):
    """A polling desk with a whole picture, which settles at its first look."""
    desk = make(backend="polling").start()
    (inbox / CAT).write_bytes(PNG)
    return desk


def walk(intake, desk):
    """The next walk finds files, and what is still then settles."""
    for seconds in (31, 2):
        desk.now += seconds
        intake.take_in(desk.now)


def test_a_picture_that_a_share_hides_at_its_claim_is_claimed_after_the_next_walk(settled, inbox):
    life = Life(inbox, blind=1)
    intake = Intake(settled.watcher, life, until_empty=False)
    intake.take_in(settled.now)
    assert (life.blind, life.queue) == (0, [])
    walk(intake, settled)
    assert life.queue == [CAT]


def test_a_picture_that_cannot_be_looked_at_before_its_claim_is_claimed_after_the_next_walk(
    settled, inbox, monkeypatch
):
    life = Life(inbox, blind=0)
    intake = Intake(settled.watcher, life, until_empty=False)

    found = settled.watcher.due(settled.now)

    def hidden(path):
        raise OSError(errno.ESTALE, "stale file handle", path)

    with monkeypatch.context() as patch:
        patch.setattr(settled.watcher, "due", lambda _now: found)
        patch.setattr(os, "lstat", hidden)
        intake.take_in(settled.now)
    assert life.queue == []
    walk(intake, settled)
    assert life.queue == [CAT]


def test_a_daemon_that_shares_claims_no_more_than_it_has_room_for_and_the_rest_when_it_has(settled, inbox):
    life, room = Life(inbox, blind=0), [2]
    for name in ("a.png", "b.png", "c.png"):
        (inbox / name).write_bytes(PNG)
    intake = Intake(settled.watcher, life, until_empty=False, room=lambda: room[0] - len(life.queue))
    walk(intake, settled)
    assert len(life.queue) == 2
    assert intake._claim_due > time.monotonic()  # the loop must not turn on the spot meanwhile
    room[0] = 4
    intake._claim_due = 0.0
    intake.take_in(settled.now)
    assert len(life.queue) == 4


@pytest.mark.parametrize("folder", ["", "cats/"])
def test_a_daemon_without_room_forgets_what_others_have_taken_and_counts_a_picture_that_changed_once(
    make, inbox, folder
):
    desk = make(backend="polling").start()
    (inbox / folder).mkdir(exist_ok=True)
    kept, taken = inbox / f"{folder}kept.png", inbox / f"{folder}taken.png"
    for path in (kept, taken):
        path.write_bytes(PNG)
    intake = Intake(desk.watcher, Life(inbox, blind=0), until_empty=False, room=lambda: 0)
    walk(intake, desk)
    assert len(intake) == 2
    taken.unlink()
    kept.write_bytes(PNG[:-12] + b"more" + PNG[-12:])
    intake._claim_due = 0.0
    walk(intake, desk)
    intake._claim_due = 0.0
    intake.take_in(desk.now)
    assert len(intake) == 1

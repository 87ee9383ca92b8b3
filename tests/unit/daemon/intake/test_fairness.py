"""How much of a shared inbox a daemon takes: some seconds' work of its seats."""

from __future__ import annotations

from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest

from dreamd.daemon.intake.fairness import fair_room
from dreamd.daemon.jobs.pace import Paces
from dreamd.daemon.jobs.queue import Scheduler
from dreamd.job import Job


class Place:
    """A daemon's queue, so many seats, and pictures that take so many seconds; None: nobody knows."""

    def __init__(self, *, seats: int = 1, seconds: float | None = None) -> None:
        self.queue = Scheduler()
        paces = Paces()
        if seconds is not None:
            paces.learn("a recipe", "a device", seconds, (10, 10))
        life: Any = SimpleNamespace(queue=self.queue)
        roster: Any = SimpleNamespace(seats=seats)
        self.room = fair_room(life, roster, paces)

    def wait(self, count: int, folder: str = ".") -> None:
        for number in range(count):
            self.queue.add(Job(id=f"{folder}{number}", folder=PurePosixPath(folder), name=f"{number}.png"))


@pytest.mark.parametrize(
    ("seats", "seconds", "room"), [(1, 2.0, 5), (4, 2.0, 20), (1, 100.0, 1), (3, None, 3), (0, 2.0, 5), (1, 0.01, 1000)]
)
def test_ten_seconds_work_of_each_seat_waits_and_one_picture_at_least(
    seats: int, seconds: float | None, room: int
) -> None:
    assert Place(seats=seats, seconds=seconds).room() == room


def test_what_waits_is_taken_off() -> None:
    place = Place(seconds=2.0)
    place.wait(3)
    assert place.room() == 2
    place.wait(3, "more")
    assert place.room() < 0


def test_a_paused_folder_keeps_no_other_out_and_a_paused_daemon_takes_no_more() -> None:
    place = Place(seconds=2.0)
    place.wait(5, "paused")
    place.queue.pause(["paused"])
    assert place.room() == 5
    place.queue.pause(["."])
    assert place.room() == 0

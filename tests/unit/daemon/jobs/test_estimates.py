"""When jobs will be done: by what is known, and never by what is not."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import pytest
from PIL import Image

from dreamd.daemon.jobs.estimates import _SIZES_AT_A_TIME, Estimates
from dreamd.daemon.jobs.pace import Paces
from dreamd.daemon.jobs.queue import Scheduler
from dreamd.inbox.declared import declared_size
from dreamd.job import Job

BIG = json.dumps({"image": {"max_side": None}})
SMALL = json.dumps({"image": {"max_side": 50}})


@pytest.fixture
def paces() -> Paces:
    return Paces()


@pytest.fixture
def estimates(paces: Paces, tmp_path: Path) -> Estimates:
    return Estimates(paces, lambda job: tmp_path / job.name)


def job_of(folder: Path, name: str, size: tuple[int, int] | None = None, recipe: str = BIG) -> Job:
    if size is not None:
        Image.new("RGB", size).save(folder / name)
    return Job(id=name, folder=PurePosixPath(), name=name, recipe=recipe)


def test_nothing_is_said_of_a_recipe_of_which_nothing_is_known(estimates: Estimates, tmp_path: Path) -> None:
    job = job_of(tmp_path, "a.png", (100, 100))
    assert estimates.whole(job) is None
    assert estimates.rest(job, share=0.05, elapsed=3.0) is None
    assert estimates.rest(job, share=0.25, elapsed=3.0) == 9.0  # it has shown itself how fast it is


def test_a_picture_takes_as_long_as_its_pixels_at_the_pace_of_its_recipe(
    paces: Paces, estimates: Estimates, tmp_path: Path
) -> None:
    paces.learn(BIG, "a card", 10.0, (100, 100))
    assert estimates.whole(job_of(tmp_path, "a.png", (200, 100))) == pytest.approx(20.0)
    assert estimates.whole(job_of(tmp_path, "b.jpg", (50, 100))) == pytest.approx(5.0)
    paces.learn(SMALL, "a card", 1.0, (50, 50))
    assert estimates.whole(job_of(tmp_path, "c.png", (200, 100), SMALL)) == pytest.approx(0.5)


def test_one_of_unknown_size_takes_as_long_as_others_did(paces: Paces, estimates: Estimates, tmp_path: Path) -> None:
    paces.learn(BIG, "a card", 10.0, (100, 100))
    assert estimates.whole(job_of(tmp_path, "gone.png")) == 10.0
    paces.learn(BIG, "a card", 20.0, (100, 100))
    assert estimates.whole(job_of(tmp_path, "gone.png")) == pytest.approx(13.0)


def test_who_waits_waits_for_those_before_and_for_nobody_of_whom_nothing_is_known(
    paces: Paces, estimates: Estimates, tmp_path: Path
) -> None:
    paces.learn(BIG, "a card", 10.0, (100, 100))
    known, unknown = job_of(tmp_path, "a.png"), job_of(tmp_path, "b.png", recipe="{}")
    assert estimates.waits([known, known, unknown, known], 4.0, 1) == [14.0, 24.0, None, None]
    assert estimates.waits([known, known], 4.0, 2) == [7.0, 12.0]
    assert estimates.waits([known], None, 1) == [None]


def test_only_so_many_files_are_read_for_one_report(paces: Paces, estimates: Estimates, tmp_path: Path) -> None:
    paces.learn(BIG, "a card", 10.0, (100, 100))
    jobs = [job_of(tmp_path, f"{number}.png", (10, 10)) for number in range(_SIZES_AT_A_TIME + 1)]
    estimates.begin_report()
    *read, last = [estimates.whole(job) for job in jobs]
    assert read == pytest.approx([0.1] * _SIZES_AT_A_TIME)
    assert last == 10.0
    estimates.begin_report()
    assert estimates.whole(jobs[-1]) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a" + bytes(30), b"\xff\xd8" + b"\xff" * 99]
)
def test_what_declares_no_size_has_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    assert declared_size(tmp_path / "a") is None


def test_the_next_jobs_are_those_that_start_next() -> None:
    queue = Scheduler()
    for folder, names in (("a", "123"), ("b", "4"), ("c", "5")):
        for name in names:
            queue.add(Job(id=name, folder=PurePosixPath(folder), name=name))
    queue.pause(["c"])
    upcoming = [job.id for job in queue.upcoming(10)]
    assert upcoming == ["1", "4", "2", "3"]
    assert [job.id for job in queue.upcoming(2)] == ["1", "4"]
    assert [queue.next()[0].id for _ in range(4)] == upcoming

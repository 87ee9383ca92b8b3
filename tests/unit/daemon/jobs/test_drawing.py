"""Jobs that are taken for several seats begin together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from dreamd.errors import SpaceError
from dreamd.job import JobState, home_of
from tests.unit.daemon.jobs.test_lifecycle import House, count_saves


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.journal.close()


def test_what_several_seats_are_given_is_written_down_in_one_commit(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.drop("a.png", "b.png", "c.png")
    saves = count_saves(house, monkeypatch)
    batches = [house.life.draw(1), house.life.draw(2)]
    assert saves == []
    assert not house.life.running
    assert house.life.begin()
    assert saves == [3]
    assert [len(batch.orders) for batch in batches if batch is not None] == [1, 2]
    assert {(job.state, job.attempts) for job in house.journal.unfinished()} == {(JobState.RUNNING, 1)}


def test_a_journal_that_takes_nothing_holds_all_that_was_drawn_without_an_attempt(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.drop("a.png", "b.png")
    house.life.draw()
    house.life.draw()

    def full(jobs: object) -> None:
        raise SpaceError("no space left for the journal")

    monkeypatch.setattr(house.journal, "save", full)
    assert not house.life.begin()
    assert not house.life.running
    assert {(held.hold, held.attempts) for held in house.life.held} == {("space", 0)}
    assert house.life.next_deadline() == 0.0  # others may be begun, and are looked at at once


def test_eight_pictures_are_claimed_into_one_folder_and_fewer_each_into_its_own(house: House) -> None:
    few = [f"few/{number}.png" for number in range(7)]
    many = [f"many/{number}.png" for number in range(8)]
    house.drop(*few)
    house.drop(*many)
    homes = {job.path: home_of(job.id) for job in house.life.queue}
    assert len({homes[PurePosixPath(path)] for path in few}) == 7
    assert len({homes[PurePosixPath(path)] for path in many}) == 1


def test_a_result_of_an_earlier_runs_job_is_not_published_with_others(house: House) -> None:
    house.drop("a.png", "b.png")
    job, order = house.started()
    publication = house.life.publish(house.answer(job, order))
    assert publication is not None
    assert publication.may_join
    house.begin_again()
    job, order = house.started()
    publication = house.life.publish(house.answer(job, order))
    assert publication is not None
    assert not publication.may_join
    house.life.finish(publication())
    assert job.id not in house.life.recovered


@pytest.mark.parametrize("count", [3, 8])
def test_a_picture_that_was_found_twice_is_one_job(house: House, count: int) -> None:
    """By an event and by a walk, before it was claimed: twice in the queue, a seat would be given it twice."""
    paths = [PurePosixPath(f"a/{number}.png") for number in range(count)]
    (house.folders.inbox / "a").mkdir()
    for path in paths:
        (house.folders.inbox / path).write_bytes(b"a picture")
    assert house.life.take_in([*paths, *paths]) == {}
    assert sorted(job.path for job in house.life.queue) == paths

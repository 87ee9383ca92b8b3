"""What becomes of a cancelled job, wherever it is on its way, and whenever the daemon ends meanwhile."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from dreamd.daemon.jobs.cancelling import _AT_A_TIME
from dreamd.errors import FolderError
from dreamd.job import Job, JobState
from tests.unit.daemon.jobs.test_lifecycle import FAR, House, refusal


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.journal.close()


def queued(house: House) -> Job:
    house.drop("cat.png")
    return house.only()


def running(house: House) -> Job:
    house.drop("cat.png")
    return house.started()[0]


def held(house: House) -> Job:
    house.recipe("sea", "lss: l2\n")
    house.drop("sea/cat.png")
    return house.only()


def backing_off(house: House) -> Job:
    job = running(house)
    house.life.give_up(refusal(job))
    return job


STAGES = pytest.mark.parametrize("reach", [queued, running, held, backing_off])


def cancel(house: House, *jobs: Job) -> list[str]:
    """What the daemon does when somebody has cancelled jobs."""
    house.journal.cancel(job.id for job in jobs)
    return house.life.cancel(house.journal.to_cancel())


def end_of(house: House, job: Job) -> tuple[JobState, str | None, str | None]:
    now = house.memory(job)
    return now.state, now.failure, now.reason


CANCELLED = (JobState.FAILED, "cancelled", "it was cancelled")


@STAGES
def test_a_job_is_cancelled_wherever_it_is_and_its_picture_is_kept(house: House, reach: Callable[[House], Job]) -> None:
    job = reach(house)
    assert cancel(house, job) == ([job.id] if reach is running else [])
    house.life.look_again(0.0)
    assert end_of(house, job) == CANCELLED
    assert house.files("failed") == [str(job.path), f"{job.path}.reason.txt"]
    reason = (house.folders.failed / f"{job.path}.reason.txt").read_text()
    assert "cat.png was cancelled" in reason
    assert f"dreamd retry {job.id}" in reason
    assert not list(house.spool.claimed())
    assert house.journal.to_cancel() == frozenset()
    house.life.look_again(FAR)
    assert house.life.start() is None


@STAGES
def test_a_cancelled_job_ends_at_the_next_start_when_the_daemon_ended_before(
    house: House, reach: Callable[[House], Job]
) -> None:
    job = reach(house)
    house.journal.cancel([job.id])
    house.begin_again()
    house.life.look_again(FAR)
    assert house.life.start() is None
    assert end_of(house, job) == CANCELLED
    assert house.files("failed") == [str(job.path), f"{job.path}.reason.txt"]


def test_a_kill_between_the_line_in_the_journal_and_the_rename_ends_the_job_the_same(house: House) -> None:
    job = running(house)
    house.journal.cancel([job.id])
    ended = dataclasses.replace(job, state=JobState.FAILED, failure="cancelled", reason="it was cancelled")
    house.journal.save([ended])
    house.begin_again()
    assert end_of(house, job) == CANCELLED
    assert house.files("failed") == ["cat.png", "cat.png.reason.txt"]


def test_what_the_worker_of_a_cancelled_job_says_late_counts_for_nothing(house: House) -> None:
    house.drop("cat.png", "dog.png")
    job, order = house.started()
    answer = house.answer(job, order)
    cancel(house, job)
    house.life.look_again(0.0)
    assert house.life.publish(answer) is None
    house.life.give_up(refusal(job))
    house.life.lose_worker([job.id], "it was killed", failure="crash")
    assert end_of(house, job) == CANCELLED
    assert house.files("outbox") == []
    assert house.dream().name == "dog.png"


def test_a_result_that_is_being_published_comes_out_all_the_same(house: House) -> None:
    house.drop("cat.png")
    job, order = house.started()
    publish = house.life.publish(house.answer(job, order))
    assert publish is not None
    assert cancel(house, job) == []
    house.life.finish(publish())
    house.life.look_again(FAR)
    assert house.memory(job).state is JobState.DONE
    assert house.journal.to_cancel() == frozenset()
    assert house.files("failed") == []


def test_a_job_whose_result_could_not_be_published_after_it_was_cancelled_is_not_dreamed_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> PurePosixPath:
        raise FolderError("the outbox cannot be written")

    house.drop("cat.png")
    job, order = house.started()
    publish = house.life.publish(house.answer(job, order))
    assert publish is not None
    cancel(house, job)
    with monkeypatch.context() as patch:
        patch.setattr(house.spool, "publish", refuse)
        house.life.finish(publish())
    house.life.look_again(FAR)
    assert end_of(house, job) == CANCELLED


def test_many_are_taken_out_at_once_and_ended_some_at_a_time(house: House) -> None:
    names = [f"{number}.png" for number in range(_AT_A_TIME + 1)]
    house.drop(*names)
    cancel(house, *house.journal.unfinished())
    assert house.life.start() is None
    house.life.look_again(0.0)
    assert len(house.files("failed")) == 2 * _AT_A_TIME
    assert house.life.next_deadline() == 0.0
    house.life.look_again(0.0)
    assert len(house.files("failed")) == 2 * len(names)
    assert house.life.next_deadline() is None


def test_only_what_has_not_ended_is_cancelled(house: House) -> None:
    house.drop("cat.png")
    job = house.dream()
    assert house.memory(job).state is JobState.DONE
    assert cancel(house, job) == []
    assert house.journal.to_cancel() == frozenset()

"""Jobs of daemons that share an inbox: what each knows of a picture that another one took over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dreamd.job import Job, JobState
from dreamd.tree.spool import Spool
from tests.unit.daemon.jobs.test_lifecycle import ATTEMPTS, House, refusal


@pytest.fixture
def houses(tmp_path: Path) -> Iterator[tuple[House, House]]:
    """Two daemons, of which neither holds its lock yet."""
    pair = House(tmp_path, share="a"), House(tmp_path, share="b")
    yield pair
    for house in pair:
        house.journal.close()


@contextmanager
def started(house: House) -> Iterator[None]:
    """A daemon that has started: it takes over what the other had claimed, if that one is gone."""
    with house.spool.lock():
        house.begin_again()
        yield


def test_a_picture_that_another_daemon_dreamed_before_this_one_began_it_is_done(houses: tuple[House, House]) -> None:
    first, second = houses
    first.drop("cat.png")
    with started(second):
        job = second.dream()
        assert job.state is JobState.DONE
        with started(first):
            pass
    assert (first.only().id, first.only().state) == (job.id, JobState.DONE)
    assert first.files("outbox") == ["cat.png", "cat.png.json"]
    assert first.files("failed") == []


def test_a_picture_that_another_daemon_finishes_while_this_one_starts_is_done(
    houses: tuple[House, House], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = houses
    first.drop("cat.png", "dog.png")
    looked = Spool.is_with_another

    def is_with_another(spool: Spool, job: Job) -> bool:
        """The other one finishes its second picture just before it is looked for."""
        if job.name == "dog.png" and second.life.waiting:
            second.dream()
        return looked(spool, job)

    with started(second):
        second.dream()
        monkeypatch.setattr(Spool, "is_with_another", is_with_another)
        with started(first):
            pass
    first.ledger.flush()
    assert [job.state for job in first.journal.jobs()] == [JobState.DONE] * 2


def test_a_picture_that_a_third_daemon_takes_over_while_this_one_starts_is_no_failure(
    houses: tuple[House, House], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = houses
    first.drop("cat.png")
    answers = iter([False, True])
    with first.spool.lock():
        (first.folders.inbox / ".dreamd" / "work-a").rename(first.folders.inbox / ".dreamd" / "elsewhere")
        (first.folders.inbox / ".dreamd" / "work-a").mkdir()
        monkeypatch.setattr(Spool, "is_with_another", lambda _spool, _job: next(answers))
        first.begin_again()
    assert first.only().state is JobState.QUEUED


def test_a_picture_that_is_with_another_daemon_stays_as_it_was(houses: tuple[House, House]) -> None:
    first, second = houses
    first.drop("cat.png")
    with started(second), started(first):
        assert first.only().state is JobState.QUEUED
        assert first.life.waiting == 0
        assert second.life.waiting == 1


def test_a_picture_that_failed_at_another_daemon_failed_for_that_reason(houses: tuple[House, House]) -> None:
    first, second = houses
    first.drop("cat.png")
    with started(second):
        job, _ = second.started()
        second.life.give_up(refusal(job, final=True, reason="it is no picture"))
        with started(first):
            pass
    assert first.only().state is JobState.FAILED
    assert "it failed there" in (first.only().reason or "")
    assert "it is no picture" in (first.folders.failed / "cat.png.reason.txt").read_text()


def test_attempts_go_on_where_the_other_daemon_was(houses: tuple[House, House]) -> None:
    first, second = houses
    first.drop("cat.png")
    first.started()
    with started(second):
        (job,) = second.life.queue
        assert job.attempts == 1
        assert second.started()[0].attempts == 2


def test_a_picture_that_took_daemon_after_daemon_down_fails_and_does_not_go_round(
    houses: tuple[House, House],
) -> None:
    houses[0].drop("cat.png")
    for number in range(ATTEMPTS):
        with started(houses[number % 2]):
            houses[number % 2].started()
    with started(houses[ATTEMPTS % 2]):
        last = houses[ATTEMPTS % 2].only()
    assert (last.state, last.attempts) == (JobState.FAILED, ATTEMPTS)
    assert f"in the middle of each of {ATTEMPTS} attempts" in (last.reason or "")


def test_an_attempt_that_was_ended_by_order_is_none_for_the_other_daemon_either(houses: tuple[House, House]) -> None:
    first, second = houses
    first.drop("cat.png")
    first.started()
    first.life.release()  # the daemon is told to stop
    with started(second):
        assert [job.attempts for job in second.life.queue] == [0]


def test_a_daemon_whose_lock_was_lost_publishes_nothing_that_another_has_taken_over(
    houses: tuple[House, House],
) -> None:
    first, second = houses
    first.drop("cat.png")
    job, order = first.started()
    answer = first.answer(job, order)
    with started(second):
        first.done(answer)
        assert first.files("outbox") == []
        assert [held.cause for held in first.life.held.counts] == ["folder"]
        second.dream()
    assert first.files("outbox") == ["cat.png", "cat.png.json"]


def test_a_daemon_that_comes_back_goes_on_with_what_it_had_and_with_what_the_other_leaves(
    houses: tuple[House, House],
) -> None:
    first, second = houses
    first.drop("cat.png")  # and then its lock is lost, with its jobs in hand
    with started(second):
        second.drop("dog.png")
    with first.spool.lock():
        first.recovery().take_over()
        assert sorted(job.name for job in first.life.queue) == ["cat.png", "dog.png"]
        first.recovery().take_over()
        assert first.life.waiting == 2

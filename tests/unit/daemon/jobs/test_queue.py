"""The queue: first come, first served in a folder, folders in turn, retries when they are due."""

from __future__ import annotations

from collections import Counter
from itertools import count
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamd.daemon.jobs.queue import InTurn, Scheduler
from dreamd.job import Job

_numbers = count()


def job(folder: str = ".", name: str = "", recipe: str = "", attempts: int = 0) -> Job:
    number = next(_numbers)
    return Job(
        id=f"{number:013}",
        folder=PurePosixPath(folder),
        name=name or f"{number}.png",
        recipe=recipe,
        attempts=attempts,
    )


def queued(scheduler: Scheduler, *folders: str) -> list[Job]:
    jobs = [job(folder) for folder in folders]
    for one in jobs:
        scheduler.add(one)
    return jobs


def emptied(scheduler: Scheduler) -> list[Job]:
    jobs = []
    while one := scheduler.next():
        jobs += one
    return jobs


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler()


def test_an_empty_queue_has_nothing_to_give(scheduler: Scheduler) -> None:
    assert scheduler.next() == []
    assert len(scheduler) == 0
    assert not scheduler.has_work
    assert scheduler.next_deadline() is None


def test_a_folder_is_served_in_the_order_of_arrival(scheduler: Scheduler) -> None:
    jobs = queued(scheduler, "a", "a", "a")
    assert emptied(scheduler) == jobs


def test_folders_take_turns(scheduler: Scheduler) -> None:
    queued(scheduler, "large", "large", "large", "small", "small")
    assert [str(one.folder) for one in emptied(scheduler)] == ["large", "small", "large", "small", "large"]


def test_a_large_folder_does_not_starve_one_that_comes_later(scheduler: Scheduler) -> None:
    queued(scheduler, *["large"] * 1000)
    scheduler.next()
    (late,) = queued(scheduler, "late")
    assert late in [*scheduler.next(), *scheduler.next()]


def test_a_folder_and_one_below_it_are_two(scheduler: Scheduler) -> None:
    queued(scheduler, "a", "a", "a/b")
    assert [str(one.folder) for one in emptied(scheduler)] == ["a", "a/b", "a"]


@given(st.lists(st.sampled_from("abcd"), max_size=60))
def test_nothing_is_lost_and_no_folder_waits_longer_than_a_round(folders: list[str]) -> None:
    scheduler = Scheduler()
    jobs = queued(scheduler, *folders)
    served = emptied(scheduler)
    assert sorted(one.id for one in served) == [one.id for one in jobs]
    left = Counter(folders)
    since: Counter[str] = Counter()
    for one in served:
        since.update(folder for folder in left if left[folder])
        assert since[str(one.folder)] <= len(set(folders))
        since[str(one.folder)] = 0
        left[str(one.folder)] -= 1


def test_a_retry_waits_for_its_time(scheduler: Scheduler) -> None:
    again = job("a")
    scheduler.add_later(again, 100.0)
    scheduler.wake(99.9)
    assert scheduler.next() == []
    assert scheduler.next_deadline() == 100.0
    scheduler.wake(100.0)
    assert scheduler.next() == [again]


def test_a_retry_that_is_due_sets_no_deadline_while_nothing_can_start_it(scheduler: Scheduler) -> None:
    """Else the daemon's loop, which waits for the next deadline, would spin until a worker is free."""
    scheduler.add_later(job("a"), 100.0)
    scheduler.wake(100.0)
    assert scheduler.next_deadline() is None
    assert len(scheduler) == 1


def test_retries_come_in_the_order_of_their_times(scheduler: Scheduler) -> None:
    late, early = job("a"), job("a")
    scheduler.add_later(late, 20.0)
    scheduler.add_later(early, 10.0)
    assert scheduler.next_deadline() == 10.0
    scheduler.wake(30.0)
    assert emptied(scheduler) == [early, late]


def test_a_retry_stands_behind_what_has_come_meanwhile(scheduler: Scheduler) -> None:
    again = job("a")
    scheduler.add_later(again, 10.0)
    (other,) = queued(scheduler, "a")
    scheduler.wake(10.0)
    assert emptied(scheduler) == [other, again]


def test_no_job_starts_from_a_paused_folder_or_below_it(scheduler: Scheduler) -> None:
    _, _, ab = queued(scheduler, "a", "a/b", "ab")
    scheduler.pause(["a"])
    assert emptied(scheduler) == [ab]
    assert len(scheduler) == 2
    assert not scheduler.has_work


def test_pausing_the_dot_pauses_everything_and_an_empty_pause_resumes(scheduler: Scheduler) -> None:
    jobs = queued(scheduler, ".", "a", "a/b")
    scheduler.pause(["."])
    assert scheduler.next() == []
    assert scheduler.is_paused(PurePosixPath("a/b"))
    scheduler.pause([])
    assert emptied(scheduler) == jobs


def test_a_paused_folder_does_not_hold_up_the_others(scheduler: Scheduler) -> None:
    jobs = queued(scheduler, "paused", "a", "b", "a")
    scheduler.pause(["paused"])
    assert emptied(scheduler) == [jobs[1], jobs[2], jobs[3]]


def test_jobs_are_taken_out_wherever_they_stand(scheduler: Scheduler) -> None:
    a, b, c = queued(scheduler, "a", "a", "b")
    late, later = job("a"), job("a")
    scheduler.add_later(late, 10.0)
    scheduler.add_later(later, 20.0)
    scheduler.take([b, c, late])
    assert list(scheduler) == [a, later]
    assert scheduler.next_deadline() == 20.0
    scheduler.wake(20.0)
    assert emptied(scheduler) == [a, later]


def test_counts_include_the_retries(scheduler: Scheduler) -> None:
    queued(scheduler, "a", "a", "b")
    scheduler.add_later(job("b"), 10.0)
    assert len(scheduler) == 4
    assert scheduler.by_folder() == {PurePosixPath("a"): 2, PurePosixPath("b"): 2}
    assert len(list(scheduler)) == 4


def test_a_retry_that_waits_is_work(scheduler: Scheduler) -> None:
    scheduler.add_later(job("a"), 10.0)
    assert scheduler.has_work


# Several at a time


def test_several_jobs_come_from_the_folder_whose_turn_it_is(scheduler: Scheduler) -> None:
    jobs = queued(scheduler, "a", "b", "a", "a", "b", "a")
    assert scheduler.next(3) == [jobs[0], jobs[2], jobs[3]]
    assert scheduler.next(3) == [jobs[1], jobs[4], jobs[5]]


def test_jobs_of_another_recipe_are_not_given_with_them(scheduler: Scheduler) -> None:
    red, blue, late = job("a", recipe="red"), job("a", recipe="blue"), job("a", recipe="red")
    for one in (red, blue, late):
        scheduler.add(one)
    assert [scheduler.next(8), scheduler.next(8), scheduler.next(8)] == [[red], [blue], [late]]


def test_a_job_that_was_tried_before_is_given_alone(scheduler: Scheduler) -> None:
    fresh, tried, other = job("a"), job("a", attempts=1), job("a")
    for one in (fresh, tried, other):
        scheduler.add(one)
    assert [scheduler.next(8), scheduler.next(8), scheduler.next(8)] == [[fresh], [tried], [other]]


def test_several_jobs_pass_over_paused_folders(scheduler: Scheduler) -> None:
    jobs = queued(scheduler, "a", "paused", "b")
    scheduler.pause(["paused"])
    assert scheduler.next(8) == [jobs[0], jobs[2]]


def test_looking_at_the_next_job_leaves_it_there(scheduler: Scheduler) -> None:
    first, _ = queued(scheduler, "a", "b")
    assert scheduler.peek() == first
    assert scheduler.peek() == first
    assert scheduler.next() == [first]


def test_what_waits_in_many_folders_is_taken_in_turn() -> None:
    waiting: InTurn[str] = InTurn()
    for number in range(1000):
        waiting.add(PurePosixPath("large"), f"large-{number}")
    waiting.add(PurePosixPath("small"), "small-0")
    assert len(waiting) == 1001
    assert "small-0" in [waiting.take(next(iter(waiting.folders))) for _ in range(2)]
    waiting.keep(lambda name: name.endswith("7"))
    assert len(waiting) == 100


def test_a_film_whose_turn_is_over_stands_behind_some_and_not_behind_all(scheduler: Scheduler) -> None:
    first, second, third = queued(scheduler, "a", "a", "a")
    film = job("a", name="film.mp4")
    scheduler.add_behind(film, 2)
    assert emptied(scheduler) == [first, second, film, third]
    scheduler.add_behind(film, 2)
    assert emptied(scheduler) == [film]


def test_a_job_that_is_put_off_lets_those_behind_it_go_first(scheduler: Scheduler) -> None:
    first, second = queued(scheduler, "a", "b")
    scheduler.put_off(5.0)
    assert scheduler.peek() == second
    assert scheduler.next_deadline() == 5.0
    scheduler.wake(5.0)
    assert emptied(scheduler) == [second, first]

"""Results that are sought: by words, marks and folders, in every order, a few at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path, PurePosixPath

import pytest

from dreamd.job import Job, JobState
from dreamd.tree.journal import Journal
from dreamd.tree.tables.marks import Way
from dreamd.tree.tables.seeking import Order, Place, Seeking, Show, Word

NO_TEXT = os.fsdecode(b"\xff")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.sqlite3") as journal:
        yield journal


def done(number: int, result: str, **fields: object) -> Job:
    path = PurePosixPath(result)
    values = {"folder": path.parent, "name": path.name, "result": result, "finished_at": float(number), **fields}
    return Job(id=f"{number:013}", state=JobState.DONE, claimed_at=1.0, **values)  # type: ignore[arg-type]


def listed(journal: Journal, seeking: Seeking, at_once: int) -> list[str]:
    """All results that are sought, asked for a few at a time."""
    found: list[str] = []
    before = None
    while some := journal.results(seeking, before=before, limit=at_once):
        found += [job.result or "" for job in some]
        before = seeking.place_of(some[-1])
    return found


@pytest.mark.parametrize(
    ("text", "count"),
    [("CAT", 2), ("sea/", 2), ("%", 1), ("_", 0), ("küste", 2), (NO_TEXT, 1), ("\0", 0), ("", 5)],
)
def test_results_are_searched_by_what_people_see_of_their_paths(journal: Journal, text: str, count: int) -> None:
    paths = ("sea/Cat.png", "sea/50% off.png", "Küste/cat-2.png", "Ku\u0308ste/x.png", f"{NO_TEXT}.png")
    journal.save(done(number, path) for number, path in enumerate(paths))
    seeking = Seeking(words=(Word(text),))
    found = journal.results(seeking)
    assert len(found) == count
    newer = journal.results(seeking, after=Place(0.0, f"{0:013}"))
    assert newer == [job for job in reversed(found) if job.finished_at]


def test_every_word_must_be_in_a_path_or_stand_for_the_recipe(journal: Journal) -> None:
    journal.save([done(1, "sea/cat.png", recipe="weave"), done(2, "sea/dog.png", recipe="arches"),
                  done(3, "town/cat.png", name="IMG_7.png", recipe="weave")])  # fmt: skip
    weave = tuple(number for number, text in journal.recipe_texts().items() if text == "weave")

    def found(*words: Word) -> list[str]:
        return listed(journal, Seeking(words=words), 9)

    assert found(Word("weave", weave)) == ["town/cat.png", "sea/cat.png"]
    assert found(Word("weave", weave), Word("sea")) == ["sea/cat.png"]
    assert found(Word("img_7")) == ["town/cat.png"]
    assert found(Word("sea"), Word("town")) == []


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Order.NEWEST, ["b/Zoo.png", "a/ä.png", "c/cat.png", "a/Cat.png"]),
        (Order.OLDEST, ["a/Cat.png", "c/cat.png", "a/ä.png", "b/Zoo.png"]),
        (Order.NAME, ["a/Cat.png", "c/cat.png", "b/Zoo.png", "a/ä.png"]),
        (Order.LONGEST, ["c/cat.png", "b/Zoo.png", "a/Cat.png", "a/ä.png"]),
    ],
)
def test_each_order_is_the_same_however_few_are_asked_for_at_a_time(
    journal: Journal, order: Order, expected: list[str]
) -> None:
    journal.save([done(1, "a/Cat.png", seconds=2.0), done(2, "c/cat.png", seconds=9.0),
                  done(3, "a/ä.png"), done(4, "b/Zoo.png", seconds=2.0)])  # fmt: skip
    for at_once, folder in product((1, 2, 9), (None, ".")):
        assert listed(journal, Seeking(order=order, folder=folder), at_once) == expected


@pytest.mark.parametrize("order", Order)
def test_neighbours_of_a_result_are_those_that_the_order_shows_beside_it(journal: Journal, order: Order) -> None:
    journal.save(done(n, f"{'ab'[n % 2]}/{n % 3}.png", seconds=float(n % 2)) for n in range(9))
    seeking = Seeking(order=order)
    jobs = journal.results(seeking)
    for number, job in enumerate(jobs):
        place = seeking.place_of(job)
        assert journal.results(seeking, after=place, limit=1) == jobs[number - 1 : number][:1]
        assert journal.results(seeking, before=place, limit=1) == jobs[number + 1 : number + 2]


def test_favourites_and_trash_are_listed_alone_and_what_is_put_away_is_not(journal: Journal) -> None:
    journal.save(done(n, f"{n}.png") for n in range(6))
    ids = [f"{n:013}" for n in range(6)]
    journal.marks.star([ids[1], ids[2], ids[3]])
    journal.marks.put_away([ids[2], ids[4]], Way.TRASHED)
    journal.marks.put_away([ids[5]], Way.DISMISSED)
    shown = {show: listed(journal, Seeking(show=show), 1) for show in Show}
    assert shown == {
        Show.ALL: ["3.png", "1.png", "0.png"],
        Show.FAVOURITES: ["3.png", "1.png"],
        Show.TRASH: ["4.png", "2.png"],
    }
    journal.marks.take_back(ids[2], b"2-2.png")
    journal.marks.lose([ids[4]])
    assert listed(journal, Seeking(), 9) == ["3.png", "2-2.png", "1.png", "0.png"]
    assert listed(journal, Seeking(show=Show.TRASH), 9) == []


def test_a_favourite_is_not_forgotten_and_a_mark_goes_with_its_job(journal: Journal) -> None:
    journal.save(done(n, f"{n}.png") for n in range(3))
    ids = [f"{n:013}" for n in range(3)]
    journal.marks.star(ids[:1])
    journal.marks.put_away(ids[1:2], Way.TRASHED)
    assert journal.count_done_before(99.0) == journal.forget_done_before(99.0) == 2
    assert [job.result for job in journal.jobs()] == ["0.png"]
    assert journal.marks.put_away_among(ids) == {}
    journal.marks.unstar(ids)
    assert journal.forget_done_before(99.0) == 1


def test_a_job_that_is_saved_again_keeps_its_marks(journal: Journal) -> None:
    journal.save([done(1, "1.png")])
    journal.marks.star([f"{1:013}"])
    journal.save([done(1, "1.png", seconds=3.0)])
    assert journal.marks.favourites_among([f"{1:013}"]) == {f"{1:013}"}


def test_marks_of_more_jobs_than_a_statement_takes_are_found(journal: Journal) -> None:
    ids = [f"{number:013}" for number in range(2500)]
    journal.marks.star(ids[::2])
    assert journal.marks.favourites_among(ids) == frozenset(ids[::2])

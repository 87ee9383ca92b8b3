"""The journal: real SQLite files, several connections, damage."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import PurePosixPath
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dreamd.errors import DreamdError, FailureCause, HoldCause
from dreamd.job import Job, JobState, new_job_id
from dreamd.tree.journal import Journal
from dreamd.tree.tables.seeking import Place, Seeking


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state/journal.sqlite3"


@pytest.fixture
def journal(path):
    with Journal.open(path) as journal:
        yield journal


def job_of(number: int = 0, path: str = "trips/cat.jpg", **fields: object) -> Job:
    pure = PurePosixPath(path)
    return Job(id=f"{number:013}", folder=pure.parent, name=pure.name, **fields)


NAME = st.binary(min_size=1, max_size=255).filter(
    lambda name: not {0, ord("/")} & set(name) and name not in (b".", b"..")
)
TIME = st.floats(min_value=0, max_value=1e11)
JOBS = st.builds(
    Job,
    id=st.uuids().map(str),
    folder=st.lists(NAME.map(os.fsdecode), max_size=3).map(lambda parts: PurePosixPath(*parts)),
    name=NAME.map(os.fsdecode),
    state=st.sampled_from(JobState),
    recipe=st.text(st.characters(exclude_categories=["Cs"])),
    attempts=st.integers(0, 1000),
    claimed_at=TIME,
    started_at=st.none() | TIME,
    finished_at=st.none() | TIME,
    hold=st.sampled_from([None, *get_args(HoldCause)]),
    reason=st.none() | st.text(st.characters(exclude_categories=[])),
    result=st.none() | NAME.map(os.fsdecode),
    seconds=st.none() | TIME,
    failure=st.sampled_from([None, *get_args(FailureCause)]),
    dismissed=st.booleans(),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(jobs=st.lists(JOBS, max_size=3, unique_by=lambda job: job.id))
def test_every_job_comes_back_as_it_was_whatever_bytes_its_name_has(journal, jobs):
    journal.save(jobs)
    assert [journal.get(job.id) for job in jobs] == jobs


def test_jobs_outlive_the_process_that_wrote_them(path):
    program = (
        "import os, sys; from pathlib import *; from dreamd.tree.journal import *; from dreamd.job import *;"
        "journal = Journal.open(Path(sys.argv[1]));"
        "journal.save([Job(id='1', folder=PurePosixPath('.'), name='cat.jpg')]); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, os.fspath(path)], check=False, timeout=60)
    with Journal.open(path) as journal:
        assert journal.get("1") == Job(id="1", folder=PurePosixPath(), name="cat.jpg")


def test_every_commit_is_synced_to_a_write_ahead_log(journal, path):
    assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert journal._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_saving_adds_and_replaces(journal):
    journal.save([job_of(1)])
    journal.save([job_of(1, state=JobState.HELD, hold="space"), job_of(2)])
    assert journal.get(job_of(1).id) == job_of(1, state=JobState.HELD, hold="space")
    assert len(journal.jobs()) == 2


def test_unfinished_jobs_come_in_the_order_of_their_claim(journal):
    states = list(JobState)
    journal.save(job_of(9 - number, state=states[number % 5]) for number in range(10))
    unfinished = journal.unfinished()
    assert [job.id for job in unfinished] == sorted(job.id for job in unfinished)
    assert {job.state for job in unfinished} == {JobState.QUEUED, JobState.RUNNING, JobState.HELD}
    assert len(unfinished) == 6


def test_the_newest_jobs_come_first_and_no_more_than_asked_for(journal):
    journal.save(job_of(number, state=JobState.DONE if number % 2 else JobState.FAILED) for number in range(10))
    assert [int(job.id) for job in journal.jobs(limit=3)] == [9, 8, 7]
    assert [int(job.id) for job in journal.jobs(state=JobState.FAILED, limit=3)] == [8, 6, 4]
    assert len(journal.jobs(limit=-1)) == 10


def test_counts_name_every_state(journal):
    journal.save([job_of(1, "caf\udce9/a.jpg"), job_of(2, "caf\udce9/b.jpg", state=JobState.DONE), job_of(3, "c.jpg")])
    nothing = dict.fromkeys(JobState, 0)
    assert journal.counts() == nothing | {JobState.QUEUED: 2, JobState.DONE: 1}


def test_pauses_are_kept_and_taken_back(journal, path):
    journal.pause("trips/")
    journal.pause("trips")
    journal.pause("caf\udce9")
    journal.pause(".")
    with Journal.open(path) as other:
        assert other.paused() == {"trips", "caf\udce9", "."}
        other.resume("trips")
    assert journal.paused() == {"caf\udce9", "."}
    journal.resume(None)
    assert journal.paused() == frozenset()


def test_another_process_is_noticed_and_ones_own_writing_is_not(journal, path):
    before = journal.data_version()
    journal.save([job_of(1)])
    assert journal.data_version() == before
    with Journal.open(path) as other:
        other.save([job_of(1, state=JobState.QUEUED, attempts=1)])
    assert journal.data_version() != before


def damaged(path) -> None:
    path.write_bytes(b"this is no database, and never was one" * 100)


def foreign(path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE jobs (id)")
    connection.close()


def of_later_version(path) -> None:
    Journal.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def damaged_within(path) -> None:
    with Journal.open(path) as journal:
        journal.save(job_of(number, recipe="x" * 500) for number in range(500))
    spoil_the_middle(path)


def spoil_the_middle(path) -> None:
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(16384))


@pytest.mark.parametrize("spoil", [damaged, foreign, of_later_version, damaged_within])
def test_a_file_that_cannot_be_used_is_set_aside_whole_and_a_new_one_made(path, caplog, spoil):
    path.parent.mkdir()
    spoil(path)
    content = path.read_bytes()
    with caplog.at_level(logging.WARNING), Journal.open_checked(path) as journal:
        journal.save([job_of(1)])
        assert journal.unfinished() == [job_of(1)]
    (broken,) = path.parent.glob("journal.sqlite3.broken-*")
    assert broken.read_bytes() == content
    assert broken.name in caplog.text
    with Journal.open_checked(path) as journal:
        assert len(journal.jobs()) == 1
    assert len(list(path.parent.glob("*.broken-*"))) == 1


@pytest.mark.parametrize("spoil", [damaged, foreign, of_later_version])
def test_a_command_leaves_a_file_that_cannot_be_used_to_the_daemon(path, spoil):
    """The daemon may have it open, and would go on writing into what was set aside."""
    path.parent.mkdir()
    spoil(path)
    with pytest.raises(DreamdError, match="restart dreamd, which sets it aside"):
        Journal.open(path)
    assert list(path.parent.glob("*.broken-*")) == []


def test_the_log_of_a_broken_journal_is_set_aside_with_it_and_the_new_one_begins_empty(path):
    """A log that stays would be taken for the new journal's, and its old pages written over the new ones."""
    with Journal.open(path) as journal:
        journal.save([job_of(number, recipe=f"{number}" * 200) for number in range(500)])
    with Journal.open(path) as page:  # as the page has it, so that the log outlives the daemon's look
        page.save([job_of(999)])
        spoil_the_middle(path)
        log = path.with_name("journal.sqlite3-wal").read_bytes()
        with Journal.open_checked(path) as journal:
            assert journal.jobs() == []
            journal.save([job_of(1)])
        with Journal.open_checked(path) as journal:
            assert journal.jobs() == [job_of(1)]
        (kept,) = path.parent.glob("*.broken-*-wal")
        assert kept.read_bytes() == log


def test_opening_for_a_command_does_not_read_all_of_a_long_history(path):
    """`pause`, `retry` and the page's buttons open it for writing, each time; the daemon once, and looks at all."""
    with Journal.open(path) as journal:
        journal.save(job_of(number, "x" * 200, state=JobState.DONE) for number in range(20_000))

    def seconds(opening) -> float:
        began = time.perf_counter()
        opening(path).close()
        return time.perf_counter() - began

    assert min(seconds(Journal.open) for _ in range(5)) < min(seconds(Journal.open_checked) for _ in range(5)) / 4


def test_a_recipe_is_kept_once_however_many_jobs_have_it_and_goes_with_the_last(journal):
    journal.save(job_of(number, recipe="x" * 1000, state=JobState.DONE, finished_at=1.0) for number in range(100))
    journal.save([job_of(100, recipe="y")])
    count = "SELECT COUNT(*) FROM recipes"
    assert journal._connection.execute(count).fetchone() == (2,)
    journal.forget_done_before(2.0)
    assert journal._connection.execute(count).fetchone() == (1,)
    assert journal.jobs() == [job_of(100, recipe="y")]


def test_what_ended_long_ago_is_forgotten_bit_by_bit(journal, monkeypatch):
    monkeypatch.setattr("dreamd.tree.journal._FORGET_ROWS", 3)
    journal.save(job_of(n, state=(JobState.DONE, JobState.FAILED)[n % 2], finished_at=float(n)) for n in range(10))
    journal.save([job_of(20), job_of(21, state=JobState.HELD, hold="space")])
    steps = 1
    while journal.forget_some_before(8.0):
        assert len(journal.jobs()) >= 12 - 3 * steps
        steps += 1
    assert [int(job.id) for job in journal.jobs()] == [21, 20, 9, 8]


def test_a_locked_journal_is_an_error_and_is_not_set_aside(path, monkeypatch):
    monkeypatch.setattr("dreamd.tree.database._BUSY_SECONDS", 0.01)
    Journal.open(path).close()
    holder = sqlite3.connect(path)
    holder.execute("BEGIN EXCLUSIVE")
    with Journal.open(path) as journal, pytest.raises(DreamdError, match="locked by another process"):
        journal.save([job_of(1)])
    holder.close()
    assert list(path.parent.glob("*.broken-*")) == []


def test_a_state_folder_that_cannot_be_made_is_explained(tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(DreamdError, match="state"):
        Journal.open(tmp_path / "state/journal.sqlite3")


def test_looking_makes_nothing(path):
    assert Journal.open_readonly(path) is None
    assert not path.parent.exists()
    Journal.open(path).close()
    before = sorted(path.parent.iterdir())
    with Journal.open_readonly(path) as look:
        assert look.counts()[JobState.DONE] == 0
        with pytest.raises(DreamdError):
            look.save([job_of(1)])
    assert sorted(path.parent.iterdir()) == before == [path]


def test_looking_sees_what_a_running_daemon_has_just_written(journal, path):
    with Journal.open_readonly(path) as look:
        journal.save([job_of(1)])
        assert look.unfinished() == [job_of(1)]
        version = look.data_version()
        journal.save([job_of(2)])
        assert look.data_version() != version


def test_looking_neither_waits_for_the_daemon_nor_holds_it_up(journal, path):
    journal.save([job_of(1)])
    with journal._transaction() as writing:
        writing.execute("DELETE FROM jobs")
        began = time.perf_counter()
        with Journal.open_readonly(path) as look:
            assert look.unfinished() == [job_of(1)]
            assert time.perf_counter() - began < 0.05
            look._connection.execute("BEGIN")
            look.unfinished()
            writing.execute("COMMIT")
            writing.execute("BEGIN")
    assert journal.jobs() == []


@pytest.mark.parametrize("spoil", [damaged, foreign, of_later_version])
def test_looking_at_a_file_that_is_no_journal_finds_none_and_leaves_it(path, spoil):
    path.parent.mkdir()
    spoil(path)
    assert Journal.open_readonly(path) is None
    assert list(path.parent.glob("*.broken-*")) == []


def test_counting_a_long_history_is_quick(journal, path):
    template = job_of(state=JobState.DONE, finished_at=1.0, seconds=1.0, recipe="x" * 1000)
    journal.save(replace(template, id=new_job_id() + str(number)) for number in range(20_000))
    began = time.perf_counter()
    with Journal.open_readonly(path) as look:
        assert look.counts()[JobState.DONE] == 20_000
        assert len(look.results(Seeking(folder="trips"), limit=10)) == 10
        assert len(look.unfinished()) == 0
    assert time.perf_counter() - began < 0.1


def test_results_come_newest_first_after_the_last_that_is_known(journal):
    jobs = [
        job_of(n, f"{'ab'[n % 2]}/{n}.png", state=JobState.DONE, finished_at=100.0 + n // 3, result=f"{n}")
        for n in range(20)
    ]
    journal.save([*jobs, job_of(90, state=JobState.FAILED, finished_at=999.0), job_of(91, state=JobState.QUEUED)])
    newest = sorted(jobs, key=lambda job: (job.finished_at, job.id), reverse=True)
    assert journal.results(limit=7) == newest[:7]
    assert journal.results(before=Place(newest[6].finished_at, newest[6].id), limit=7) == newest[7:14]
    assert journal.results(Seeking(folder="a"), limit=50) == [job for job in newest if job.folder == PurePosixPath("a")]
    assert journal.last_result_at() == newest[0].finished_at


def test_results_of_a_folder_include_those_below_it_and_no_namesakes(journal):
    folders = (".", "a", "a/b", "a/b/c", "a b", "a0", "a%", "b/a", "ä")
    done = {"state": JobState.DONE}
    journal.save(job_of(n, f"{folder}/x.png", **done, finished_at=n) for n, folder in enumerate(folders))
    sought = {name: journal.results(Seeking(folder=name)) for name in (".", "a", "a/b", "a%", "b")}
    found = {name: [str(each.folder) for each in results] for name, results in sought.items()}
    assert len(found.pop(".")) == len(folders)
    assert found == {"a": ["a/b/c", "a/b", "a"], "a/b": ["a/b/c", "a/b"], "a%": ["a%"], "b": ["b/a"]}


def test_newest_results_are_found_by_an_index_and_not_by_sorting_all(journal):
    journal.save(job_of(n, state=JobState.DONE, finished_at=float(n)) for n in range(3000))
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    journal._connection.set_progress_handler(count, 100)
    journal.results(limit=10)
    journal.results(before=Place(1500.0, "x"), limit=10)
    journal.last_result_at()
    assert steps < 30  # of 100 instructions each; sorting takes a thousand


def test_what_ended_comes_in_its_order_and_without_its_recipe(journal):
    journal.save([job_of(1, "a/x", state=JobState.FAILED, finished_at=7.0, claimed_at=1.0, started_at=2.0, attempts=3),
                  job_of(2, state=JobState.DONE, finished_at=5.0), job_of(3, state=JobState.HELD)])  # fmt: skip
    assert [(ended.folder, ended.state, ended.attempts, ended.finished_at)
            for ended in journal.ended_after(0, since=6.0)] == [("a", JobState.FAILED, 3, 7.0)]  # fmt: skip
    assert [ended.finished_at for ended in journal.ended_after(0)] == [7.0, 5.0]
    assert journal.last_result_at() == 5.0


def test_before_anything_came_out_there_is_no_last_result(journal):
    assert journal.last_result_at() is None
    assert journal.results() == journal.ended_after(0) == []


def test_what_ends_after_the_clock_was_set_back_is_later_all_the_same(journal):
    journal.save([job_of(1, state=JobState.DONE, finished_at=1000.0)])
    known = journal.latest_number()
    journal.save([job_of(2, state=JobState.DONE, finished_at=400.0), job_of(3)])
    assert [ended.finished_at for ended in journal.ended_after(known)] == [400.0]


def test_a_job_that_is_forgotten_leaves_its_number_to_nobody(journal):
    journal.save([job_of(1, state=JobState.FAILED, finished_at=1.0)])
    known = journal.latest_number()
    journal.forget([job_of(1).id])
    journal.save([job_of(2, state=JobState.DONE, finished_at=2.0)])
    assert [ended.state for ended in journal.ended_after(known)] == [JobState.DONE]

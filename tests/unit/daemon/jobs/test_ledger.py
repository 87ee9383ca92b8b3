"""The journal as the daemon writes it, when its file is locked, damaged, cut off or gone."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath

import pytest

from dreamd.daemon.jobs.ledger import Ledger
from dreamd.job import Job, JobState
from dreamd.tree.database import BusyError
from dreamd.tree.journal import Journal


def job(number: int, **fields: object) -> Job:
    return replace(Job(id=f"{number:013}", folder=PurePosixPath(), name=f"{number}.png"), **fields)  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite3"


@pytest.fixture
def journal(file: Path) -> Iterator[Journal]:
    with Journal.open_checked(file) as journal:
        yield journal


@pytest.fixture
def told() -> list[Job]:
    return []


@pytest.fixture
def ledger(journal: Journal, told: list[Job]) -> Ledger:
    return Ledger(journal, told.append)


def overwrite(file: Path) -> None:
    for part in (file, file.with_name(f"{file.name}-wal")):
        if part.exists():
            with part.open("r+b") as data:
                data.write(os.urandom(max(1, part.stat().st_size)))


def cut_off(file: Path) -> None:
    os.truncate(file, 0)
    os.truncate(file.with_name(f"{file.name}-wal"), 0)


def remove(file: Path) -> None:
    shutil.rmtree(file.parent)


@pytest.mark.parametrize("spoil", [overwrite, cut_off, remove])
def test_a_journal_that_breaks_is_made_anew_and_knows_all_that_is_not_finished(
    ledger: Ledger, file: Path, spoil: Callable[[Path], None]
) -> None:
    ledger.save(job(1), job(2), job(3, state=JobState.DONE, finished_at=1.0))
    ledger.pauses()
    spoil(file)
    ledger.save(job(4))
    ledger.pauses()
    ledger.save(job(5))
    with Journal.open(file) as anew:
        known = {one.id for one in anew.unfinished()}
    assert known == {job(number).id for number in (1, 2, 4, 5)}


def test_a_journal_that_cannot_be_made_anew_stops_nothing_and_is_written_when_it_can_be(
    ledger: Ledger, file: Path, told: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamd.daemon.jobs.ledger._REPAIR_SECONDS", 0.0)
    ledger.save(job(1))
    remove(file)
    file.parent.write_text("in the way")
    assert ledger.save(job(2)) is not None
    assert ledger.pauses() == frozenset()
    ledger.flush()
    file.parent.unlink()
    assert ledger.save(job(3)) is None
    with Journal.open(file) as anew:
        assert len(anew.unfinished()) == 3
    assert [one.name for one in told] == ["1.png", "2.png", "3.png"]


def test_a_journal_that_somebody_keeps_locked_is_written_later_and_not_set_aside(
    ledger: Ledger, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamd.tree.database._BUSY_SECONDS", 0.01)
    with Journal.open(file) as journal:
        ledger = Ledger(journal, lambda _job: None)
        holder = sqlite3.connect(file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        assert isinstance(ledger.save(job(1)), BusyError)
        holder.close()
        ledger.flush()
        assert journal.unfinished() == [job(1)]
    assert list(file.parent.glob("*.broken-*")) == []


def test_a_journal_that_is_looked_after_keeps_its_lock_against_other_processes(ledger: Ledger, file: Path) -> None:
    """Whoever closes a file gives up the locks of its whole process on it, and another would take its log away."""
    code = f"from pathlib import Path; from dreamd.tree.journal import Journal; Journal.open(Path({str(file)!r}))"
    for folder in ("a", "b"):
        assert folder not in ledger.pauses()
        subprocess.run([sys.executable, "-c", f"{code}.pause({folder!r})"], check=True, timeout=60)
        assert folder in ledger.pauses()
        ledger.save(job(1))
    assert file.with_name(f"{file.name}-wal").exists()


def test_a_pause_of_another_process_counts_at_once(ledger: Ledger, file: Path) -> None:
    assert ledger.pauses() == frozenset()
    with Journal.open(file) as command:
        command.pause("trips")
    assert ledger.pauses() == {"trips"}


def test_jobs_that_ended_long_ago_are_forgotten_some_at_a_time(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamd.tree.journal._FORGET_ROWS", 2)
    now = time.time()
    old = [job(n, state=JobState.DONE, finished_at=now - 100_000) for n in range(5)]
    new = [job(7, state=JobState.FAILED, finished_at=now), job(8)]
    journal.save([*old, *new])
    ledger = Ledger(journal, lambda _job: None, keep=timedelta(days=1))
    counts = []
    while (due := ledger.next_deadline()) is not None and due <= 10.0:
        ledger.tidy(10.0)
        counts.append(len(journal.jobs()))
    assert counts == [5, 3, 2, 2]
    assert sorted(journal.jobs(), key=lambda one: one.id) == new


def test_a_journal_that_is_to_keep_all_keeps_all(journal: Journal) -> None:
    journal.save([job(1, state=JobState.DONE, finished_at=1.0)])
    ledger = Ledger(journal, lambda _job: None, keep=None)
    ledger.tidy(1e9)
    assert ledger.next_deadline() is None
    assert len(journal.jobs()) == 1

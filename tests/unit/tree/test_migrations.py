"""A journal of any earlier version is brought to this one, and what it remembers with it."""

from __future__ import annotations

import sqlite3
from pathlib import Path, PurePosixPath

import pytest

from dreamd.job import Job, JobState
from dreamd.tree import database
from dreamd.tree.journal import Journal
from dreamd.tree.tables.seeking import Seeking

OLD = Path(__file__).parents[2] / "reference" / "journals"
VERSIONS = range(1, len(database.MIGRATIONS) + 1)

REMEMBERED = [
    Job(
        id="1m87wf4rcz42v", folder=PurePosixPath("animals"), name="cat.jpg", state=JobState.DONE, recipe='{"seed": 1}',
        attempts=1, claimed_at=1795561066.5, started_at=1795561067.0, finished_at=1795561080.25,
        result="animals/cat.jpg", seconds=12.5,
    ),
    Job(
        id="1m87wf4rcz42w", folder=PurePosixPath("."), name="caf\udce9.png", state=JobState.FAILED, attempts=3,
        claimed_at=1795561067.5, started_at=1795561068.0, finished_at=1795561070.0,
        reason="the worker was killed by SIGSEGV",
    ),
    Job(
        id="1m87wf4rcz42x", folder=PurePosixPath("trips/2026"), name="a.jpg", state=JobState.HELD,
        claimed_at=1795561068.5, hold="recipe", reason="recipe.yaml:1: lss: is not a field",
    ),
    Job(id="1m87wf4rcz42y", folder=PurePosixPath("."), name="b.jpg", recipe="{}", claimed_at=1795561069.5),
    Job(
        id="1m87wf4rcz42z", folder=PurePosixPath("."), name="c.jpg", state=JobState.RUNNING, recipe="{}", attempts=1,
        claimed_at=1795561070.5, started_at=1795561071.0,
    ),
]  # fmt: skip
"""What the journal of each version holds; fields that came later have their defaults."""


def test_there_is_a_journal_of_every_version_to_upgrade_from() -> None:
    """A migration comes with `schema-N.sql`: the dump of a journal that the version before it had written."""
    assert sorted(file.name for file in OLD.iterdir()) == [f"schema-{version}.sql" for version in VERSIONS]


@pytest.fixture(params=VERSIONS, ids="schema {}".format)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A journal of an earlier version, or of this one."""
    path = tmp_path / "journal.sqlite3"
    connection = sqlite3.connect(path)
    connection.executescript((OLD / f"schema-{request.param}.sql").read_text(encoding="utf-8"))
    connection.close()
    return path


def test_an_upgrade_remembers_every_job_and_pause(old: Path) -> None:
    with Journal.open(old) as journal:
        assert sorted(journal.jobs(), key=lambda job: job.id) == REMEMBERED
        assert journal.paused() == {"trips"}
        assert journal.counts()[JobState.DONE] == 1
        assert [job.name for job in journal.results(Seeking(folder="animals"))] == ["cat.jpg"]
    assert [file.name for file in old.parent.glob("*.broken-*")] == []


def test_an_upgraded_journal_is_as_a_new_one(old: Path, tmp_path: Path) -> None:
    Journal.open(old).close()
    Journal.open(tmp_path / "new.sqlite3").close()
    assert schema(old) == schema(tmp_path / "new.sqlite3")


def schema(path: Path) -> list[tuple[object, ...]]:
    """The version, and every table and index with its statement, however it is laid out."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall()
    version = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return [version, *((kind, name, " ".join((sql or "").split())) for kind, name, sql in rows)]


def test_an_upgrade_that_is_cut_off_is_done_again(old: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A migration that fails half way leaves the journal as it was."""
    before = schema(old)
    half = ("ALTER TABLE jobs ADD COLUMN half TEXT", "this is no SQL")
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, half))
        with pytest.raises(Exception, match="syntax error"):
            Journal.open(old)
    assert schema(old) == before
    with Journal.open(old) as journal:
        assert len(journal.jobs()) == len(REMEMBERED)

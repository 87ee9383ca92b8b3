"""The numbers for Prometheus: what ended is counted once, whatever the clock does."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from dreamd.job import Job, JobState
from dreamd.page.monitoring.metrics import _Tally
from dreamd.tree.journal import Journal

NOW = 1_800_000_000.0


def done(number: int, at: float) -> Job:
    return Job(
        id=f"{number:013}",
        folder=PurePosixPath("cats"),
        name="a.png",
        state=JobState.DONE,
        recipe="{}",
        attempts=1,
        claimed_at=at - 2,
        started_at=at - 1,
        finished_at=at,
        seconds=1.0,
    )


def test_dreams_are_counted_though_the_clock_is_set_back(tmp_path: Path) -> None:
    tally = _Tally()
    with Journal.open(tmp_path / "journal.sqlite3") as journal:
        journal.save(done(number, NOW + number) for number in range(10))
        tally.follow(journal, NOW - 1)
        assert tally.outcomes["cats", JobState.DONE] == 10
        journal.save(done(number, NOW - 600 + number) for number in range(10, 110))
        tally.follow(journal, NOW - 1)
        tally.follow(journal, NOW - 1)
        assert tally.outcomes["cats", JobState.DONE] == tally.attempts == 110
        journal.save(done(number, NOW + 86_400) for number in range(110, 115))
        tally.follow(journal, NOW - 1)
    assert tally.outcomes["cats", JobState.DONE] == 115

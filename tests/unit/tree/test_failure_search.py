"""Which failed jobs still have their originals: of thousands, and of thousands that had one name."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath

import pytest

from dreamd.files.nofollow import Entry
from dreamd.job import Job, JobState
from dreamd.tree.steps import failure_search
from dreamd.tree.steps.failure_search import failed_among

MANY = 100


def failed_job(failed: Path, number: int, kept: str, name: str) -> Job:
    """A job that has failed, with its original and its reason as `fail` leaves them."""
    job = Job(id=f"{number:013}", folder=PurePosixPath("a"), name=name, state=JobState.FAILED)
    (failed / "a").mkdir(exist_ok=True)
    (failed / "a" / kept).write_bytes(b"picture")
    (failed / "a" / f"{kept}.reason.txt").write_text(f"it is broken\n\njob {job.id}\n")
    return job


@pytest.mark.parametrize("has_one_name", [False, True], ids=["names of their own", "one name"])
def test_of_however_many_a_folder_is_listed_once_and_each_reason_read_at_most_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_one_name: bool
) -> None:
    jobs = [
        failed_job(tmp_path, number, f"cat-{number}.png", "cat.png" if has_one_name else f"cat-{number}.png")
        for number in range(2, MANY)
    ]
    steps: Counter[str] = Counter()

    def count(place: object, step: str) -> None:
        do = getattr(place, step)
        monkeypatch.setattr(place, step, lambda *given: (steps.update([step]), do(*given))[1])

    count(failure_search, "names_in")
    count(Entry, "read")
    assert failed_among(jobs, tmp_path) == {job.id for job in jobs}
    assert steps["names_in"] <= 1
    assert steps["read"] <= 2 * MANY


def test_only_what_is_there_is_found_whatever_else_is_in_the_folder(tmp_path: Path) -> None:
    there, gone = (failed_job(tmp_path, number, f"{number}.png", f"{number}.png") for number in (1, 2))
    renamed = failed_job(tmp_path, 3, "cat-3.png", "cat.png")
    (tmp_path / "a" / "2.png").unlink()
    (tmp_path / "a" / "cat.png.reason.txt").write_text("a person's note")
    (tmp_path / "a" / "odd.reason.txt").mkdir()
    elsewhere = Job(id="4", folder=PurePosixPath("b"), name="x.png", state=JobState.FAILED)
    assert failed_among([there, gone, renamed, elsewhere], tmp_path) == {there.id, renamed.id}

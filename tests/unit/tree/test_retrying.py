"""`dreamd retry`: failed pictures come back into the inbox, whole folders of them at once."""

from __future__ import annotations

import time
from pathlib import Path, PurePosixPath

import pytest

from dreamd.errors import UsageError
from dreamd.job import Job, JobState
from dreamd.settings.config import Config, load_config
from dreamd.tree import control
from dreamd.tree.journal import Journal
from dreamd.tree.layout import StateFolder


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "config.yaml").write_text("{}")
    for folder in ("inbox", "failed"):
        (tmp_path / folder).mkdir()
    return load_config(tmp_path / "config.yaml")


def fail(config: Config, path: str, number: int, *, kept_as: str | None = None) -> Job:
    """A failed job as a daemon leaves it: the picture, its reason, its row."""
    pure = PurePosixPath(path)
    job = Job(id=f"{number:013}", folder=pure.parent, name=pure.name, state=JobState.FAILED, finished_at=1.0)
    kept = config.failed / pure.parent / (kept_as or pure.name)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(f"the picture of {number}".encode())
    kept.with_name(f"{kept.name}.reason.txt").write_text(f"it broke\n\njob {job.id}\n")
    return job


def remember(config: Config, *jobs: Job) -> None:
    with Journal.open(StateFolder(config.state).journal) as journal:
        journal.save(jobs)


def remembered(config: Config) -> list[Job]:
    with Journal.open(StateFolder(config.state).journal) as journal:
        return journal.jobs(limit=-1)


def files(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in sorted(folder.rglob("*")) if file.is_file()}


def retry(config: Config, *job_ids: str) -> list[str]:
    return list(control.retry(config, job_ids, all_failed=not job_ids))


def test_every_failed_picture_comes_back_and_is_no_failure_any_more(config: Config) -> None:
    remember(config, fail(config, "a/cat.png", 1), fail(config, "a/dog.png", 2), fail(config, "fox.png", 3))
    assert sorted(retry(config)) == [f"{path}: back in the inbox" for path in ("a/cat.png", "a/dog.png", "fox.png")]
    assert files(config.inbox) == {
        "a/cat.png": "the picture of 1", "a/dog.png": "the picture of 2", "fox.png": "the picture of 3",
    }  # fmt: skip
    assert files(config.failed) == {}
    assert remembered(config) == []
    assert retry(config) == []


def test_a_picture_comes_back_under_its_own_name_or_the_next_free_one(config: Config) -> None:
    (config.inbox / "cat.png").write_text("a new one")
    remember(config, fail(config, "cat.png", 1, kept_as="cat-2.png"))
    retry(config, f"{1:013}")
    assert files(config.inbox) == {"cat.png": "a new one", "cat-2.png": "the picture of 1"}


def test_only_the_jobs_asked_for_come_back(config: Config) -> None:
    remember(config, fail(config, "cat.png", 1), fail(config, "dog.png", 2))
    retry(config, f"{2:013}")
    assert list(files(config.inbox)) == ["dog.png"]
    assert list(files(config.failed)) == ["cat.png", "cat.png.reason.txt"]
    assert [job.name for job in remembered(config)] == ["cat.png"]


def test_a_picture_that_somebody_took_is_said_to_be_gone_and_stays_a_failure(config: Config) -> None:
    job = fail(config, "cat.png", 1)
    (config.failed / "cat.png").unlink()
    remember(config, job)
    with pytest.raises(UsageError, match=r"cat\.png: its picture is no longer in"):
        retry(config, job.id)
    assert retry(config) == []
    assert remembered(config) == [job]


def test_what_is_nobodys_failure_is_left_alone(config: Config) -> None:
    remember(config, fail(config, "cat.png", 1))
    (config.failed / "mine.reason.txt").write_text("my own notes")
    (config.failed / "mine").write_text("my own")
    retry(config)
    assert list(files(config.failed)) == ["mine", "mine.reason.txt"]


def test_thousands_of_failures_in_one_folder_come_back_in_a_time_that_grows_with_their_number(config: Config) -> None:
    seconds = []
    for count in (250, 1000):
        remember(config, *(fail(config, f"{count}/{number}.png", count + number) for number in range(count)))
        began = time.perf_counter()
        assert len(retry(config)) == count
        seconds.append(time.perf_counter() - began)
    assert seconds[1] < 10 * seconds[0]  # by the square it were sixteen times

"""What of a failed job is dreamed again: its own original, wherever it is just then, and never another's."""

from __future__ import annotations

from io import BufferedReader
from pathlib import Path, PurePosixPath

import pytest

from dreamd.files.nofollow import Entry, opened_folder
from dreamd.job import Job, JobState
from dreamd.page.again.sources import has_source, opened_source, problem_with, source_name
from dreamd.page.handlers.answers import NotThereError
from dreamd.settings.config import Config, load_config
from dreamd.tree.steps.originals import Failures

NO_TEXT = "caf\udce9.png"
"""A name that is no UTF-8."""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "config.yaml").write_text("{}")
    for folder in ("inbox", "failed", "outbox"):
        (tmp_path / folder).mkdir()
    return load_config(tmp_path / "config.yaml")


def failed_job(number: int, path: str = "sea/cat.png") -> Job:
    pure = PurePosixPath(path)
    return Job(id=f"{number:013}", folder=pure.parent, name=pure.name, state=JobState.FAILED, failure="memory")


def claim(config: Config, job: Job) -> Path:
    file = config.inbox / ".dreamd" / "work" / job.id / job.path
    file.parent.mkdir(parents=True)
    file.write_bytes(f"the picture of {job.id}".encode())
    return file


def fail(config: Config, job: Job) -> Path:
    """Put a job's picture among the failed ones, as a daemon does."""
    file = claim(config, job)
    with opened_folder(file.parent) as folder:
        return Failures(config.failed, most_carried=None).put(Entry(folder, file.name), job, "it broke")


def text(job: Job, config: Config) -> str:
    with opened_source(job, "original", config) as file:
        return file.read().decode()


@pytest.mark.parametrize("path", ["cat.png", "sea/cat.png", f"odd-\udcff/{NO_TEXT}"])
def test_the_original_of_a_failed_job_is_where_its_reason_says(config: Config, path: str) -> None:
    first, second = failed_job(1, path), failed_job(2, path)
    kept = [fail(config, job) for job in (first, second)]
    assert len(set(kept)) == 2, "the second one has got a number"
    assert [text(job, config) for job in (first, second)] == [f"the picture of {job.id}" for job in (first, second)]
    assert source_name(first, "original").isprintable()
    assert all(file.exists() for file in kept), "it is only read"


def test_what_has_failed_just_now_is_claimed_still(config: Config) -> None:
    job = failed_job(1)
    claim(config, job)
    assert text(job, config) == f"the picture of {job.id}"


def test_a_picture_that_is_gone_meanwhile_is_told(config: Config) -> None:
    job, other = failed_job(1), failed_job(2)
    fail(config, job).unlink()
    assert "no longer among those that failed" in str(problem_with(job, "original", config))
    fail(config, other)
    with pytest.raises(NotThereError, match="tried again, or was taken away"):
        opened_source(job, "original", config)
    config.failed.rename(config.failed.with_name("elsewhere"))
    assert "no longer among those that failed" in str(problem_with(other, "original", config))


def test_another_picture_that_gets_the_name_meanwhile_is_not_taken_for_it(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, other = failed_job(1), failed_job(2)
    kept = fail(config, job)
    original_open = Entry.open

    def open_late(entry: Entry) -> BufferedReader:
        if entry.name == kept.name and kept.read_text() == f"the picture of {job.id}":
            kept.unlink()  # as it is tried again
            kept.with_name(f"{kept.name}.reason.txt").unlink()
            assert fail(config, other) == kept
        return original_open(entry)

    monkeypatch.setattr(Entry, "open", open_late)
    with pytest.raises(NotThereError):
        opened_source(job, "original", config)


def test_a_symlink_among_the_failed_ones_is_not_followed(config: Config, tmp_path: Path) -> None:
    job = failed_job(1)
    kept = fail(config, job)
    kept.unlink()
    (tmp_path / "secret").write_text("a secret")
    kept.symlink_to(tmp_path / "secret")
    with pytest.raises(NotThereError):
        opened_source(job, "original", config)


def test_a_dream_file_that_failed_and_a_dream_that_never_came_are_told(config: Config) -> None:
    job, noise = failed_job(1), failed_job(2, "clouds.dream.yaml")
    fail(config, noise)
    assert "made from noise" in str(problem_with(noise, "original", config))
    assert problem_with(job, "result", config) == "It failed, so there is no dream of it."


def test_only_what_is_over_can_be_dreamed_again() -> None:
    job = {"id": "1", "folder": PurePosixPath("."), "name": "cat.png"}
    assert has_source(failed_job(1))
    assert has_source(Job(**job, state=JobState.DONE, result="cat.png"))
    assert not any(has_source(Job(**job, state=JobState(state))) for state in ("queued", "running", "held", "done"))

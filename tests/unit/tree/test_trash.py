"""The trash of an outbox: real folders, steps that are cut off, names that were taken meanwhile."""

from __future__ import annotations

import errno
import os
from pathlib import Path, PurePosixPath

import pytest

from dreamd.errors import FolderError
from dreamd.job import Job, JobState
from dreamd.json_text import to_json
from dreamd.tree.layout import sidecar_name, steps_name
from dreamd.tree.steps import trash as steps
from dreamd.tree.steps.trash import NotInTrashError, Trash

JOB = Job(id="0001", folder=PurePosixPath("sea"), name="cat.png", state=JobState.DONE, result="sea/cat.png")
FILES = ("cat.png", "cat.png.json", "cat.png.steps.jpg")


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    publish(tmp_path / "outbox", JOB)
    return tmp_path / "outbox"


def publish(outbox: Path, job: Job, *, strip: bool = True) -> None:
    result = outbox / (job.result or "")
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(f"the picture of {job.id}")
    result.with_name(sidecar_name(result.name)).write_text(to_json({"job": job.id, "steps": strip}))
    if strip:
        result.with_name(steps_name(result.name)).write_text("the strip")


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def test_a_deleted_result_lies_in_the_trash_whole_and_comes_back_as_it_was(outbox: Path) -> None:
    before = {file.name: file.read_bytes() for file in (outbox / "sea").iterdir()}
    trash = Trash(outbox)
    assert trash.put(JOB)
    assert trash.put(JOB)
    assert names(outbox / "sea") == []
    assert names(outbox / ".dreamd/trash/0001") == sorted(FILES)
    (outbox / "sea").rmdir()
    assert trash.take_back(JOB) == PurePosixPath("sea/cat.png")
    assert {file.name: file.read_bytes() for file in (outbox / "sea").iterdir()} == before
    assert names(outbox / ".dreamd/trash") == []
    assert trash.take_back(JOB) == PurePosixPath("sea/cat.png")


def test_a_result_whose_name_was_taken_meanwhile_comes_back_under_the_next(outbox: Path) -> None:
    trash = Trash(outbox)
    trash.put(JOB)
    other = Job(id="0002", folder=JOB.folder, name="cat.png", state=JobState.DONE, result="sea/cat.png")
    publish(outbox, other, strip=False)
    assert not trash.has(other)
    assert trash.take_back(JOB) == PurePosixPath("sea/cat-2.png")
    assert (outbox / "sea/cat.png").read_text() == "the picture of 0002"
    assert (outbox / "sea/cat-2.png").read_text() == "the picture of 0001"
    assert names(outbox / "sea") == sorted([*(f"cat-2{name[3:]}" for name in FILES), "cat.png", "cat.png.json"])


def test_another_jobs_result_of_that_name_is_never_deleted(outbox: Path) -> None:
    other = Job(id="0002", folder=JOB.folder, name="cat.png", state=JobState.DONE, result="sea/cat.png")
    assert not Trash(outbox).put(other)
    assert names(outbox / "sea") == sorted(FILES)


def test_what_only_looks_like_its_strip_stays(outbox: Path) -> None:
    publish(
        outbox, Job(id="0003", folder=JOB.folder, name="a.png", state=JobState.DONE, result="sea/a.png"), strip=False
    )
    (outbox / "sea/a.png.steps.jpg").write_text("somebody's own")
    Trash(outbox).put(Job(id="0003", folder=JOB.folder, name="a.png", state=JobState.DONE, result="sea/a.png"))
    assert (outbox / "sea/a.png.steps.jpg").read_text() == "somebody's own"


@pytest.mark.parametrize("moves", range(3))
def test_a_deletion_that_is_cut_off_is_completed_or_taken_back(
    outbox: Path, moves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off_after(moves, monkeypatch, lambda: Trash(outbox).put(JOB))
    Trash(outbox).put(JOB)
    assert (names(outbox / "sea"), names(outbox / ".dreamd/trash/0001")) == ([], sorted(FILES))
    Trash(outbox).take_back(JOB)
    cut_off_after(moves, monkeypatch, lambda: Trash(outbox).put(JOB))
    assert Trash(outbox).take_back(JOB) == PurePosixPath("sea/cat.png")
    assert names(outbox / "sea") == sorted(FILES)


@pytest.mark.parametrize("moves", range(3))
def test_a_return_under_another_name_that_is_cut_off_is_completed_under_that_name(
    outbox: Path, moves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trash(outbox).put(JOB)
    publish(outbox, Job(id="0002", folder=JOB.folder, name="cat.png", result="sea/cat.png"), strip=False)
    cut_off_after(moves, monkeypatch, lambda: Trash(outbox).take_back(JOB))
    assert Trash(outbox).take_back(JOB) == PurePosixPath("sea/cat-2.png")
    assert names(outbox / "sea") == sorted([*(f"cat-2{name[3:]}" for name in FILES), "cat.png", "cat.png.json"])


def cut_off_after(moves: int, monkeypatch: pytest.MonkeyPatch, deed: object) -> None:
    """Do something that is cut off after so many renames, as a kill does."""
    left = [moves]
    rename = steps.rename_new

    def dying(*entries: object) -> None:
        if not left[0]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        left[0] -= 1
        rename(*entries)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(steps, "rename_new", dying)
        with pytest.raises(FolderError):
            deed()  # type: ignore[operator]


def test_a_symlink_in_the_way_is_not_followed(outbox: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    publish(elsewhere, JOB)
    (outbox / "linked").symlink_to(elsewhere / "sea")
    job = Job(id="0001", folder=PurePosixPath("linked"), name="cat.png", state=JobState.DONE, result="linked/cat.png")
    assert not Trash(outbox).put(job)
    assert names(elsewhere / "sea") == sorted(FILES)
    (outbox / ".dreamd").mkdir()
    (outbox / ".dreamd/trash").symlink_to(elsewhere)
    with pytest.raises(FolderError):
        Trash(outbox).put(JOB)
    assert names(outbox / "sea") == sorted(FILES)


def test_what_the_trash_has_no_more_cannot_come_back(outbox: Path) -> None:
    trash = Trash(outbox)
    trash.put(JOB)
    (trashed,) = trash.all()
    assert (trashed.job, trashed.bytes > 0) == ("0001", True)
    trash.remove(trashed)
    assert list(trash.all()) == []
    with pytest.raises(NotInTrashError):
        trash.take_back(JOB)

"""What keeps pictures from being dreamed, brought together by cause."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from dreamd.errors import FAILURES, FailureCause
from dreamd.job import Job, JobState
from dreamd.tree.attention import LOOKED_AT, NAMED, Trouble, troubles
from dreamd.tree.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.sqlite3") as opened:
        yield opened


def failure(number: int, cause: FailureCause | None, reason: str, folder: str = ".") -> Job:
    return Job(
        id=f"{number:04}", folder=PurePosixPath(folder), name=f"{number}.png", state=JobState.FAILED, failure=cause,
        reason=reason, attempts=1, finished_at=float(number),
    )  # fmt: skip


def values(**changes: Any) -> dict[str, Any]:
    return {"held": 0, "failed": 9, "holds": [], "left": [], **changes}


def found(journal: Journal, failed: Path | None = None, **changes: Any) -> list[Trouble]:
    return troubles(values(**changes), journal, failed)


def test_failures_of_one_cause_are_one_entry_whatever_their_reasons_and_folders(journal: Journal) -> None:
    journal.save([failure(1, "picture", "it is none"), failure(2, "picture", "it is cut off", "sea")])
    journal.save([failure(3, "memory", "m")])
    memory, picture = found(journal)
    assert (memory.cause, memory.count, memory.can_retry, memory.reason) == ("memory", 1, True, "m")
    assert (picture.cause, picture.count, picture.can_retry, picture.reason) == ("picture", 2, False, "")
    assert picture.folders == (".", "sea")
    named = [(each.path, each.reason) for each in picture.pictures]
    assert named == [("sea/2.png", "it is cut off"), ("1.png", "it is none")]
    assert picture.remedy == FAILURES["picture"].remedy
    assert (memory.can_dream_again, picture.can_dream_again) == (True, False)
    assert not any(each.from_nothing for each in picture.pictures)


def test_another_recipe_may_help_wherever_there_is_a_picture_that_can_be_read(journal: Journal) -> None:
    journal.save([failure(number, cause, "no") for number, cause in enumerate(FAILURES)])
    can = {trouble.cause for trouble in found(journal) if trouble.can_dream_again}
    assert can == {"crash", "memory", "time", "worker", "error", "cancelled"}


def test_a_dream_file_that_failed_is_known_by_its_name(journal: Journal) -> None:
    job = Job(
        id="1", folder=PurePosixPath("."), name="clouds.dream.yaml", state=JobState.FAILED, failure="error", reason="no"
    )
    journal.save([job])
    assert found(journal)[0].pictures[0].from_nothing


def test_what_plugins_raise_is_one_entry_a_reason_however_often_it_was_tried(journal: Journal) -> None:
    reasons = ["no (attempt 1 of 3)", "no (attempt 3 of 3)", "other (attempt 1 of 3)"]
    journal.save([failure(number, "error", reason) for number, reason in enumerate(reasons)])
    journal.save([failure(9, None, "no")])  # as an earlier version of dreamd wrote it
    assert {trouble.reason: trouble.count for trouble in found(journal)} == {"no": 3, "other": 1}


def test_a_dismissed_failure_is_none(journal: Journal) -> None:
    journal.save([failure(1, "picture", "no"), failure(2, "picture", "no")])
    journal.dismiss(["0001"])
    (trouble,) = found(journal)
    assert trouble.jobs == ("0002",)


def test_a_failure_whose_picture_was_taken_away_is_none(journal: Journal, tmp_path: Path) -> None:
    journal.save([failure(1, "picture", "no"), failure(2, "picture", "no")])
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / "2.png").touch()
    (tmp_path / "failed" / "2.png.reason.txt").write_text("no\n\njob 0002\n")
    (trouble,) = found(journal, tmp_path / "failed")
    assert trouble.jobs == ("0002",)


def test_of_many_no_more_are_looked_at_or_named_than_can_be_shown(journal: Journal) -> None:
    journal.save([failure(number, "picture", "no") for number in range(LOOKED_AT + 1)])
    (trouble,) = found(journal)
    assert (trouble.count, trouble.is_more, len(trouble.pictures)) == (LOOKED_AT, True, NAMED)


def test_holds_of_one_cause_and_reason_are_one_entry_with_all_their_folders(journal: Journal) -> None:
    holds = [
        {"folder": "sea", "cause": "weights", "reason": "not here", "jobs": 3, "backbone": "vgg19"},
        {"folder": "air", "cause": "weights", "reason": "not here", "jobs": 4, "backbone": "vgg19"},
        {"folder": "sea", "cause": "space", "reason": "full", "jobs": 1, "backbone": None},
    ]
    job = Job(
        id="1", folder=PurePosixPath("sea"), name="a.png", state=JobState.HELD, hold="weights", reason="not here",
        claimed_at=5.0,
    )  # fmt: skip
    journal.save([job])
    weights, space = found(journal, held=8, failed=0, holds=holds)
    assert (weights.count, weights.folders, weights.backbone) == (7, ("air", "sea"), "vgg19")
    assert weights.title == "The weights of vgg19 are missing"
    assert [each.path for each in weights.pictures] == ["sea/a.png"]
    assert (space.cause, space.count, space.pictures) == ("space", 1, ())


def test_what_is_left_in_the_inbox_is_one_entry_a_reason() -> None:
    left = [{"folder": name, "reason": "a link", "files": 2} for name in ("a", "b")]
    (trouble,) = troubles(values(failed=0, left=left), None, None)
    assert (trouble.kind, trouble.count, trouble.folders, trouble.can_retry) == ("left", 4, ("a", "b"), False)

"""Receipts: which job one leads to, and what is left of one after a kill between any two steps."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from dreamd.job import Job, JobState, new_job_id
from dreamd.page.posting.receipts import KEPT_SECONDS, Receipt, Receipts, is_receipt_id, latest_id_now, receipt_id
from dreamd.tree.journal import Journal


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox" / ".dreamd" / "uploads").mkdir(parents=True)
    return tmp_path / "inbox"


@pytest.fixture
def receipts(tmp_path: Path, inbox: Path) -> Receipts:
    return Receipts(tmp_path / "state", inbox)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.open(tmp_path / "state" / "journal.sqlite3")


def receipt(**changes: str) -> Receipt:
    values = {"path": "a/cat.jpg", "draft": "", "since": "0000000000000", **changes}
    return Receipt(id=receipt_id("", None), owner="", asked="", **values)


def job(id_: str, path: str = "a/cat.jpg", state: JobState = JobState.QUEUED) -> Job:
    return Job(id=id_, folder=PurePosixPath(path).parent, name=PurePosixPath(path).name, state=state)


def test_an_id_follows_from_its_key_and_owner_and_is_new_without_a_key():
    assert receipt_id("camera", "1") == receipt_id("camera", "1")
    ids = {receipt_id("camera", "1"), receipt_id("script", "1"), receipt_id("camera", "2"), receipt_id("", None)}
    assert len(ids | {receipt_id("", None)}) == 5
    assert all(map(is_receipt_id, ids))


@pytest.mark.parametrize("text", ["", "p-", "p-../../../etc/passwd", f"p-{'g' * 30}", f"p-{'a' * 29}/", new_job_id()])
def test_what_is_no_id_of_a_receipt_is_not_looked_for(text: str, receipts: Receipts):
    assert not is_receipt_id(text)
    assert receipts.find(text) is None


def test_a_kill_before_the_picture_has_its_path_leaves_no_receipt(receipts: Receipts, inbox: Path):
    (inbox / ".dreamd" / "uploads" / "draft").touch()
    receipts.save(left := receipt(draft="draft"))
    assert receipts.find(left.id) is None


def test_a_kill_after_the_picture_has_its_path_leaves_a_receipt(receipts: Receipts, inbox: Path):
    receipts.save(left := receipt(draft="draft"))
    assert receipts.find(left.id) == replace(left, draft="")


def test_what_a_kill_left_is_found_out_before_drafts_are_removed(receipts: Receipts, inbox: Path):
    (inbox / ".dreamd" / "uploads" / "draft").touch()
    receipts.save(left := receipt(draft="draft"))
    receipts.tidy()
    (inbox / ".dreamd" / "uploads" / "draft").unlink()
    assert receipts.find(left.id) is None


def test_old_receipts_are_forgotten(receipts: Receipts, tmp_path: Path):
    receipts.save(old := receipt())
    receipts.save(new := receipt())
    file = tmp_path / "state" / "receipts" / f"{old.id}.json"
    os.utime(file, (0, file.stat().st_mtime - KEPT_SECONDS - 1))
    receipts.tidy()
    assert receipts.find(old.id) is None
    assert receipts.find(new.id) == new


def test_a_receipt_leads_to_the_first_job_of_its_path_that_came_later(receipts: Receipts, journal: Journal):
    early, other, own, late = "1", "3", "4", "5"
    journal.save([job(early), job(other, "b/cat.jpg"), job(own), job(late)])
    found = receipts.job(receipt(since="2"), journal)
    assert found is not None
    assert found.id == own


@pytest.mark.parametrize(("state", "leads_to"), [(JobState.FAILED, "2"), (JobState.DONE, None)])
def test_a_receipt_leads_on_to_the_next_job_after_a_retry_and_not_when_a_done_job_is_forgotten(
    receipts: Receipts, journal: Journal, state: JobState, leads_to: str | None
):
    journal.save([job("1", state=state)])
    receipts.save(given := receipt())
    assert receipts.job(given, journal) is not None
    journal.forget(["1"])
    journal.save([job("2")])
    known = receipts.find(given.id)
    assert known is not None
    found = receipts.job(known, journal)
    assert (found.id if found else None) == leads_to


def test_a_job_that_has_claimed_by_now_is_earlier_than_now_and_a_later_one_is_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_000_000_000)
    claimed, now = new_job_id(), latest_id_now()
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_001_000_000)
    assert claimed <= now < new_job_id()

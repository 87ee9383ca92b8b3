"""Several daemons on one inbox: refused, unless all share it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import pytest

from dreamd.errors import DreamdError
from dreamd.job import Job, JobState
from dreamd.tree.layout import Folders
from dreamd.tree.spool import Spool


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    (tmp_path / "inbox").mkdir()
    return Folders(
        inbox=tmp_path / "inbox", outbox=tmp_path / "outbox", failed=tmp_path / "failed", done=tmp_path / "done"
    )


def prepared(folders: Folders, share: str | None) -> Spool:
    spool = Spool(folders, share=share)
    spool.prepare()
    return spool


def test_a_second_daemon_is_refused_and_told_who_has_the_inbox_and_how_to_share(folders):
    with prepared(folders, None).lock(), pytest.raises(DreamdError, match=r"pid \d+ on .*--share"):
        prepared(folders, None).lock()


@pytest.mark.parametrize(("first", "second"), [(None, "b"), ("a", None)])
def test_sharing_takes_both(folders, first, second):
    with prepared(folders, first).lock(), pytest.raises(DreamdError, match="works on"):
        prepared(folders, second).lock()


def test_daemons_that_share_work_side_by_side(folders):
    with prepared(folders, "a").lock(), prepared(folders, "b").lock():
        pass


def test_one_state_folder_cannot_be_shared(folders):
    with prepared(folders, "a").lock(), pytest.raises(DreamdError, match="a state folder each"):
        prepared(folders, "a").lock()


def test_only_one_of_those_that_share_claims_a_picture(folders):
    (folders.inbox / "cat.jpg").write_bytes(b"cat")
    path = PurePosixPath("cat.jpg")
    claims = [prepared(folders, name).claim(path, f"job-{name}") for name in ("a", "b")]
    assert claims == [True, False]


def test_a_daemon_that_shares_does_not_recover_what_another_works_on(folders):
    (folders.inbox / "cat.jpg").write_bytes(b"cat")
    first = prepared(folders, "a")
    first.claim(PurePosixPath("cat.jpg"), "job-1")
    assert list(prepared(folders, "b").claimed()) == []
    assert list(prepared(folders, "a").claimed()) == [("job-1", PurePosixPath("cat.jpg"))]


def test_a_daemon_alone_takes_over_what_those_that_shared_left(folders):
    (folders.inbox / "cats").mkdir()
    (folders.inbox / "cats" / "cat.jpg").write_bytes(b"cat")
    prepared(folders, "a").claim(PurePosixPath("cats/cat.jpg"), "job-1")
    alone = prepared(folders, None)
    with alone.lock():
        assert list(alone.claimed()) == [("job-1", PurePosixPath("cats/cat.jpg"))]
        alone.finish(Job(id="job-1", folder=PurePosixPath("cats"), name="cat.jpg"))
    assert (folders.done / "cats" / "cat.jpg").read_bytes() == b"cat"
    assert not list((folders.inbox / ".dreamd").glob("work-*"))


def test_whoever_shares_takes_over_what_a_daemon_that_is_gone_had_claimed(folders):
    """A host's new name, or a state folder that is lost: the work folder has an owner that never comes back."""
    spools = {"alive": prepared(folders, "b"), "gone": prepared(folders, "a"), "alone": prepared(folders, None)}
    with spools["alive"].lock():
        for name, spool in spools.items():
            spool.prepare()
            (folders.inbox / f"{name}.jpg").write_bytes(name.encode())
            spool.claim(PurePosixPath(f"{name}.jpg"), f"job-{name}")
        last = prepared(folders, "c")
        with last.lock():
            assert [job for job, _ in last.claimed()] == ["job-alone", "job-gone"]
            assert [job for job, _ in spools["alive"].claimed()] == ["job-alive"]
    assert sorted(path.name for path in (folders.inbox / ".dreamd").glob("work*")) == ["work-b", "work-c"]
    assert not (folders.inbox / ".dreamd" / "lock-a").exists()


def test_daemons_that_start_at_once_share_out_what_was_left(folders):
    for number in range(50):
        (folders.inbox / f"{number}.jpg").write_bytes(b"x")
        prepared(folders, "gone").claim(PurePosixPath(f"{number}.jpg"), f"job-{number:02}")
    spools = [prepared(folders, name) for name in "abcd"]
    with ThreadPoolExecutor(4) as pool:
        locks = list(pool.map(Spool.lock, spools))
    taken = sorted(job for spool in spools for job, _ in spool.claimed())
    for held in locks:
        held.close()
    assert taken == [f"job-{number:02}" for number in range(50)]


def test_a_picture_that_another_daemon_took_over_is_with_that_one(folders):
    (folders.inbox / "cat.jpg").write_bytes(b"cat")
    first, second = prepared(folders, "a"), prepared(folders, "b")
    first.claim(PurePosixPath("cat.jpg"), "job-1")
    job = Job(id="job-1", folder=PurePosixPath(), name="cat.jpg")
    assert not first.is_with_another(job)
    with second.lock():
        assert prepared(folders, "a").is_with_another(job)


# Attempts, which each daemon's journal keeps to itself


def begun(spool: Spool, job_id: str, attempts: int, state: JobState = JobState.RUNNING) -> None:
    """As the daemon does when it begins a job, or when one has changed."""
    spool.note_attempts(Job(id=job_id, folder=PurePosixPath(), name="cat.jpg", attempts=attempts, state=state))
    spool.write_attempts()


def test_whoever_takes_a_picture_over_knows_how_often_it_was_begun(folders):
    first = prepared(folders, "a")
    begun(first, "job-1", 2)
    begun(first, "job-2", 1)
    begun(first, "job-2", 1, JobState.DONE)
    second = prepared(folders, "b")
    with second.lock():
        assert second.attempts_of("job-1", known=None) == 2
        assert second.attempts_of("job-1", known=1) == 2
        assert second.attempts_of("job-1", known=3) == 3
        assert second.attempts_of("job-2", known=None) == 0
    assert not (folders.inbox / ".dreamd" / "attempts-a").exists()


def test_attempts_outlive_a_daemon_that_ends_before_its_journal_knows_what_it_took_over(folders):
    begun(prepared(folders, "a"), "job-1", 2)
    second, third = prepared(folders, "b"), prepared(folders, "c")
    second.lock().close()
    with third.lock():
        assert third.attempts_of("job-1", known=None) == 2


def test_a_daemon_whose_journal_is_lost_knows_what_it_wrote_and_one_that_has_it_believes_that(folders):
    begun(prepared(folders, "a"), "job-1", 2)
    again = prepared(folders, "a")
    with again.lock():
        assert again.attempts_of("job-1", known=None) == 2
        assert again.attempts_of("job-1", known=1) == 1  # the last one was given back


def test_what_was_taken_over_is_forgotten_when_it_is_over(folders):
    begun(prepared(folders, "a"), "job-1", 2)
    second = prepared(folders, "b")
    with second.lock():
        begun(second, "job-1", 3)
        begun(second, "job-1", 3, JobState.FAILED)
        assert (folders.inbox / ".dreamd" / "attempts-b").read_text() == "{}"


def test_a_daemon_alone_writes_no_attempts_and_believes_those_that_are_left(folders):
    begun(prepared(folders, "a"), "job-1", 2)
    alone = prepared(folders, None)
    with alone.lock():
        assert alone.attempts_of("job-1", known=None) == 2
        begun(alone, "job-2", 1)
    assert list((folders.inbox / ".dreamd").glob("attempts*")) == []


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"job-1": "two"}', '{"job-1": null}'])
def test_attempts_that_make_no_sense_are_none(folders, text):
    first = prepared(folders, "a")
    first.lock().close()
    (folders.inbox / ".dreamd" / "attempts-a").write_text(text)
    second = prepared(folders, "b")
    with second.lock():
        assert second.attempts_of("job-1", known=None) == 0

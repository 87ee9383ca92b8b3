"""Pictures that are claimed together, and results that are published together."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

import dreamd.tree.steps.work
from dreamd.errors import SpaceError
from dreamd.files import durable
from dreamd.job import Job, home_of, id_in_batch, is_batch_id, new_batch_id, new_job_id
from dreamd.tree.layout import Folders
from dreamd.tree.spool import Spool
from dreamd.tree.steps.together import Placed, Wanted

PATHS = [PurePosixPath(path) for path in ("a.png", "cats/a.png", "cats/b.png", "cats/small/a.png")]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    (tmp_path / "inbox" / "cats" / "small").mkdir(parents=True)
    for path in PATHS:
        (tmp_path / "inbox" / path).write_bytes(str(path).encode())
    return Folders(
        inbox=tmp_path / "inbox", outbox=tmp_path / "outbox", failed=tmp_path / "failed", done=tmp_path / "done"
    )


@pytest.fixture
def spool(folders: Folders) -> Spool:
    return prepared(folders)


def prepared(folders: Folders, share: str | None = None) -> Spool:
    spool = Spool(folders, share=share)
    spool.prepare()
    return spool


def claimed(spool: Spool) -> list[Job]:
    taken = spool.claim_all(PATHS)
    assert not taken.refused
    return [Job(id=taken.jobs[path], folder=path.parent, name=path.name) for path in PATHS]


def wanted(spool: Spool, jobs: list[Job]) -> list[Wanted]:
    made = []
    for job in jobs:
        picture = spool.temporary(job) / "result.png"
        picture.write_bytes(b"dream of " + job.id.encode())
        picture.chmod(0o600)
        sidecar, draft = json.dumps({"job": job.id}).encode(), spool.drafts.place_of(job.id)
        made.append(Wanted(job=job, stem=Path(job.name).stem, file=picture.name, sidecar=sidecar, draft=draft))
    return made


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def left_in_work(folders: Folders) -> list[Path]:
    return list((folders.inbox / ".dreamd" / "work").rglob("*"))


def assert_all_are_out(folders: Folders, placed: list[Placed]) -> None:
    assert [(one.problem, one.is_out) for one in placed] == [(None, True)] * len(placed)
    for one in placed:
        assert (folders.outbox / str(one.name)).read_bytes() == b"dream of " + one.job.id.encode()
        assert json.loads((folders.outbox / f"{one.name}.json").read_text()) == {"job": one.job.id}


# Ids


def test_an_id_in_a_batch_tells_its_folder_and_sorts_by_time_among_other_ids():
    before, batch, after = new_job_id(), new_batch_id(), "z" * 13
    job = id_in_batch(batch, PurePosixPath("cats/a.png"))
    assert job == id_in_batch(batch, PurePosixPath("cats/a.png")) != id_in_batch(batch, PurePosixPath("cats/b.png"))
    assert home_of(job) == batch
    assert is_batch_id(batch)
    assert before[:8] <= job[:8] < after
    for other in (before, "job-1", "a" * 20):
        assert home_of(other) == other
        assert not is_batch_id(other)


# Claims


def test_pictures_are_claimed_together_and_the_folders_alone_tell_whose_they_are(spool, folders):
    jobs = claimed(spool)
    assert len({home_of(job.id) for job in jobs}) == 1
    assert sorted(spool.claimed()) == sorted((job.id, job.path) for job in jobs)
    for job in jobs:
        assert spool.work_path(job).read_bytes() == str(job.path).encode()
    assert not files(folders.inbox / "cats")


def test_what_cannot_be_claimed_stays_and_keeps_no_other_from_it(spool, folders, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (folders.inbox / "cats" / "link.png").symlink_to(tmp_path / "secret")
    (folders.inbox / "linked").symlink_to(folders.inbox / "cats")
    bad = [PurePosixPath(path) for path in ("cats/link.png", "linked/b.png", "cats/gone.png", "../secret", ".dreamd/x")]
    taken = spool.claim_all([*bad, *PATHS])
    assert set(taken.jobs) == set(PATHS)
    assert {str(path) for path in taken.refused} == {"../secret", ".dreamd/x"}
    assert (tmp_path / "secret").exists()


def test_a_symlink_that_takes_a_pictures_place_at_the_last_moment_goes_back(spool, folders, tmp_path, monkeypatch):
    def swap(picture: object, path: PurePosixPath) -> None:
        if path == PATHS[1]:
            (folders.inbox / path).unlink()
            (folders.inbox / path).symlink_to(tmp_path)

    monkeypatch.setattr(dreamd.tree.steps.work, "_check_readable", swap)
    assert set(spool.claim_all(PATHS).jobs) == {*PATHS} - {PATHS[1]}
    assert (folders.inbox / PATHS[1]).is_symlink()


def test_of_two_that_would_have_one_id_the_second_waits_for_another_batch(spool, folders, monkeypatch):
    monkeypatch.setattr(dreamd.tree.steps.work, "id_in_batch", lambda batch, path: f"{batch}aaaaaa")
    assert len(spool.claim_all(PATHS).jobs) == 1
    assert len(files(folders.inbox / "cats")) + (folders.inbox / "a.png").exists() == 3


def test_a_batch_of_which_nothing_could_be_claimed_leaves_nothing(spool, folders):
    assert spool.claim_all([PurePosixPath("cats/gone.png")]).jobs == {}
    assert left_in_work(folders) == []


def test_a_batchs_folder_goes_with_its_last_picture(spool, folders):
    jobs = claimed(spool)
    for job in jobs[:-1]:
        spool.finish(job)
        assert left_in_work(folders)
    spool.finish(jobs[-1])
    assert left_in_work(folders) == []


def test_a_batch_of_a_daemon_that_is_gone_is_taken_over_and_not_taken_for_gone(folders):
    gone = prepared(folders, "gone")
    jobs = claimed(gone)
    other = prepared(folders, "other")
    assert all(other.is_with_another(job) for job in jobs)
    assert not other.is_with_another(Job(id=jobs[0].id, folder=jobs[0].folder, name="never.png"))
    assert sorted(other.take_over()) == sorted(job.id for job in jobs)
    assert sorted(other.claimed()) == sorted((job.id, job.path) for job in jobs)


# Results


@pytest.fixture(params=["links", "no links", "neither links nor renameat2"])
def filesystem(request, monkeypatch):
    """What the outbox's filesystem can do."""
    if request.param != "links":
        monkeypatch.setattr(os, "link", refusing(errno.EPERM))
    if request.param == "neither links nor renameat2":
        monkeypatch.setattr(durable, "_renameat2", lambda: None)


def refusing(code: int) -> Callable[..., None]:
    def call(*_args: object, **_kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


@pytest.mark.usefixtures("filesystem")
def test_results_are_published_together_each_whole_and_with_its_sidecar(spool, folders):
    jobs = claimed(spool)
    placed = spool.publish_together(wanted(spool, jobs))
    assert_all_are_out(folders, placed)
    assert [str(one.name) for one in placed] == ["a.png", "cats/a.png", "cats/b.png", "cats/small/a.png"]
    assert files(folders.done) == sorted(map(str, PATHS))
    assert left_in_work(folders) == []
    for job in jobs:
        spool.drafts.release(job.id)
    assert list((folders.outbox / ".dreamd").iterdir()) == []
    assert stat.S_IMODE((folders.outbox / "a.png").stat().st_mode) == 0o666 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.usefixtures("filesystem")
def test_no_file_is_overwritten_and_namesakes_are_numbered(spool, folders):
    (folders.outbox / "cats").mkdir()
    (folders.outbox / "cats" / "a.png").write_bytes(b"somebody's")
    (folders.outbox / "cats" / "b.png.json").write_bytes(b"somebody's")
    jobs = claimed(spool)
    lot = [Wanted(**{**vars(one), "stem": "a"}) for one in wanted(spool, jobs)]
    placed = spool.publish_together(lot)
    assert_all_are_out(folders, placed)
    assert [str(one.name) for one in placed] == ["a.png", "cats/a-2.png", "cats/a-3.png", "cats/small/a.png"]
    assert (folders.outbox / "cats" / "a.png").read_bytes() == b"somebody's"


def test_a_file_that_takes_a_pictures_name_at_the_last_moment_stays(spool, folders, monkeypatch):
    jobs, link = claimed(spool), os.link

    def late(source: str, target: str, **options: int) -> None:
        if target == "b.png":
            (folders.outbox / "cats" / "b.png").write_bytes(b"somebody's")
        link(source, target, **options)

    monkeypatch.setattr(os, "link", late)
    placed = spool.publish_together(wanted(spool, jobs))
    assert_all_are_out(folders, placed)
    assert str(placed[2].name) == "cats/b-2.png"
    assert (folders.outbox / "cats" / "b.png").read_bytes() == b"somebody's"
    assert not (folders.outbox / "cats" / "b.png.json").exists()


@pytest.mark.parametrize("step", ["fsync", "link", "open"])
def test_what_one_is_refused_is_said_of_that_one_and_the_others_come_out(spool, folders, monkeypatch, step):
    jobs = claimed(spool)
    lot, real, victim = wanted(spool, jobs), getattr(os, step), spool.drafts.place_of(jobs[1].id)

    def full(target: int | str, *args: object, **options: object) -> object:
        place = str(Path(f"/proc/self/fd/{target}").readlink()) if isinstance(target, int) else str(target)
        if f"{victim}/" in place:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(target, *args, **options)

    monkeypatch.setattr(os, step, full)
    placed = spool.publish_together(lot)
    assert [one.is_out for one in placed] == [True, False, True, True]
    assert isinstance(placed[1].problem, SpaceError)
    monkeypatch.undo()
    assert spool.recover_result(jobs[1], "a") is None
    assert files(folders.outbox / "cats") == ["b.png", "b.png.json", "small/a.png", "small/a.png.json"]
    assert [path for _, path in spool.claimed()] == [PATHS[1]]


def test_an_original_that_has_to_be_copied_to_another_disk_is_left_for_later(spool, folders, monkeypatch):
    jobs = claimed(spool)
    lot = wanted(spool, jobs)
    monkeypatch.setattr("dreamd.tree.steps.together.rename_new", refusing(errno.EXDEV))
    placed = spool.publish_together(lot)
    assert_all_are_out(folders, placed)
    assert all(one.is_left for one in placed)
    assert len(list(spool.claimed())) == len(jobs)


def test_a_folder_for_originals_that_cannot_be_used_is_said_of_results_that_are_out(spool, folders):
    jobs = claimed(spool)
    (folders.done / "cats").write_bytes(b"in the way")
    placed = spool.publish_together(wanted(spool, jobs))
    assert all(one.is_out for one in placed)
    assert [one.problem is None for one in placed] == [True, False, False, False]


def test_originals_are_deleted_where_that_is_wanted(folders):
    spool = prepared(Folders(inbox=folders.inbox, outbox=folders.outbox, failed=folders.failed, done=None))
    assert_all_are_out(folders, spool.publish_together(wanted(spool, claimed(spool))))
    assert left_in_work(folders) == []
    assert not folders.done.exists()


# Drafts


def test_a_draft_folder_is_used_again_empty_and_goes_when_no_job_has_one(spool, folders):
    one, two = claimed(spool)[:2]
    first = spool.temporary(one)
    other = spool.temporary(two)
    (first / "half").write_bytes(b"half")
    (first / "folder").mkdir()
    spool.drafts.drop(one.id)
    assert first != other
    assert spool.temporary(one) == first
    assert list(first.iterdir()) == []
    for job in (one, two):
        spool.drafts.drop(job.id)
    assert list((folders.outbox / ".dreamd").iterdir()) == []


def test_a_draft_folder_into_which_a_worker_may_still_write_is_given_to_no_other_job(spool):
    tried_again, failed, other = claimed(spool)[:3]
    first, second = spool.temporary(tried_again), spool.temporary(failed)
    assert spool.temporary(tried_again) not in (first, second)
    spool.fail(failed, "cancelled")
    assert spool.temporary(other) not in (first, second)
    assert not first.exists()
    assert not second.exists()


def test_a_draft_folder_that_somebody_removed_is_made_anew(spool):
    one, two = claimed(spool)[:2]
    spool.temporary(one).rmdir()
    assert spool.temporary(one).is_dir()
    gone = spool.temporary(two)
    spool.drafts.drop(two.id)
    gone.rmdir()
    assert spool.temporary(two).is_dir()


def test_a_start_removes_the_drafts_of_an_earlier_run_and_of_earlier_versions(spool, folders):
    job = Job(id=new_job_id(), folder=PurePosixPath(), name="a.png")
    assert spool.claim(job.path, job.id)
    (spool.temporary(job) / "half").write_bytes(b"half")
    (folders.outbox / ".dreamd" / job.id).mkdir()
    again = prepared(folders)
    again.tidy()
    assert list((folders.outbox / ".dreamd").iterdir()) == []

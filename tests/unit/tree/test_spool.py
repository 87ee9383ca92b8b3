"""The folders: real files, and a kill between any two system calls."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from dreamd.errors import ConfigError, DreamdError, SpaceError
from dreamd.files import durable
from dreamd.job import Job, JobState, new_job_id
from dreamd.tree.layout import Folders
from dreamd.tree.spool import Spool
from dreamd.tree.steps.retrying import give_back_failed
from dreamd.tree.steps.sidecars import SidecarIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ORIGINAL = b"an original"
DREAM = b"a dream"
STRIP = b"how it came about"
SYSTEM_CALLS = ("mkdir", "rmdir", "unlink", "rename", "link", "open", "fsync", "fchmod")


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "inbox").mkdir()
    return Folders(
        inbox=tmp_path / "inbox", outbox=tmp_path / "outbox", failed=tmp_path / "failed", done=tmp_path / "done"
    )


@pytest.fixture
def spool(folders):
    spool = Spool(folders)
    spool.prepare()
    return spool


@pytest.fixture
def shm():
    """A folder on another filesystem than `tmp_path`."""
    root = Path("/dev/shm")
    if not root.is_dir() or root.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev:
        pytest.skip("/dev/shm is no other filesystem here")
    folder = Path(tempfile.mkdtemp(dir=root))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=["links", "no links", "neither links nor renameat2"])
def filesystem(request, monkeypatch):
    """What the outbox's filesystem can do."""
    if request.param != "links":
        monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    if request.param == "neither links nor renameat2":
        monkeypatch.setattr(durable, "_renameat2", lambda: None)
    return request.param


def refuse(code: int) -> Callable[..., None]:
    def call(*_args: object, **_kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


def job_of(path: str, **fields: object) -> Job:
    pure = PurePosixPath(path)
    return Job(id=new_job_id(), folder=pure.parent, name=pure.name, **fields)


def drop(spool: Spool, path: str, data: bytes = ORIGINAL) -> None:
    target = spool.folders.inbox / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def claimed(spool: Spool, path: str = "trips/cat.jpg", data: bytes = ORIGINAL) -> Job:
    drop(spool, path, data)
    job = job_of(path)
    assert spool.claim(job.path, job.id)
    return job


def dream(spool: Spool, job: Job) -> Path:
    picture = spool.temporary(job) / "result"
    picture.write_bytes(DREAM)
    return picture


def sidecar(job: Job) -> bytes:
    return json.dumps({"job": job.id}).encode()


def publish(spool: Spool, job: Job, result: str = "trips/cat.jpg") -> PurePosixPath:
    return spool.publish(job, PurePosixPath(result), dream(spool, job).name, sidecar(job))


def files(folder: Path) -> dict[str, bytes]:
    return {
        os.fspath(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


# Preparing


def test_every_folder_but_the_inbox_is_made(spool, folders):
    assert folders.outbox.is_dir()
    assert folders.failed.is_dir()
    assert folders.done.is_dir()
    assert (folders.inbox / ".dreamd/work").is_dir()
    assert (folders.outbox / ".dreamd").is_dir()


def test_a_missing_inbox_is_an_error_and_is_not_made(folders):
    folders.inbox.rmdir()
    with pytest.raises(ConfigError, match="mount its disk"):
        Spool(folders).prepare()
    assert not folders.inbox.exists()


def test_a_second_daemon_is_told_who_has_the_inbox(spool, folders):
    program = (
        "import sys; from pathlib import Path; from dreamd.tree.spool import *; p = Path(sys.argv[1]);"
        "Spool(Folders(inbox=p, outbox=p, failed=p, done=None)).lock()"
    )
    with spool.lock():
        arguments = [sys.executable, "-c", program, os.fspath(folders.inbox)]
        second = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    assert second.returncode != 0
    assert f"another dreamd (pid {os.getpid()} on " in second.stderr
    with spool.lock():
        pass


def test_nobody_else_may_enter_dreamds_own_folders_whatever_they_inherit(folders):
    """A tree that a group may drop into: setgid, and a default ACL that gives the group everything."""
    for root in (folders.inbox, folders.outbox):
        root.mkdir(exist_ok=True)
        root.chmod(0o2770)
        os.setxattr(root, "system.posix_acl_default", acl(owner=7, group=7, mask=7, others=0))
    (folders.inbox / ".dreamd").mkdir()
    (folders.inbox / ".dreamd").chmod(0o777)
    spool = Spool(folders)
    spool.prepare()
    assert stat.S_IMODE((folders.inbox / ".dreamd").stat().st_mode) == 0o700
    assert stat.S_IMODE((folders.outbox / ".dreamd").stat().st_mode) == 0o2700
    assert "system.posix_acl_default" not in os.listxattr(folders.inbox / ".dreamd")
    for own in (folders.inbox / ".dreamd", folders.outbox / ".dreamd"):
        assert "system.posix_acl_access" not in os.listxattr(own)
    publish(spool, claimed(spool))
    result = folders.outbox / "trips/cat.jpg"
    assert "system.posix_acl_access" in os.listxattr(result), "results have the rights that the outbox gives"


def acl(*, owner: int, group: int, mask: int, others: int) -> bytes:
    """What `setfacl -d -m u::…,g::…,m::…,o::…` writes."""
    entries = ((1, owner), (4, group), (0x10, mask), (0x20, others))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, rights, 0xFFFFFFFF) for tag, rights in entries)


# Claiming


def test_a_claimed_picture_waits_under_its_job_and_its_own_path(spool, folders):
    drop(spool, "trips/rome/cat.jpg")
    job = job_of("trips/rome/cat.jpg")
    assert spool.claim(job.path, job.id)
    assert spool.work_path(job) == folders.inbox / f".dreamd/work/{job.id}/trips/rome/cat.jpg"
    assert spool.work_path(job).read_bytes() == ORIGINAL
    assert list(spool.claimed()) == [(job.id, PurePosixPath("trips/rome/cat.jpg"))]


def test_claiming_a_file_that_is_gone_is_false_and_leaves_nothing(spool, folders):
    assert not spool.claim(PurePosixPath("trips/cat.jpg"), "1")
    assert not spool.claim(PurePosixPath("cat.jpg"), "1")
    assert list((folders.inbox / ".dreamd/work").iterdir()) == []


def test_two_threads_that_claim_the_same_file_cannot_both_have_it(spool, folders):
    for _ in range(50):
        drop(spool, "trips/cat.jpg")
        barrier = threading.Barrier(2)
        answers: list[bool] = []

        def claim(barrier=barrier, answers=answers) -> None:
            barrier.wait()
            answers.append(spool.claim(PurePosixPath("trips/cat.jpg"), new_job_id()))

        threads = [threading.Thread(target=claim) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [False, True]
    assert len(list((folders.inbox / ".dreamd/work").iterdir())) == 50


def test_symlinks_and_special_files_are_never_claimed(spool, folders, tmp_path, monkeypatch):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key.jpg").write_bytes(b"secret")
    (folders.inbox / "link.jpg").symlink_to(tmp_path / "secret/key.jpg")
    (folders.inbox / "folder").symlink_to(tmp_path / "secret")
    (folders.inbox / "album").mkdir()
    os.mkfifo(folders.inbox / "pipe.jpg")
    monkeypatch.setattr(os, "rename", refuse(errno.EIO))  # they are not even moved
    for path in ("link.jpg", "folder/key.jpg", "folder", "album", "pipe.jpg"):
        assert not spool.claim(PurePosixPath(path), new_job_id()), path
    assert files(tmp_path / "secret") == {"key.jpg": b"secret"}
    assert list((folders.inbox / ".dreamd/work").iterdir()) == []


def test_a_race_of_symlinks_against_claims_never_reaches_outside(spool, folders, tmp_path):
    """Somebody swaps a folder for a symlink to another, again and again, while pictures of that folder are claimed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "cat.jpg").write_bytes(b"nobody's business")
    inside, aside, link = folders.inbox / "trips", tmp_path / "aside", tmp_path / "link"
    inside.mkdir()
    link.symlink_to(outside)
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            inside.rename(aside)
            link.rename(inside)
            inside.rename(link)
            aside.rename(inside)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        taken = []
        while len(taken) < 200:
            with suppress(FileNotFoundError, FileExistsError, NotADirectoryError):
                (aside / "cat.jpg").write_bytes(ORIGINAL)
            job = job_of("trips/cat.jpg")
            if spool.claim(job.path, job.id):
                taken.append(job)
    finally:
        over.set()
        thread.join()
    assert {spool.work_path(job).read_bytes() for job in taken} <= {ORIGINAL, b""}
    assert (outside / "cat.jpg").read_bytes() == b"nobody's business"


def test_a_symlink_that_slips_in_between_look_and_rename_is_put_back(spool, folders, tmp_path, monkeypatch):
    drop(spool, "cat.jpg")
    (tmp_path / "secret").write_bytes(b"secret")
    real = os.rename

    def swap_first(source, target, **more):
        (folders.inbox / "cat.jpg").unlink()
        (folders.inbox / "cat.jpg").symlink_to(tmp_path / "secret")
        real(source, target, **more)

    monkeypatch.setattr(os, "rename", swap_first)
    assert not spool.claim(PurePosixPath("cat.jpg"), new_job_id())
    assert (folders.inbox / "cat.jpg").is_symlink()
    assert list(spool.claimed()) == []


@pytest.mark.parametrize("treat", ["finish", "fail", "publish"])
@pytest.mark.parametrize("is_kept", [True, False])
def test_a_claimed_jobs_folder_swapped_for_a_symlink_leads_nowhere(folders, tmp_path, treat, is_kept):
    """Somebody who could once write into work: no step reads, moves or removes anything outside the tree."""
    spool = Spool(folders if is_kept else replace(folders, done=None))
    spool.prepare()
    (tmp_path / "private/trips").mkdir(parents=True)
    (tmp_path / "private/trips/cat.jpg").write_bytes(b"nobody's business")
    job = claimed(spool)
    home = folders.inbox / ".dreamd/work" / job.id
    home.rename(tmp_path / "aside")
    home.symlink_to(tmp_path / "private")
    assert not spool.is_claimed(job)
    assert list(spool.claimed()) == []
    with suppress(DreamdError):
        if treat == "publish":
            publish(spool, job)
            spool.finish(job)
        elif treat == "fail":
            spool.fail(job, "broken")
        else:
            getattr(spool, treat)(job)
    assert files(tmp_path / "private") == {"trips/cat.jpg": b"nobody's business"}
    for root in (folders.outbox, folders.failed, folders.done):
        assert b"nobody's business" not in files(root).values()


@pytest.mark.parametrize("path", ["../cat.jpg", "/etc/passwd", "a/../../cat.jpg", ".", ".dreamd/lock", "a\0b"])
def test_paths_out_of_the_inbox_are_refused(spool, path):
    with pytest.raises(DreamdError):
        spool.claim(PurePosixPath(path), new_job_id())


@pytest.mark.parametrize("folder", ["..", "/etc", "a/../.."])
def test_results_out_of_the_outbox_are_refused(spool, folder):
    job = replace(job_of("cat.jpg"), folder=PurePosixPath(folder))
    with pytest.raises(DreamdError):
        spool.result_name(job, "cat", "jpg")
    with pytest.raises(DreamdError):
        spool.publish(job, PurePosixPath(folder) / "cat.jpg", "x", b"{}")


@pytest.mark.parametrize("stem", ["../cat", "a/b", "a\0b", "\ud800"])
def test_a_stem_that_is_no_file_name_is_refused(spool, stem):
    with pytest.raises(DreamdError, match="cannot be the name"):
        spool.result_name(job_of("cat.jpg"), stem, "jpg")


def test_a_job_id_that_is_in_use_takes_no_second_picture(spool):
    job = claimed(spool)
    drop(spool, "trips/cat.jpg", b"another")
    with pytest.raises(DreamdError):
        spool.claim(job.path, job.id)
    assert spool.work_path(job).read_bytes() == ORIGINAL


def test_a_folder_on_another_filesystem_is_explained(spool, folders, monkeypatch):
    drop(spool, "usb/cat.jpg")
    monkeypatch.setattr(os, "rename", refuse(errno.EXDEV))
    with pytest.raises(DreamdError, match=r"usb/cat\.jpg.*another filesystem"):
        spool.claim(PurePosixPath("usb/cat.jpg"), new_job_id())
    assert (folders.inbox / "usb/cat.jpg").exists()
    assert list((folders.inbox / ".dreamd/work").iterdir()) == []


def test_empty_job_folders_are_removed_and_strangers_left_alone(spool, folders):
    job = claimed(spool)
    work = folders.inbox / ".dreamd/work"
    (work / "0000000000000/trips/rome").mkdir(parents=True)
    (work / "note.txt").write_text("not dreamd's")
    spool.tidy()
    assert list(spool.claimed()) == [(job.id, job.path)]
    assert sorted(path.name for path in work.iterdir()) == [job.id, "note.txt"]


def test_a_copy_that_was_cut_off_is_no_claimed_picture(spool):
    job = claimed(spool)
    spool.work_path(job).with_name(f".dreamd-{job.id}").write_bytes(b"half")
    assert list(spool.claimed()) == [(job.id, job.path)]
    spool.tidy()
    spool.finish(job)
    assert list(spool.claimed()) == []
    assert not spool.work_path(job).parent.exists()


NAMES = [
    b"caf\xe9.jpg",
    b"a\nb.jpg",
    b"-rf",
    "猫.jpg".encode(),
    b"n" * 251 + b".jpg",
    ("猫" * 83 + ".png").encode(),
    b"a." + b"b" * 253,
    b"*.jpg",
    b"cat.jpg.json",
]


@pytest.mark.parametrize("encoded", NAMES)
def test_any_name_passes_through_every_folder(spool, folders, encoded):
    name = os.fsdecode(encoded)
    job = claimed(spool, f"caf\udce9/{name}")
    result = spool.result_name(job, PurePosixPath(name).stem, "jpg")
    published = spool.publish(job, result, dream(spool, job).name, sidecar(job))
    assert spool.recover_result(job, PurePosixPath(name).stem) == published
    assert spool.recover_result(replace(job, result=str(result)), "") == published
    spool.finish(job)
    assert files(folders.done) == {f"caf\udce9/{name}": ORIGINAL}
    again = claimed(spool, f"caf\udce9/{name}", b"second")
    kept = spool.fail(again, "it is\nbroken \udce9")
    assert kept.read_bytes() == b"second"
    assert back(folders, again)
    assert files(folders.inbox / "caf\udce9") == {name: b"second"}


def test_a_long_name_is_cut_at_a_character_so_that_the_sidecar_fits(spool):
    name = spool.result_name(job_of("x.jpg"), "猫" * 83, "jpg").name
    assert len(os.fsencode(name)) <= 250
    assert name == "猫" * 82 + ".jpg"
    with_steps = spool.result_name(job_of("x.jpg"), "猫" * 83, "jpg", has_steps=True).name
    assert len(os.fsencode(f"{with_steps}.steps.jpg")) <= 255


# Publishing


def test_a_result_has_the_mode_of_an_ordinary_file_and_its_sidecar_beside_it(spool, folders):
    job = claimed(spool)
    picture = dream(spool, job)
    picture.chmod(0o600)
    before = os.umask(0o027)
    try:
        result = spool.publish(job, PurePosixPath("trips/cat.jpg"), picture.name, sidecar(job))
    finally:
        os.umask(before)
    assert result == PurePosixPath("trips/cat.jpg")
    visible = {name: data for name, data in files(folders.outbox).items() if not name.startswith(".dreamd")}
    assert visible == {"trips/cat.jpg": DREAM, "trips/cat.jpg.json": sidecar(job)}
    for name in visible:
        assert stat.S_IMODE((folders.outbox / name).stat().st_mode) == 0o640


def test_free_names_are_counted_on_from_two_and_a_sidecar_takes_a_name_too(spool, folders):
    job = job_of("cat.jpg")
    assert spool.result_name(job, "cat", ".jpg") == PurePosixPath("cat.jpg")
    (folders.outbox / "cat.jpg").touch()
    assert spool.result_name(job, "cat", "jpg") == PurePosixPath("cat-2.jpg")
    (folders.outbox / "cat-2.jpg.json").touch()
    assert spool.result_name(job, "cat", "jpg") == PurePosixPath("cat-3.jpg")


@pytest.mark.parametrize("taken", ["trips/cat.jpg", "trips/cat.jpg.json"])
def test_publishing_to_a_taken_name_takes_the_next_and_overwrites_nothing(spool, folders, filesystem, taken):
    (folders.outbox / "trips").mkdir()
    (folders.outbox / taken).write_bytes(b"somebody's")
    job = claimed(spool)
    assert publish(spool, job) == PurePosixPath("trips/cat-2.jpg")
    spool.finish(job)
    expected = {taken: b"somebody's", "trips/cat-2.jpg": DREAM, "trips/cat-2.jpg.json": sidecar(job)}
    assert files(folders.outbox) == expected


def test_both_files_are_on_disk_before_they_have_names_and_the_sidecar_is_first(spool, folders, monkeypatch):
    job = claimed(spool)
    picture = dream(spool, job)
    steps = []
    sync, link = os.fsync, os.link

    def synced(descriptor):
        steps.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        sync(descriptor)

    def linked(source, target, **more):
        steps.append(f"name {Path(target).name}")
        link(source, target, **more)

    (folders.outbox / "trips").mkdir()
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    spool.publish(job, PurePosixPath("trips/cat.jpg"), picture.name, sidecar(job))
    assert steps == [
        "sync .sidecar",
        "sync result",
        "name cat.jpg.json",
        "sync trips",
        "name cat.jpg",
        "sync trips",
    ]


def test_a_name_taken_between_sidecar_and_picture_is_given_up_whole(spool, folders, monkeypatch):
    job = claimed(spool)
    real = os.link

    def steal(source, target, **more):
        if target == "cat.jpg":
            (folders.outbox / "trips/cat.jpg").write_bytes(b"somebody's")
        real(source, target, **more)

    monkeypatch.setattr(os, "link", steal)
    assert publish(spool, job) == PurePosixPath("trips/cat-2.jpg")
    spool.finish(job)
    expected = {"trips/cat.jpg": b"somebody's", "trips/cat-2.jpg": DREAM, "trips/cat-2.jpg.json": sidecar(job)}
    assert files(folders.outbox) == expected


def with_strip(spool: Spool, job: Job) -> dict[str, object]:
    """What `publish` is given for a job whose dream has a film strip."""
    draft = dream(spool, job)
    (draft.parent / "steps.jpg").write_bytes(STRIP)
    text = json.dumps({"job": job.id, "steps": True}).encode()
    return {"file": draft.name, "sidecar": text, "steps": "steps.jpg"}


def test_a_film_strip_lies_beside_its_result_and_takes_a_name_too(spool, folders):
    (folders.outbox / "trips").mkdir()
    (folders.outbox / "trips/cat.jpg.steps.jpg").write_bytes(b"somebody's")
    job, plain = claimed(spool), claimed(spool)
    assert spool.result_name(job, "cat", "jpg", has_steps=True).name == "cat-2.jpg"
    assert spool.publish(job, PurePosixPath("trips/cat.jpg"), **with_strip(spool, job)).name == "cat-2.jpg"
    assert files(folders.outbox)["trips/cat-2.jpg.steps.jpg"] == STRIP
    assert publish(spool, plain).name == "cat.jpg"  # without one, nothing of it is in the way
    assert (folders.outbox / "trips/cat.jpg.steps.jpg").read_bytes() == b"somebody's"


@pytest.mark.parametrize("taken", ["cat.jpg", "cat.jpg.steps.jpg"])
def test_a_name_taken_at_the_last_moment_takes_the_strip_along(spool, folders, filesystem, monkeypatch, taken):
    job, real = claimed(spool), durable.place_new

    def steal(draft, target):
        if target.name == taken:
            (folders.outbox / "trips" / taken).write_bytes(b"somebody's")
        real(draft, target)

    monkeypatch.setattr("dreamd.tree.steps.results.place_new", steal)
    assert spool.publish(job, PurePosixPath("trips/cat.jpg"), **with_strip(spool, job)).name == "cat-2.jpg"
    spool.finish(job)
    left = {name: data for name, data in files(folders.outbox).items() if not name.endswith(".json")}
    assert left == {f"trips/{taken}": b"somebody's", "trips/cat-2.jpg": DREAM, "trips/cat-2.jpg.steps.jpg": STRIP}


def test_publishing_twice_gives_the_same_result(spool, folders):
    job = claimed(spool)
    first = publish(spool, job)
    assert publish(spool, job) == first
    spool.finish(job)
    assert list(files(folders.outbox)) == ["trips/cat.jpg", "trips/cat.jpg.json"]


def test_a_result_is_only_its_own_jobs(spool):
    first, second = claimed(spool), claimed(spool)
    publish(spool, first)
    assert spool.recover_result(second, "cat") is None
    assert spool.recover_result(replace(second, result="trips/cat.jpg"), "cat") is None
    publish(spool, second)
    assert spool.recover_result(replace(second, result="trips/cat.jpg"), "cat") == PurePosixPath("trips/cat-2.jpg")
    assert spool.recover_result(second, "cat") == PurePosixPath("trips/cat-2.jpg")


def test_many_jobs_are_looked_for_by_one_listing_and_one_reading(spool, folders, monkeypatch):
    """A start with a backlog and without a journal."""
    jobs = [claimed(spool, f"trips/{name}.jpg") for name in ("cat", "cat", "cat-2", "dog", "猫", "gone")]
    published = [publish(spool, job, f"trips/{job.path.stem}.jpg") for job in jobs[:-1]]
    (folders.outbox / "trips/cat-7.jpg.json").write_bytes(sidecar(jobs[-1]))  # its picture is not there
    listings, real = [], os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: (listings.append(folder), real(folder))[1])
    index = SidecarIndex()
    assert [spool.recover_result(job, job.path.stem, index) for job in jobs] == [*published, None]
    assert spool.recover_result(jobs[-1], "cat", index) is None
    assert not (folders.outbox / "trips/cat-7.jpg.json").exists()
    assert len(listings) == 1


def test_a_sidecar_without_its_picture_is_removed_if_it_is_the_jobs(spool, folders):
    job = claimed(spool)
    (folders.outbox / "trips").mkdir()
    (folders.outbox / "trips/cat.jpg.json").write_bytes(sidecar(job))
    (folders.outbox / "trips/cat.json").write_text(f"no json, but it names {job.id}")
    (folders.outbox / "trips/cat-2.jpg.json").write_bytes(sidecar(job_of("cat.jpg")))
    assert spool.recover_result(job, "cat") is None
    assert list(files(folders.outbox)) == ["trips/cat-2.jpg.json", "trips/cat.json"]


def test_the_temporary_folder_is_fresh_for_each_attempt(spool):
    job = claimed(spool)
    (spool.temporary(job) / "half").write_bytes(b"half")
    assert list(spool.temporary(job).iterdir()) == []


def test_a_symlink_in_the_outbox_is_not_followed(spool, folders, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (folders.outbox / "trips").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DreamdError, match="symlink"):
        publish(spool, claimed(spool))
    assert files(tmp_path / "elsewhere") == {}


# Putting originals away


def test_originals_of_one_name_are_all_kept(spool, folders):
    for data in (b"1", b"2", b"3"):
        spool.finish(claimed(spool, data=data))
    assert files(folders.done) == {"trips/cat.jpg": b"1", "trips/cat-2.jpg": b"2", "trips/cat-3.jpg": b"3"}
    assert list((folders.inbox / ".dreamd/work").iterdir()) == []


def test_originals_are_deleted_when_there_is_no_done_folder(folders, tmp_path):
    spool = Spool(replace(folders, done=None))
    spool.prepare()
    job = claimed(spool)
    publish(spool, job)
    spool.finish(job)
    spool.finish(job)
    assert files(folders.inbox) == {}
    assert list(files(folders.outbox)) == ["trips/cat.jpg", "trips/cat.jpg.json"]


def test_a_failed_original_has_its_reason_beside_it(spool, folders):
    job = claimed(spool)
    kept = spool.fail(job, "the picture is broken")
    assert kept == folders.failed / "trips/cat.jpg"
    assert (folders.failed / "trips/cat.jpg.reason.txt").read_text() == f"the picture is broken\n\njob {job.id}\n"
    assert spool.fail(job, "asked again") == kept
    other = claimed(spool, data=b"other")
    assert spool.fail(other, "broken too") == folders.failed / "trips/cat-2.jpg"
    assert (folders.failed / "trips/cat-2.jpg.reason.txt").exists()
    assert list(spool.claimed()) == []


def test_failing_a_job_whose_original_is_gone_is_an_error(spool):
    job = claimed(spool)
    spool.work_path(job).unlink()
    with pytest.raises(DreamdError, match="is gone"):
        spool.fail(job, "broken")


def test_across_filesystems_bytes_times_and_mode_are_kept(folders, shm):
    spool = Spool(replace(folders, done=shm / "done", failed=shm / "failed"))
    spool.prepare()
    for put_away in (spool.finish, lambda job: spool.fail(job, "broken")):
        job = claimed(spool)
        os.utime(spool.work_path(job), ns=(10**18, 10**18 + 5))
        spool.work_path(job).chmod(0o604)
        put_away(job)
    for kept in (shm / "done/trips/cat.jpg", shm / "failed/trips/cat.jpg"):
        assert kept.read_bytes() == ORIGINAL
        assert kept.stat().st_mtime_ns == 10**18 + 5
        assert stat.S_IMODE(kept.stat().st_mode) == 0o604
    assert back(folders=spool.folders, job=job)
    assert files(folders.inbox / "trips") == {"cat.jpg": ORIGINAL}
    assert list(files(shm)) == ["done/trips/cat.jpg"]


def test_across_filesystems_a_copy_whose_time_was_rounded_is_known_after_a_kill(folders, shm, monkeypatch):
    """FAT keeps every other second."""
    spool = Spool(replace(folders, done=shm))
    spool.prepare()
    job = claimed(spool)
    os.utime(spool.work_path(job), ns=(10**18, 10**18 + 1_900_000_000))
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse(errno.EIO))  # the original stays, as after a kill
        with pytest.raises(DreamdError):
            spool.finish(job)
    os.utime(shm / "trips/cat.jpg", ns=(10**18, 10**18))
    spool.finish(job)
    assert files(shm) == {"trips/cat.jpg": ORIGINAL}


def test_across_filesystems_times_are_kept_where_modes_are_refused(folders, shm, monkeypatch):
    spool = Spool(replace(folders, done=shm))
    spool.prepare()
    job = claimed(spool)
    os.utime(spool.work_path(job), ns=(10**18, 10**18 + 5))
    monkeypatch.setattr(os, "fchmod", refuse(errno.EPERM))
    spool.finish(job)
    assert (shm / "trips/cat.jpg").stat().st_mtime_ns == 10**18 + 5


def test_across_filesystems_a_taken_name_is_never_overwritten(folders, shm):
    spool = Spool(replace(folders, done=shm))
    spool.prepare()
    for data in (b"1", b"2"):
        spool.finish(claimed(spool, data=data))
    assert files(shm) == {"trips/cat.jpg": b"1", "trips/cat-2.jpg": b"2"}


def test_across_filesystems_a_copy_is_on_disk_with_its_name_before_the_original_goes(folders, shm, monkeypatch):
    """A power cut at any moment must find one of the two, whole."""
    for put_away in (Spool.finish, lambda spool, job: spool.fail(job, "broken")):
        spool = Spool(replace(folders, done=shm / "done", failed=shm / "failed"))
        spool.prepare()
        job = claimed(spool)
        steps = []
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", noting(steps, "sync", os.fsync))
            patch.setattr(os, "unlink", noting(steps, "unlink", os.unlink))
            put_away(spool, job)
        original = steps.index(f"unlink {job.path.name}")
        assert steps[original - 2 : original] == [f"sync .dreamd-{job.id}", "sync trips"], steps


def noting(steps: list[str], word: str, real: Callable[..., object]) -> Callable[..., object]:
    """A system call that notes the name of what it is done to."""

    def call(what: object, **more: object) -> object:
        name = Path(f"/proc/self/fd/{what}").readlink().name if isinstance(what, int) else str(what)
        steps.append(f"{word} {name}")
        return real(what, **more)

    return call


def test_across_filesystems_holes_stay_holes(folders, shm):
    spool = Spool(replace(folders, done=shm / "done"))
    spool.prepare()
    job = claimed(spool)
    with spool.work_path(job).open("r+b") as file:
        file.seek(1 << 30)
        file.write(b"in the middle")
        file.truncate(3 << 30)
    spool.finish(job)
    kept = (shm / "done/trips/cat.jpg").stat()
    assert kept.st_size == 3 << 30
    assert kept.st_blocks * 512 < 1 << 20
    with (shm / "done/trips/cat.jpg").open("rb") as file:
        assert file.read(len(ORIGINAL)) == ORIGINAL
        file.seek(1 << 30)
        assert file.read(13) == b"in the middle"


@pytest.mark.parametrize("put_away", [Spool.finish, lambda spool, job: spool.fail(job, "too large")])
def test_across_filesystems_nothing_larger_than_allowed_is_copied(folders, shm, put_away):
    spool = Spool(replace(folders, done=shm / "done", failed=shm / "failed"), most_carried=1000)
    spool.prepare()
    job = claimed(spool, data=b"x" * 10_000)
    with pytest.raises(DreamdError, match=r"larger than limits\.max_bytes"):
        put_away(spool, job)
    assert files(shm) == {}
    assert spool.is_claimed(job)


def test_across_filesystems_a_disk_without_room_is_not_filled_to_the_brim(folders, shm, monkeypatch):
    spool = Spool(replace(folders, done=shm / "done"))
    spool.prepare()
    job = claimed(spool, data=b"x" * 10_000)
    room = SimpleNamespace(f_blocks=1, f_bavail=2, f_frsize=4096)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstatvfs", lambda _folder: room)
        with pytest.raises(SpaceError):
            spool.finish(job)
    assert files(shm) == {}
    spool.finish(job)
    assert files(shm) == {"done/trips/cat.jpg": b"x" * 10_000}


def test_only_a_move_to_another_filesystem_is_slow(folders, shm):
    spool = Spool(replace(folders, done=shm / "done"))
    spool.prepare()
    job = claimed(spool)
    assert spool.is_slow_to_put_away(replace(job, state=JobState.DONE))
    assert not spool.is_slow_to_put_away(replace(job, state=JobState.FAILED))
    assert not Spool(replace(folders, done=None)).is_slow_to_put_away(replace(job, state=JobState.DONE))


def test_fifty_thousand_namesakes_cost_no_more_than_a_few(spool, folders, monkeypatch):
    """A webcam that drops snapshot.jpg again and again."""
    for number in range(1, 5_001):
        name = "snapshot.jpg" if number == 1 else f"snapshot-{number}.jpg"
        for place in (folders.outbox / name, folders.outbox / f"{name}.json", folders.done / name):
            place.touch()
    job = claimed(spool, "snapshot.jpg")
    looks = []
    with monkeypatch.context() as patch:
        real = os.stat
        patch.setattr(os, "stat", lambda *args, **more: (looks.append(args), real(*args, **more))[1])
        result = spool.result_name(job, "snapshot", ".jpg")
        assert publish(spool, job, str(result)) == PurePosixPath("snapshot-5001.jpg")
        spool.finish(job)
    assert len(looks) < 500
    assert (folders.done / "snapshot-5001.jpg").read_bytes() == ORIGINAL


# Errors


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_a_space_error_and_leaves_no_half_result(spool, folders, monkeypatch, code):
    job = claimed(spool)
    picture = dream(spool, job)
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse(code))
        with pytest.raises(SpaceError, match=r"trips/cat\.jpg"):
            spool.publish(job, PurePosixPath("trips/cat.jpg"), picture.name, sidecar(job))
    assert spool.publish(job, PurePosixPath("trips/cat.jpg"), picture.name, sidecar(job)) == PurePosixPath(
        "trips/cat.jpg"
    )
    assert spool.work_path(job).exists()


def test_a_full_disk_at_the_copy_leaves_the_original_and_no_draft(folders, shm, monkeypatch):
    spool = Spool(replace(folders, done=shm))
    spool.prepare()
    job = claimed(spool)
    with monkeypatch.context() as patch:
        patch.setattr(durable, "_copy_data", refuse(errno.ENOSPC))
        with pytest.raises(SpaceError):
            spool.finish(job)
    assert files(shm) == {}
    assert spool.work_path(job).exists()
    spool.finish(job)
    assert files(shm) == {"trips/cat.jpg": ORIGINAL}


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(errno.EACCES, "right to read"), (errno.EROFS, "writable"), (errno.EIO, "dmesg"), (errno.ENOTSUP, "usable")],
)
def test_other_failures_name_the_path_and_say_what_to_do(spool, monkeypatch, code, remedy):
    drop(spool, "a\nb.jpg")
    monkeypatch.setattr(os, "rename", refuse(code))
    with pytest.raises(DreamdError, match=remedy) as caught:
        spool.claim(PurePosixPath("a\nb.jpg"), new_job_id())
    assert r"a\nb.jpg" in str(caught.value)
    assert not isinstance(caught.value, SpaceError)


# Kills


class KilledError(BaseException):
    """The process ends here: nothing that it would have done afterwards is done."""


@contextmanager
def killed_before(call: int, patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Lets `call` system calls through that change something, and none after them."""
    done: list[str] = []

    def guarded(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def run(*args: object, **kwargs: object) -> object:
            if len(done) >= call:
                raise KilledError
            done.append(name)
            return real(*args, **kwargs)

        return run

    with patch.context() as patched:
        for name in SYSTEM_CALLS:
            patched.setattr(os, name, guarded(name, getattr(os, name)))
        renameat2 = durable._renameat2()
        if renameat2 is not None:
            patched.setattr(durable, "_renameat2", lambda: guarded("renameat2", renameat2))
        patched.setattr(durable, "_copy_data", guarded("copy", durable._copy_data))
        yield done


def go_on(spool: Spool, job: Job) -> None:
    """What the daemon does with a claimed job, at first and after a kill."""
    if spool.recover_result(job, "cat") is None:
        result = spool.result_name(job, "cat", "png")
        spool.publish(replace(job, result=str(result)), result, dream(spool, job).name, sidecar(job))
    spool.finish(job)


def back(folders: Folders, job: Job) -> bool:
    """What `dreamd retry` does with a failed job."""
    ((_, is_back),) = give_back_failed(folders, [job])
    return is_back


def give_up(spool: Spool, job: Job) -> None:
    spool.fail(job, "broken")


def recover(spool: Spool, treat: Callable[[Spool, Job], None]) -> None:
    spool.prepare()
    spool.tidy()
    for job_id, path in list(spool.claimed()):
        treat(spool, Job(id=job_id, folder=path.parent, name=path.name))
    if (spool.folders.inbox / "trips/cat.jpg").exists():
        job = job_of("trips/cat.jpg")
        assert spool.claim(job.path, job.id)
        treat(spool, job)


def places(folders: Folders) -> list[str]:
    """Where the original is, by its bytes."""
    roots = {"inbox": folders.inbox, "done": folders.done, "failed": folders.failed}
    found = []
    for root, folder in roots.items():
        found += [f"{root}/{name}" for name, data in files(folder).items() if data == ORIGINAL]
    return found


def results(folders: Folders) -> dict[str, bytes]:
    return {name: data for name, data in files(folders.outbox).items() if not name.startswith(".dreamd/")}


def kill_everywhere(
    folders: Folders, patch: pytest.MonkeyPatch, treat: Callable[[Spool, Job], None], after_kill: Callable[[], None]
) -> int:
    """Runs the story once for each system call in it, killed before that call; yields how many there were."""
    for call in range(1000):
        for folder in (folders.inbox, folders.outbox, folders.failed, folders.done):
            shutil.rmtree(folder, ignore_errors=True)
        folders.inbox.mkdir()
        spool = Spool(folders)
        spool.prepare()
        drop(spool, "trips/cat.jpg")
        job = job_of("trips/cat.jpg")
        try:
            with killed_before(call, patch):
                spool.claim(job.path, job.id)
                treat(spool, job)
        except KilledError:
            after_kill()
            recover(Spool(folders), treat)
            after_kill()
            yield call
        else:
            return


def test_a_kill_anywhere_leaves_one_original_and_in_the_end_one_result(folders, filesystem, monkeypatch):
    def check() -> None:
        assert len(places(folders)) == 1
        for name, data in results(folders).items():
            assert data == DREAM or name.endswith(".json"), "a partial result"

    calls = 0
    for _ in kill_everywhere(folders, monkeypatch, go_on, check):
        calls += 1
        assert places(folders) == ["done/trips/cat.jpg"]
        assert list(results(folders)) == ["trips/cat.png", "trips/cat.png.json"]
        assert list((folders.inbox / ".dreamd/work").iterdir()) == []
        assert list((folders.outbox / ".dreamd").iterdir()) == []
    assert calls > 30


def test_a_kill_anywhere_leaves_no_film_strip_without_its_result(folders, filesystem, monkeypatch):
    def go_on_with_strip(spool: Spool, job: Job) -> None:
        if spool.recover_result(job, "cat") is None:
            name = spool.result_name(job, "cat", "png", has_steps=True)
            spool.publish(replace(job, result=str(name)), name, **with_strip(spool, job))
        spool.finish(job)

    def check() -> None:
        for name, data in results(folders).items():
            assert data in (DREAM, STRIP) or name.endswith(".json"), "a partial file"
            if data == DREAM:
                assert f"{name}.steps.jpg" in results(folders)

    for _ in kill_everywhere(folders, monkeypatch, go_on_with_strip, check):
        assert list(results(folders)) == ["trips/cat.png", "trips/cat.png.json", "trips/cat.png.steps.jpg"]
        assert places(folders) == ["done/trips/cat.jpg"]
        assert list((folders.outbox / ".dreamd").iterdir()) == []


def test_a_kill_anywhere_while_failing_leaves_the_original_claimable_or_explained(folders, filesystem, monkeypatch):
    def check() -> None:
        (place,) = places(folders)
        assert place.startswith("inbox/") or (folders.failed / "trips/cat.jpg.reason.txt").exists()

    calls = 0
    for _ in kill_everywhere(folders, monkeypatch, give_up, check):
        calls += 1
        assert list(files(folders.failed)) == ["trips/cat.jpg", "trips/cat.jpg.reason.txt"]
        assert list((folders.inbox / ".dreamd/work").iterdir()) == []
    assert calls > 8


def test_a_kill_while_failing_leaves_no_trace_when_the_next_attempt_is_well(folders, monkeypatch):
    def first_bad_then_well(spool: Spool, job: Job) -> None:
        (give_up if spool is first[0] else go_on)(spool, job)

    first: list[Spool] = []
    real = Spool.prepare

    def remember(spool: Spool) -> None:
        real(spool)
        if not (spool.folders.inbox / "trips").exists() and not list(spool.claimed()):
            first[:] = [spool]

    monkeypatch.setattr(Spool, "prepare", remember)
    for _ in kill_everywhere(folders, monkeypatch, first_bad_then_well, lambda: None):
        if "done/trips/cat.jpg" in places(folders):
            assert files(folders.failed) == {}


@pytest.mark.parametrize("treat", [go_on, give_up])
def test_across_filesystems_a_kill_anywhere_loses_nothing_and_ends_with_one_original(folders, shm, monkeypatch, treat):
    far = replace(folders, done=shm / "done", failed=shm / "failed")

    def check() -> None:
        assert len(places(far)) in (1, 2)
        drafts = [path for path in places(far) if ".dreamd-" in path]
        assert len(places(far)) - len(drafts) >= 1

    calls = 0
    for _ in kill_everywhere(far, monkeypatch, treat, check):
        calls += 1
        assert places(far) == ["done/trips/cat.jpg" if treat is go_on else "failed/trips/cat.jpg"]
    assert calls > 8


@pytest.mark.parametrize("is_far", [False, True])
def test_a_kill_anywhere_while_retrying_loses_nothing_and_doubles_nothing(folders, shm, monkeypatch, is_far):
    if is_far:
        folders = replace(folders, failed=shm)
    for call in range(100):
        spool = Spool(folders)
        spool.prepare()
        job = claimed(spool)
        spool.fail(job, "broken")
        try:
            with killed_before(call, monkeypatch):
                back(folders, job)
        except KilledError:
            assert places(folders)
            back(folders, job)
            assert [place for place in places(folders) if ".dreamd-" not in place] == ["inbox/trips/cat.jpg"]
            assert files(folders.failed) == {}
            shutil.rmtree(folders.inbox / "trips")
        else:
            assert call > 3
            return


def test_nothing_heavy_is_imported():
    program = (
        "import sys, dreamd.tree.spool, dreamd.tree.journal\n"
        "print({'torch', 'PIL', 'pydantic', 'ctypes'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"


def test_a_failed_picture_is_there_until_somebody_takes_it(spool):
    job = claimed(spool)
    assert spool.failed_among([job]) == set()
    kept = spool.fail(job, "why")
    assert spool.failed_among([job, replace(job, id=new_job_id())]) == {job.id}
    kept.unlink()
    assert spool.failed_among([job]) == set()


# A picture of another user


@pytest.fixture
def open_folders() -> Iterator[Folders]:
    """A tree that any user may use, which lies where any user may go."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for path in (root, root / "inbox", root / "outbox", root / "done", root / "failed"):
            path.mkdir(exist_ok=True)
            path.chmod(0o777)
        yield Folders(inbox=root / "inbox", outbox=root / "outbox", done=root / "done", failed=root / "failed")


@contextmanager
def as_another_user() -> Iterator[None]:
    """Inside, be nobody, as far as files go, where one is root; else one is no root, whom a file's mode binds too."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.mark.parametrize(
    ("group", "remedy"), [(None, "`chmod g+r` it"), (64_321, "`chmod a+r` it, or give it a group that dreamd is in")]
)
def test_a_picture_that_may_not_be_read_stays_and_its_owner_is_told_what_to_do(open_folders, group, remedy):
    picture = open_folders.inbox / "cat.jpg"
    picture.write_bytes(ORIGINAL)
    picture.chmod(0o600 if os.geteuid() == 0 else 0o000)
    if group is not None and os.geteuid() == 0:
        os.chown(picture, -1, group)
    with as_another_user():
        spool = Spool(open_folders)
        spool.prepare()
        with pytest.raises(DreamdError) as caught:
            spool.claim(PurePosixPath("cat.jpg"), new_job_id())
        assert not list(spool.claimed())
    assert picture.exists()
    assert str(caught.value).startswith("cat.jpg: its owner (")
    assert remedy in str(caught.value) or os.geteuid() != 0
    picture.chmod(0o644)
    with as_another_user():
        assert spool.claim(PurePosixPath("cat.jpg"), new_job_id())

"""Where originals go when their jobs have ended: `done`, or `failed` with a reason beside each.

Either may be on another filesystem than the inbox; then a move is a copy that is synced, with its folder, before the
original is removed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dreamd.errors import DreamdError
from dreamd.files.durable import copy_new, is_same_file, rename_new, replace, taken_bytes
from dreamd.files.names import folder_parts, free_names, one_name, split_name
from dreamd.files.nofollow import Entry, opened_folder, opened_folder_if_there
from dreamd.files.problems import shown
from dreamd.files.syncs import sync_folder
from dreamd.tree.layout import REASON, draft_name, reason_name
from dreamd.tree.steps.sidecars import names_like

if TYPE_CHECKING:
    from dreamd.job import Job


def put_into_done(original: Entry, job: Job, done: Path, *, most_carried: int | None) -> None:
    """Move the original of a done job into `done`, under its own name or the next free one.

    Args:
        original: where it is.
        job: the job.
        done: the folder.
        most_carried: to another filesystem, no more bytes than this are copied; None: any number.
    """
    with opened_folder(done, folder_parts(job.folder), make=True) as folder:

        def is_taken(name: str) -> bool:
            return Entry(folder, name).is_there() and not is_same_file(original, Entry(folder, name))

        for name in free_names(*split_name(job.name), is_taken):
            try:
                move_original(original, Entry(folder, name), job.id, most_carried=most_carried)
                return
            except FileExistsError:
                continue


class Failures:
    """The originals of failed jobs."""

    def __init__(self, failed: Path, *, most_carried: int | None) -> None:
        """Take the folder; to another filesystem, no more bytes than `most_carried` are copied of an original."""
        self._failed = failed
        self._most_carried = most_carried

    def put(self, original: Entry, job: Job, reason: str) -> Path:
        """Move the original of a failed job here, its reason first; returns where it is now."""
        parts = folder_parts(job.folder)
        text = f"{reason}\n\njob {job.id}\n".encode("utf-8", "backslashreplace")
        with opened_folder(self._failed, parts, make=True) as folder:

            def is_taken(name: str) -> bool:
                return not _can_be_kept_as(Entry(folder, name), original, job.id)

            for name in free_names(*split_name(job.name), is_taken, reserve=len(REASON)):
                if _fail_as(Entry(folder, name), original, text, job.id, self._most_carried):
                    return self._failed.joinpath(*parts, name)
        raise AssertionError("there is always a free name")

    def find(self, job: Job) -> Path | None:
        """Return where a job's original is among the failed ones; None when it is not there."""
        parts = folder_parts(job.folder)
        with opened_folder_if_there(self._failed, parts) as folder:
            for failure in () if folder is None else _failures_of(folder, job):
                if failure.is_there():
                    return self._failed.joinpath(*parts, failure.name)
        return None

    def opened(self, job: Job) -> BinaryIO | None:
        """Open a job's original where it is among the failed ones; None when it is not there.

        The reason is looked at once more when the original is open. No other picture gets the name as long as the
        reason beside it names the job, so another's is never taken for this one's.
        """
        with opened_folder_if_there(self._failed, folder_parts(job.folder)) as folder:
            for failure in () if folder is None else _failures_of(folder, job):
                try:
                    file = failure.open()
                except OSError:
                    continue
                if _is_reason_of(failure.beside(reason_name(failure.name)), job.id):
                    return file
                file.close()
        return None

    def drop_trace(self, job: Job, original: Entry) -> None:
        """Remove what a killed `put` left: a reason, a draft and, when it had to copy, the copy."""
        with opened_folder_if_there(self._failed, folder_parts(job.folder)) as folder:
            if folder is None:
                return
            Entry(folder, draft_name(job.id)).unlink()
            for failure in _failures_of(folder, job):
                if is_same_file(original, failure):
                    failure.unlink()
            for failure in list(_failures_of(folder, job)):
                if not failure.is_there():
                    failure.beside(reason_name(failure.name)).unlink()


def _failures_of(folder: int, job: Job) -> Iterator[Entry]:
    """Yield where the job's reasons say that its original is or was to be."""
    for name in names_like(folder, split_name(one_name(job.name))[0], REASON):
        if _is_reason_of(Entry(folder, name), job.id):
            yield Entry(folder, name.removesuffix(REASON))


def reason_job(reason: Entry) -> str | None:
    """Return the id of the job that a reason is of, which its last line names; None when it is somebody else's text."""
    words = reason.read().rpartition(b"\njob ")
    name = words[2].removesuffix(b"\n")
    return name.decode("ascii") if words[1] and name.isalnum() and name.isascii() else None


def _is_reason_of(reason: Entry, job_id: str) -> bool:
    return reason_job(reason) == job_id


def _can_be_kept_as(kept: Entry, original: Entry, job_id: str) -> bool:
    """Tell whether neither reason nor picture of that name is somebody else's."""
    reason = kept.beside(reason_name(kept.name))
    if reason.is_there() and not _is_reason_of(reason, job_id):
        return False
    return not kept.is_there() or is_same_file(original, kept)


def _fail_as(kept: Entry, original: Entry, text: bytes, job_id: str, most_carried: int | None) -> bool:
    """Move an original to `kept`, its reason first; False when that name was taken meanwhile."""
    reason = kept.beside(reason_name(kept.name))
    replace(reason, text, draft_name(job_id))
    try:
        move_original(original, kept, job_id, most_carried=most_carried)
    except FileExistsError:
        reason.unlink()
        return False
    except (OSError, DreamdError):
        if not kept.is_there():
            reason.unlink()
        raise
    return True


def move_original(
    original: Entry, target: Entry, job_id: str, *, most_carried: int | None = None, sync: bool = True
) -> None:
    """Move an original, across filesystems too. Raises FileExistsError when the name is taken.

    Args:
        original: where it is.
        target: where it goes.
        job_id: names the draft, where it has to be copied.
        most_carried: no more bytes than this are copied; None: any number.
        sync: have the name on the disk before this returns; False: the caller syncs the folder for many at once.
    """
    try:
        rename_new(original, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _check_size(original, most_carried)
        _carry(original, target, job_id)
    if sync:
        sync_folder(target.folder)


def _check_size(original: Entry, most: int | None) -> None:
    status = original.status()
    if most is not None and status is not None and taken_bytes(status) > most:
        raise DreamdError(
            f"{shown(original.name)} is larger than limits.max_bytes and would have to be copied to another disk: it "
            "stays in the inbox's .dreamd; have the folder on the inbox's disk, or allow for larger pictures"
        )


def is_on_another_disk(original: Entry, root: Path) -> bool:
    """Tell whether moving an original below `root` takes a copy."""
    status = original.status()
    return status is not None and status.st_dev != root.stat().st_dev


def _carry(original: Entry, target: Entry, job_id: str) -> None:
    """Move to another filesystem: copy to a draft, sync, rename, sync the folder, remove the original.

    A kill during the copy leaves a draft, which the next try overwrites. A kill after the rename leaves the picture
    twice: the next try knows the copy by its bytes and time, and only removes the original.
    """
    if target.is_there():
        if not is_same_file(original, target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target.name)
    else:
        draft = target.beside(draft_name(job_id))
        try:
            copy_new(original, draft)
            rename_new(draft, target)
        except OSError:
            draft.unlink()
            raise
    sync_folder(target.folder)
    original.unlink()

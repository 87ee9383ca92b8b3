"""The folders: claim a picture, publish its result, put the original away.

The folders are the truth. Each step is one rename, or a draft that is written, synced and then renamed into place, so
that a picture is in exactly one of inbox, work, done and failed, whatever is killed and whenever. After a kill the
daemon asks `claimed` what is in work and `published` which of those have their result already. The order of the steps,
and what a kill between any two of them leaves, stands beside them.

Knows folders and jobs. Knows no journal, recipe, watch or picture format, and takes names for bytes: they may be no
UTF-8, hold newlines or start with a dash.
"""

from __future__ import annotations

import errno
import fcntl
import filecmp
import json
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dreamd.errors import ConfigError, DreamdError
from dreamd.files.durable import (
    copy_durably,
    give_mode,
    make_folder,
    move_new,
    remove_empty,
    sync_folder,
    unlink,
    unlink_all,
    write_new,
)
from dreamd.files.names import folder_parts, numbered, one_name, relative_parts, shortened, split_name
from dreamd.files.nofollow import files_below, is_folder, is_regular, open_folder, read_small
from dreamd.files.problems import os_errors_explained, shown
from dreamd.tree.layout import HOUSE, REASON, SIDECAR, Folders, draft_name, reason_path
from dreamd.tree.lock import InboxLock, locked_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dreamd.job import Job


_SEARCH_BYTES = 128  # how much of a name a search goes by: any shortened and numbered form of it begins so

_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class Spool:
    """The steps of a picture through the folders.

    Paths of pictures are relative to the inbox; one that is absolute or holds `..` is refused with a `DreamdError`.
    Every step raises `SpaceError` when a disk or quota is full, and a `DreamdError` that names the path when it has no
    right to a folder or the disk fails. Every step may be tried again, after a kill or an error, and then goes on.
    """

    def __init__(self, folders: Folders, *, share: str | None = None) -> None:
        """The spool of a daemon.

        Args:
            folders: the folders.
            share: a name of this daemon's own when several share the inbox; each keeps what it claimed apart, so that
                none takes another's work for something that a crash left. None: this daemon is alone.
        """
        self.folders = folders
        self._share = share
        self._work_name = "work" if share is None else f"work-{share}"
        self._work = folders.inbox / HOUSE / self._work_name

    @property
    def lock_file(self) -> Path:
        """The file that this daemon alone has locked while it runs; it says which process that is."""
        return self._lock_path("lock" if self._share is None else f"lock-{self._share}")

    def prepare(self) -> None:
        """Makes every folder but the inbox, which may be a disk that is not mounted.

        Raises:
            ConfigError: the inbox is not there.
        """
        inbox = self.folders.inbox
        with os_errors_explained("prepare the folders of", inbox):
            if not inbox.is_dir():
                raise ConfigError(
                    f"the folder {shown(inbox)} is not there: make it, or mount its disk", field=("inbox",)
                )
            for folder in (self.folders.outbox, self.folders.failed, self.folders.done):
                if folder is not None:
                    folder.mkdir(parents=True, exist_ok=True)
            make_folder(self.folders.outbox, [HOUSE])
            make_folder(inbox, [HOUSE, self._work_name])

    def lock(self) -> InboxLock:
        """Takes the inbox for this process, after `prepare`.

        A daemon that shares holds the inbox's lock together with the others, and one of its own. A daemon that does not
        is alone, and takes over what sharing daemons that are gone had claimed.

        Raises:
            DreamdError: another daemon has it, and one of the two does not share.
        """
        if self._share is None:
            lock = InboxLock([locked_file(self.lock_file, fcntl.LOCK_EX, self.folders.inbox)])
            self._take_over()
            return lock
        together = locked_file(self._lock_path("lock"), fcntl.LOCK_SH, self.folders.inbox)
        try:
            own = locked_file(self.lock_file, fcntl.LOCK_EX, self.folders.inbox)
        except BaseException:
            os.close(together)
            raise
        return InboxLock([own, together])

    def claim(self, path: PurePosixPath, job_id: str) -> bool:
        """Takes a picture out of the inbox: one rename to `.dreamd/work/<job_id>/<path>`.

        Nothing is synced: should a power cut undo the rename, then the picture is in the inbox again, and is claimed
        again. A kill before the rename leaves an empty job folder, which `claimed` removes.

        Args:
            path: the picture, relative to the inbox.
            job_id: new; no two claims may share one.

        Returns:
            False when the file is gone, or is no regular file. Symlinks are never followed, on no part of the way.
        """
        parts = relative_parts(path)
        if parts[0] == HOUSE:
            raise DreamdError(f"{shown(path)} is dreamd's own: it cannot be claimed")
        with os_errors_explained("claim", self.folders.inbox / path):
            source = open_folder(self.folders.inbox, parts[:-1])
            if source is None:
                return False
            try:
                return self._take(source, parts, one_name(job_id))
            finally:
                os.close(source)

    def work_path(self, job: Job) -> Path:
        """Where a claimed picture waits."""
        return self._work.joinpath(one_name(job.id), *relative_parts(job.path))

    def claimed(self) -> Iterator[tuple[str, PurePosixPath]]:
        """Everything in work: job ids, oldest first, with the picture's path relative to the inbox.

        This is what recovery goes by. A job that the journal has and this has not was never claimed, or its original
        is put away already. A job that is done in the journal and still here needs `finish` once more. Empty job
        folders, which a kill leaves, are removed on the way.
        """
        with os_errors_explained("read", self._work):
            for job_id in sorted(os.listdir(self._work)):  # noqa: PTH208 names only, and sorted
                home = self._work / job_id
                if not is_folder(home):
                    continue
                # A draft is the start of a copy whose original is still elsewhere.
                unlink_all(home, draft_name(job_id))
                pictures = sorted(files_below(home))
                remove_empty(home)
                for picture in pictures:
                    yield job_id, PurePosixPath(picture)

    def temporary(self, job: Job) -> Path:
        """A fresh, empty folder for a worker's result, on the outbox's filesystem; an earlier attempt's is removed."""
        folder = self._draft_folder(job)
        with os_errors_explained("make", folder):
            self._drop_draft(job)
            # Not synced: a power cut that loses a draft loses nothing.
            make_folder(self.folders.outbox, [HOUSE, folder.name], durable=False)
        return folder

    def draft(self, job: Job, name: str) -> Path:
        """A worker's result in the folder from `temporary`; the name, which a worker gave, is one plain name."""
        return self._draft_folder(job) / one_name(name)

    def result_name(self, job: Job, stem: str, extension: str) -> PurePosixPath:
        """A free name for a result, relative to the outbox: `cat.jpg`, else `cat-2.jpg`, and so on.

        A name is taken when the picture or its sidecar is there. A stem that is too long is cut, at a character, so
        that picture and sidecar both fit in a file name.

        Args:
            job: its folder is the result's folder.
            stem: the name without extension.
            extension: "jpg" or ".jpg".
        """
        suffix = f".{extension.removeprefix('.')}"
        one_name(stem + suffix)
        folder = PurePosixPath(*folder_parts(job.folder))
        target = self.folders.outbox / folder
        with os_errors_explained("look for a free name in", target):
            return folder / next(
                name
                for name in numbered(stem, suffix, reserve=len(SIDECAR))
                if not os.path.lexists(target / name) and not os.path.lexists(target / f"{name}{SIDECAR}")
            )

    def publish(self, job: Job, result: PurePosixPath, picture: Path, sidecar: bytes) -> PurePosixPath:
        """Puts a result into the outbox, whole and never over another file.

        Both files are synced before they get their names. The sidecar, which names the job, comes first: a kill after
        it leaves a sidecar without picture, which `published` removes, and a kill after the picture leaves a result
        that `published` finds. So a job never gets a second result.

        Args:
            job: the job.
            result: the name it shall have, from `result_name`.
            picture: the finished file, in the folder from `temporary`.
            sidecar: the sidecar's JSON, whose field `job` is the job's id.

        Returns:
            The name it got: the next free one, if `result` was taken meanwhile. Publishing again, after a kill or an
            error, gives the name that the job's result has already.
        """
        parts = relative_parts(result)
        with os_errors_explained("publish", self.folders.outbox / result):
            folder = make_folder(self.folders.outbox, parts[:-1])
            record = self._draft_folder(job) / ".sidecar"
            stem, suffix = split_name(parts[-1])
            for name in numbered(stem, suffix, reserve=len(SIDECAR)):
                # Written anew for each name: it is moved where there are no hard links.
                if _has_own_result(folder / name, job.id):
                    break  # an earlier try was cut off, or raised, after it had done its work
                write_new(record, sidecar)
                give_mode(picture, like=record)
                if _publish_as(folder / name, picture, record):
                    break
            unlink(picture)
            unlink(record)
        return PurePosixPath(*parts[:-1], name)

    def published(self, job: Job, stem: str) -> PurePosixPath | None:
        """The job's result in the outbox, if it is there; a sidecar of the job without its picture is removed.

        Without `job.result` it looks through the sidecars of the folder that begin with `stem`, which reads the folder.

        Args:
            job: the job.
            stem: that its result was to be named by.
        """
        with os_errors_explained("look for the result of", self.folders.inbox / job.path):
            for result in self._own_results(job, stem):
                if _has_own_result(result, job.id):
                    return PurePosixPath(result.relative_to(self.folders.outbox))
        return None

    def finish(self, job: Job) -> None:
        """Puts the original of a published job into `done`, or deletes it, and tidies up. Doing it twice is harmless.

        The draft goes first, so that a kill before the rename leaves the original in work and its result in the
        outbox, for `published` and `finish` again, and a kill after it leaves empty folders only.
        """
        original = self.work_path(job)
        with os_errors_explained("put away", original):
            self._drop_draft(job)
            if os.path.lexists(original):
                self._drop_failure(job, original)
                if self.folders.done is None:
                    original.unlink()
                else:
                    self._to_done(self.folders.done, job, original)
            remove_empty(self._work / job.id)

    def fail(self, job: Job, reason: str) -> Path:
        """Puts the original into `failed`, with `<name>.reason.txt` beside it. Doing it twice is harmless.

        The reason comes first: a kill after it leaves the original in work, still claimable, and a reason that names
        the job, which the next `fail` takes over and `finish` removes. So nothing is in `failed` unexplained.

        Returns:
            Where the original is now.

        Raises:
            DreamdError: the original is not in work.
        """
        original = self.work_path(job)
        with os_errors_explained("put away", original):
            self._drop_draft(job)
            kept = self._to_failed(job, original, reason) if os.path.lexists(original) else self._failed_before(job)
            remove_empty(self._work / job.id)
        return kept

    def retry(self, job: Job) -> bool:
        """Takes the original of a failed job back into work and removes its reason; False when it is not there."""
        original = self.work_path(job)
        with os_errors_explained("take back", original):
            for failure in list(self._own_failures(job)):
                if not os.path.lexists(original) and os.path.lexists(failure):
                    make_folder(self._work, [job.id, *folder_parts(job.folder)])
                    _move_original(failure, original, job.id)
                if not os.path.lexists(failure):
                    # A kill before this leaves a reason without picture: `finish` removes it, `fail` takes it over.
                    unlink(reason_path(failure))
        return os.path.lexists(original)

    def is_failed(self, job: Job) -> bool:
        """Whether the original of a failed job is still among the failed ones, so that `retry` would find it."""
        return any(os.path.lexists(failure) for failure in self._own_failures(job))

    def give_back(self, job: Job) -> bool:
        """Puts the original back into the inbox, under another name if its own is taken; False when it is not there."""
        original = self.work_path(job)
        with os_errors_explained("give back", original):
            self._drop_draft(job)
            if not os.path.lexists(original):
                return False
            self._drop_failure(job, original)
            self._return(original, job.path)
            remove_empty(self._work / job.id)
        return True

    def _lock_path(self, name: str) -> Path:
        return self.folders.inbox / HOUSE / name

    def _take_over(self) -> None:
        """Moves what other daemons had claimed into this one's work: none is alive, or the lock would be held."""
        with os_errors_explained("take over", self.folders.inbox / HOUSE):
            for other in sorted((self.folders.inbox / HOUSE).glob("work-*")):
                for home in sorted(other.iterdir()):
                    home.rename(self._work / home.name)
                other.rmdir()

    def _take(self, source: int, parts: Sequence[str], job_id: str) -> bool:
        if not is_regular(parts[-1], source):
            return False
        home = make_folder(self.folders.inbox, [HOUSE, self._work_name]) / job_id
        home.mkdir()  # fails where it exists: a rename into another job's folder could replace its picture
        try:
            target = make_folder(home, parts[:-1], durable=False) / parts[-1]
            os.rename(parts[-1], target, src_dir_fd=source)
        except FileNotFoundError:
            remove_empty(home)
            return False
        except OSError as error:
            remove_empty(home)
            if error.errno == errno.EXDEV:
                raise _another_filesystem(PurePosixPath(*parts)) from error
            raise
        if stat.S_ISREG(target.lstat().st_mode):
            return True
        # Somebody put a symlink there between the look and the rename.
        self._return(target, PurePosixPath(*parts))
        remove_empty(home)
        return False

    def _return(self, original: Path, path: PurePosixPath) -> None:
        parts = relative_parts(path)
        folder = make_folder(self.folders.inbox, parts[:-1])
        for name in numbered(*split_name(parts[-1])):
            with suppress(FileExistsError):
                move_new(original, folder / name)
                break
        sync_folder(folder)

    def _to_done(self, done: Path, job: Job, original: Path) -> None:
        folder = make_folder(done, folder_parts(job.folder))
        for name in numbered(*split_name(job.name)):
            with suppress(FileExistsError):
                _move_original(original, folder / name, job.id)
                return

    def _to_failed(self, job: Job, original: Path, reason: str) -> Path:
        folder = make_folder(self.folders.failed, folder_parts(job.folder))
        text = f"{reason}\n\njob {job.id}\n".encode("utf-8", "backslashreplace")
        for name in numbered(*split_name(job.name), reserve=len(REASON)):
            if _fail_as(folder / name, original, text, job.id):
                break
        return folder / name

    def _failed_before(self, job: Job) -> Path:
        for failure in self._own_failures(job):
            if os.path.lexists(failure):
                return failure
        raise DreamdError(f"{shown(self.work_path(job))} is gone: somebody took it while it was worked on")

    def _own_failures(self, job: Job) -> Iterator[Path]:
        """Where the job's reasons say that its original is or was to be."""
        folder = self.folders.failed.joinpath(*folder_parts(job.folder))
        for reason in _starting_like(folder, split_name(job.name)[0], REASON):
            if _is_own_reason(reason, job.id):
                yield reason.with_name(reason.name.removesuffix(REASON))

    def _drop_failure(self, job: Job, original: Path) -> None:
        """Removes what a killed `fail` left: a reason, a draft and, when it had to copy, the copy."""
        unlink(self.folders.failed.joinpath(*folder_parts(job.folder), draft_name(job.id)))
        for failure in list(self._own_failures(job)):
            if _is_same_picture(original, failure):
                failure.unlink()
            if not os.path.lexists(failure):
                unlink(reason_path(failure))

    def _own_results(self, job: Job, stem: str) -> Iterator[Path]:
        """Where the job's result may be: under its own name first, then under that of any sidecar like it."""
        if job.result is not None:
            yield self.folders.outbox.joinpath(*relative_parts(PurePosixPath(job.result)))
        folder = self.folders.outbox.joinpath(*folder_parts(job.folder))
        for record in _starting_like(folder, stem, SIDECAR):
            yield record.with_name(record.name.removesuffix(SIDECAR))

    def _draft_folder(self, job: Job) -> Path:
        return self.folders.outbox / HOUSE / one_name(job.id)

    def _drop_draft(self, job: Job) -> None:
        with suppress(FileNotFoundError):
            shutil.rmtree(self._draft_folder(job))


def _starting_like(folder: Path, stem: str, ending: str) -> Iterator[Path]:
    """The files of a folder whose names begin as any numbered or shortened form of `stem` does."""
    beginning = shortened(stem, _SEARCH_BYTES)
    try:
        names = os.listdir(folder)  # noqa: PTH208 names only: a folder may hold 100,000
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in sorted(names):
        if name.startswith(beginning) and name.endswith(ending):
            yield folder / name


def _has_own_result(result: Path, job_id: str) -> bool:
    """Whether the job's result is there; its sidecar without a picture, which a kill leaves, is removed."""
    record = result.with_name(f"{result.name}{SIDECAR}")
    if not _is_own_sidecar(record, job_id):
        return False
    if os.path.lexists(result):
        return True
    record.unlink()
    return False


def _is_own_sidecar(path: Path, job_id: str) -> bool:
    text = read_small(path)
    if job_id.encode() not in text:
        return False
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return False  # somebody's own .json
    return isinstance(record, dict) and record.get("job") == job_id


def _is_own_reason(path: Path, job_id: str) -> bool:
    return read_small(path).endswith(f"\njob {job_id}\n".encode())


def _is_same_picture(first: Path, second: Path) -> bool:
    """Whether `second` is the copy that an interrupted move made of `first`."""
    if not os.path.lexists(second):
        return False
    one, other = first.lstat(), second.lstat()
    if not stat.S_ISREG(other.st_mode) or (one.st_size, one.st_mtime_ns) != (other.st_size, other.st_mtime_ns):
        return False
    return filecmp.cmp(first, second, shallow=False)


def _publish_as(target: Path, picture: Path, record: Path) -> bool:
    """Gives sidecar and picture their names; False, and nothing changed, when one of them is taken."""
    note = target.with_name(f"{target.name}{SIDECAR}")
    if os.path.lexists(target):
        return False
    try:
        _place_new(record, note)
    except FileExistsError:
        return False
    # Synced between the two: no power cut may leave the picture without the sidecar that says whose it is.
    sync_folder(target.parent)
    try:
        _place_new(picture, target)
    except FileExistsError:
        note.unlink()
        return False
    except OSError:
        unlink(note)
        raise
    sync_folder(target.parent)
    return True


def _fail_as(kept: Path, original: Path, text: bytes, job_id: str) -> bool:
    """Moves an original to `kept`, its reason first; False when that name is somebody else's."""
    reason = reason_path(kept)
    if os.path.lexists(reason) and not _is_own_reason(reason, job_id):
        return False
    if os.path.lexists(kept) and not _is_same_picture(original, kept):
        return False
    _replace(reason, text, job_id)
    try:
        _move_original(original, kept, job_id)
    except FileExistsError:
        unlink(reason)
        return False
    return True


def _place_new(draft: Path, target: Path) -> None:
    """Gives a draft its name. Raises `FileExistsError` when the name is taken.

    A hard link is the one way that refuses a taken name on every filesystem that has links, NFS too; the caller
    removes the draft's first name once the second is on disk.
    """
    try:
        os.link(draft, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        move_new(draft, target)


def _move_original(original: Path, target: Path, job_id: str) -> None:
    """Moves an original, across filesystems too, and syncs. Raises `FileExistsError` when the name is taken."""
    try:
        move_new(original, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _carry(original, target, job_id)
    sync_folder(target.parent)


def _carry(original: Path, target: Path, job_id: str) -> None:
    """Moves to another filesystem: copy to a draft, sync, rename, remove the original.

    A kill during the copy leaves a draft, which the next try overwrites. A kill after the rename leaves the picture
    twice: the next try knows the copy by its bytes and time, and only removes the original.
    """
    if os.path.lexists(target):
        if not _is_same_picture(original, target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    else:
        draft = target.with_name(draft_name(job_id))
        try:
            copy_durably(original, draft)
            move_new(draft, target)
        except OSError:
            unlink(draft)
            raise
    sync_folder(target.parent)
    original.unlink()


def _replace(path: Path, data: bytes, job_id: str) -> None:
    draft = path.with_name(draft_name(job_id))
    write_new(draft, data)
    os.rename(draft, path)  # noqa: PTH104 beside os.link, as one family
    sync_folder(path.parent)


def _another_filesystem(path: PurePosixPath) -> DreamdError:
    return DreamdError(
        f"cannot claim {shown(path)}: its folder is on another filesystem than the inbox, and a picture is claimed by "
        "a rename; mount the whole inbox as one filesystem, or make that folder the inbox of a dreamd of its own"
    )

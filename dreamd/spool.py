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
import functools
import itertools
import json
import os
import shutil
import socket
import stat
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Protocol, Self

from dreamd.errors import ConfigError, DreamdError, SpaceError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dreamd.job import Job

_HOUSE = ".dreamd"
"""dreamd's own folder in the inbox and in the outbox."""

_SIDECAR = ".json"
_REASON = ".reason.txt"

_NAME_BYTES = 255
_LONGEST_SUFFIX_BYTES = 16  # what follows a later dot is no file type but part of the name
_SEARCH_BYTES = 128  # how much of a name a search goes by: any shortened and numbered form of it begins so
_COPY_BYTES = 1 << 20

_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_NO_RENAMEAT2 = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)
_NO_MODES = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)

_REMEDIES = {
    errno.EACCES: "give the user that runs dreamd the right to read and write there",
    errno.EPERM: "give the user that runs dreamd the right to read and write there",
    errno.EROFS: "make the filesystem writable, or choose another folder in the config",
    errno.EIO: "check the disk or the share: the kernel's log (dmesg) says more",
    errno.ENOENT: "is its disk mounted? make the folder if it is gone for good",
    errno.ESTALE: "mount the share again",
    errno.EXDEV: "two folders that must be on one filesystem are not: unmount what is mounted below",
    errno.ENAMETOOLONG: "shorten the names of the folders on the way",
    errno.ENOTDIR: "one folder on the way is a file or a symlink: rename or remove it",
}


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where pictures go.

    Attributes:
        inbox: where they arrive; the claimed ones wait in `.dreamd/work` below it.
        outbox: where results appear; drafts of them are in `.dreamd` below it.
        failed: where the originals of failed jobs go, each with its reason beside it.
        done: where the originals of done jobs go; None to delete them.
    """

    inbox: Path
    outbox: Path
    failed: Path
    done: Path | None


class InboxLock:
    """The right to work on an inbox, held until `close` or the end of the process."""

    def __init__(self, descriptors: Sequence[int]) -> None:
        self._descriptors = descriptors

    def close(self) -> None:
        """Gives the right back; call it once."""
        for descriptor in self._descriptors:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
        self._work = folders.inbox / _HOUSE / self._work_name

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
        with _explained("prepare the folders of", inbox):
            if not inbox.is_dir():
                raise ConfigError(
                    f"the folder {_shown(inbox)} is not there: make it, or mount its disk", field=("inbox",)
                )
            for folder in (self.folders.outbox, self.folders.failed, self.folders.done):
                if folder is not None:
                    folder.mkdir(parents=True, exist_ok=True)
            _make_folder(self.folders.outbox, [_HOUSE])
            _make_folder(inbox, [_HOUSE, self._work_name])

    def lock(self) -> InboxLock:
        """Takes the inbox for this process, after `prepare`.

        A daemon that shares holds the inbox's lock together with the others, and one of its own. A daemon that does not
        is alone, and takes over what sharing daemons that are gone had claimed.

        Raises:
            DreamdError: another daemon has it, and one of the two does not share.
        """
        if self._share is None:
            lock = InboxLock([_locked(self.lock_file, fcntl.LOCK_EX, self.folders.inbox)])
            self._take_over()
            return lock
        together = _locked(self._lock_path("lock"), fcntl.LOCK_SH, self.folders.inbox)
        try:
            own = _locked(self.lock_file, fcntl.LOCK_EX, self.folders.inbox)
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
        parts = _parts(path)
        if parts[0] == _HOUSE:
            raise DreamdError(f"{_shown(path)} is dreamd's own: it cannot be claimed")
        with _explained("claim", self.folders.inbox / path):
            source = _open_folder(self.folders.inbox, parts[:-1])
            if source is None:
                return False
            try:
                return self._take(source, parts, _one_name(job_id))
            finally:
                os.close(source)

    def work_path(self, job: Job) -> Path:
        """Where a claimed picture waits."""
        return self._work.joinpath(_one_name(job.id), *_parts(job.path))

    def claimed(self) -> Iterator[tuple[str, PurePosixPath]]:
        """Everything in work: job ids, oldest first, with the picture's path relative to the inbox.

        This is what recovery goes by. A job that the journal has and this has not was never claimed, or its original
        is put away already. A job that is done in the journal and still here needs `finish` once more. Empty job
        folders, which a kill leaves, are removed on the way.
        """
        with _explained("read", self._work):
            for job_id in sorted(os.listdir(self._work)):  # noqa: PTH208 names only, and sorted
                home = self._work / job_id
                if not _is_folder(home):
                    continue
                # A draft is the start of a copy whose original is still elsewhere.
                _unlink_all(home, _draft_name(job_id))
                pictures = sorted(_files_below(home))
                _remove_empty(home)
                for picture in pictures:
                    yield job_id, PurePosixPath(picture)

    def temporary(self, job: Job) -> Path:
        """A fresh, empty folder for a worker's result, on the outbox's filesystem; an earlier attempt's is removed."""
        folder = self._draft_folder(job)
        with _explained("make", folder):
            self._drop_draft(job)
            # Not synced: a power cut that loses a draft loses nothing.
            _make_folder(self.folders.outbox, [_HOUSE, folder.name], durable=False)
        return folder

    def draft(self, job: Job, name: str) -> Path:
        """A worker's result in the folder from `temporary`; the name, which a worker gave, is one plain name."""
        return self._draft_folder(job) / _one_name(name)

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
        _one_name(stem + suffix)
        folder = PurePosixPath(*_folder_parts(job.folder))
        target = self.folders.outbox / folder
        with _explained("look for a free name in", target):
            return folder / next(
                name
                for name in _numbered(stem, suffix, reserve=len(_SIDECAR))
                if not os.path.lexists(target / name) and not os.path.lexists(target / f"{name}{_SIDECAR}")
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
        parts = _parts(result)
        with _explained("publish", self.folders.outbox / result):
            folder = _make_folder(self.folders.outbox, parts[:-1])
            record = self._draft_folder(job) / ".sidecar"
            stem, suffix = _split(parts[-1])
            for name in _numbered(stem, suffix, reserve=len(_SIDECAR)):
                # Written anew for each name: it is moved where there are no hard links.
                if _has_own_result(folder / name, job.id):
                    break  # an earlier try was cut off, or raised, after it had done its work
                _write_new(record, sidecar)
                _share(picture, like=record)
                if _publish_as(folder / name, picture, record):
                    break
            _unlink(picture)
            _unlink(record)
        return PurePosixPath(*parts[:-1], name)

    def published(self, job: Job, stem: str) -> PurePosixPath | None:
        """The job's result in the outbox, if it is there; a sidecar of the job without its picture is removed.

        Without `job.result` it looks through the sidecars of the folder that begin with `stem`, which reads the folder.

        Args:
            job: the job.
            stem: that its result was to be named by.
        """
        with _explained("look for the result of", self.folders.inbox / job.path):
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
        with _explained("put away", original):
            self._drop_draft(job)
            if os.path.lexists(original):
                self._drop_failure(job, original)
                if self.folders.done is None:
                    original.unlink()
                else:
                    self._to_done(self.folders.done, job, original)
            _remove_empty(self._work / job.id)

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
        with _explained("put away", original):
            self._drop_draft(job)
            kept = self._to_failed(job, original, reason) if os.path.lexists(original) else self._failed_before(job)
            _remove_empty(self._work / job.id)
        return kept

    def retry(self, job: Job) -> bool:
        """Takes the original of a failed job back into work and removes its reason; False when it is not there."""
        original = self.work_path(job)
        with _explained("take back", original):
            for failure in list(self._own_failures(job)):
                if not os.path.lexists(original) and os.path.lexists(failure):
                    _make_folder(self._work, [job.id, *_folder_parts(job.folder)])
                    _move_original(failure, original, job.id)
                if not os.path.lexists(failure):
                    # A kill before this leaves a reason without picture: `finish` removes it, `fail` takes it over.
                    _unlink(_reason_path(failure))
        return os.path.lexists(original)

    def is_failed(self, job: Job) -> bool:
        """Whether the original of a failed job is still among the failed ones, so that `retry` would find it."""
        return any(os.path.lexists(failure) for failure in self._own_failures(job))

    def give_back(self, job: Job) -> bool:
        """Puts the original back into the inbox, under another name if its own is taken; False when it is not there."""
        original = self.work_path(job)
        with _explained("give back", original):
            self._drop_draft(job)
            if not os.path.lexists(original):
                return False
            self._drop_failure(job, original)
            self._return(original, job.path)
            _remove_empty(self._work / job.id)
        return True

    def _lock_path(self, name: str) -> Path:
        return self.folders.inbox / _HOUSE / name

    def _take_over(self) -> None:
        """Moves what other daemons had claimed into this one's work: none is alive, or the lock would be held."""
        with _explained("take over", self.folders.inbox / _HOUSE):
            for other in sorted((self.folders.inbox / _HOUSE).glob("work-*")):
                for home in sorted(other.iterdir()):
                    home.rename(self._work / home.name)
                other.rmdir()

    def _take(self, source: int, parts: Sequence[str], job_id: str) -> bool:
        if not _is_regular(parts[-1], source):
            return False
        home = _make_folder(self.folders.inbox, [_HOUSE, self._work_name]) / job_id
        home.mkdir()  # fails where it exists: a rename into another job's folder could replace its picture
        try:
            target = _make_folder(home, parts[:-1], durable=False) / parts[-1]
            os.rename(parts[-1], target, src_dir_fd=source)
        except FileNotFoundError:
            _remove_empty(home)
            return False
        except OSError as error:
            _remove_empty(home)
            if error.errno == errno.EXDEV:
                raise _another_filesystem(PurePosixPath(*parts)) from error
            raise
        if stat.S_ISREG(target.lstat().st_mode):
            return True
        # Somebody put a symlink there between the look and the rename.
        self._return(target, PurePosixPath(*parts))
        _remove_empty(home)
        return False

    def _return(self, original: Path, path: PurePosixPath) -> None:
        parts = _parts(path)
        folder = _make_folder(self.folders.inbox, parts[:-1])
        for name in _numbered(*_split(parts[-1])):
            with suppress(FileExistsError):
                _move_new(original, folder / name)
                break
        _sync_folder(folder)

    def _to_done(self, done: Path, job: Job, original: Path) -> None:
        folder = _make_folder(done, _folder_parts(job.folder))
        for name in _numbered(*_split(job.name)):
            with suppress(FileExistsError):
                _move_original(original, folder / name, job.id)
                return

    def _to_failed(self, job: Job, original: Path, reason: str) -> Path:
        folder = _make_folder(self.folders.failed, _folder_parts(job.folder))
        text = f"{reason}\n\njob {job.id}\n".encode("utf-8", "backslashreplace")
        for name in _numbered(*_split(job.name), reserve=len(_REASON)):
            if _fail_as(folder / name, original, text, job.id):
                break
        return folder / name

    def _failed_before(self, job: Job) -> Path:
        for failure in self._own_failures(job):
            if os.path.lexists(failure):
                return failure
        raise DreamdError(f"{_shown(self.work_path(job))} is gone: somebody took it while it was worked on")

    def _own_failures(self, job: Job) -> Iterator[Path]:
        """Where the job's reasons say that its original is or was to be."""
        folder = self.folders.failed.joinpath(*_folder_parts(job.folder))
        for reason in _starting_like(folder, _split(job.name)[0], _REASON):
            if _is_own_reason(reason, job.id):
                yield reason.with_name(reason.name.removesuffix(_REASON))

    def _drop_failure(self, job: Job, original: Path) -> None:
        """Removes what a killed `fail` left: a reason, a draft and, when it had to copy, the copy."""
        _unlink(self.folders.failed.joinpath(*_folder_parts(job.folder), _draft_name(job.id)))
        for failure in list(self._own_failures(job)):
            if _is_same_picture(original, failure):
                failure.unlink()
            if not os.path.lexists(failure):
                _unlink(_reason_path(failure))

    def _own_results(self, job: Job, stem: str) -> Iterator[Path]:
        """Where the job's result may be: under its own name first, then under that of any sidecar like it."""
        if job.result is not None:
            yield self.folders.outbox.joinpath(*_parts(PurePosixPath(job.result)))
        folder = self.folders.outbox.joinpath(*_folder_parts(job.folder))
        for record in _starting_like(folder, stem, _SIDECAR):
            yield record.with_name(record.name.removesuffix(_SIDECAR))

    def _draft_folder(self, job: Job) -> Path:
        return self.folders.outbox / _HOUSE / _one_name(job.id)

    def _drop_draft(self, job: Job) -> None:
        with suppress(FileNotFoundError):
            shutil.rmtree(self._draft_folder(job))


# Names and paths


def _locked(path: Path, kind: int, inbox: Path) -> int:
    """A descriptor that holds a lock. Raises DreamdError, naming the holder, when another process has it."""
    with _explained("lock", path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(descriptor, 512, 0).decode("utf-8", "replace").strip() or "another process"
            os.close(descriptor)
            raise DreamdError(
                f"another dreamd ({holder}) works on {_shown(inbox)}: stop it, give this one an inbox of its own, "
                "or run both with --share and a state folder each"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def _parts(path: PurePosixPath) -> list[str]:
    if path.is_absolute() or not path.parts:
        raise DreamdError(f"{_shown(path)!r} is not a path below a folder")
    return [_one_name(part) for part in path.parts]


def _folder_parts(folder: PurePosixPath) -> list[str]:
    return _parts(folder) if folder.parts else []


def _one_name(name: str) -> str:
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:
        encoded = b""
    if encoded in (b"", b".", b"..") or b"/" in encoded or b"\0" in encoded:
        raise DreamdError(f"{_shown(name)!r} cannot be the name of a file or folder")
    return name


def _shown(path: PurePath | str) -> str:
    """A path as a log or a terminal can bear it: one line, no byte that is no character."""
    return printable(str(path))


def _split(name: str) -> tuple[str, str]:
    """The stem and the suffix, with its dot: `("cat", ".jpg")`."""
    path = PurePosixPath(name)
    if len(os.fsencode(path.suffix)) > _LONGEST_SUFFIX_BYTES:
        return name, ""
    return path.stem, path.suffix


def _numbered(stem: str, suffix: str, reserve: int = 0) -> Iterator[str]:
    """`cat.jpg`, `cat-2.jpg`, … each short enough to be a file name with `reserve` bytes more."""
    for number in itertools.count(1):
        tail = suffix if number == 1 else f"-{number}{suffix}"
        yield _shortened(stem, _NAME_BYTES - reserve - len(os.fsencode(tail))) + tail


def _shortened(text: str, limit: int) -> str:
    while len(os.fsencode(text)) > limit:
        text = text[:-1]
    return text


def _reason_path(picture: Path) -> Path:
    return picture.with_name(f"{picture.name}{_REASON}")


def _draft_name(job_id: str) -> str:
    return f"{_HOUSE}-{job_id}"


# What is there


def _is_regular(name: str, folder: int) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _open_folder(root: Path, parts: Sequence[str]) -> int | None:
    """A descriptor of a folder below `root`, reached without following a symlink; None when it is not there."""
    try:
        descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY)
        for part in parts:
            outer = descriptor
            try:
                descriptor = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=outer)
            finally:
                os.close(outer)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return descriptor


def _files_below(root: Path) -> Iterator[str]:
    """The regular files below a folder, relative to it; symlinks are neither followed nor named."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield os.fspath(path.relative_to(root))


def _starting_like(folder: Path, stem: str, ending: str) -> Iterator[Path]:
    """The files of a folder whose names begin as any numbered or shortened form of `stem` does."""
    beginning = _shortened(stem, _SEARCH_BYTES)
    try:
        names = os.listdir(folder)  # noqa: PTH208 names only: a folder may hold 100,000
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in sorted(names):
        if name.startswith(beginning) and name.endswith(ending):
            yield folder / name


def _has_own_result(result: Path, job_id: str) -> bool:
    """Whether the job's result is there; its sidecar without a picture, which a kill leaves, is removed."""
    record = result.with_name(f"{result.name}{_SIDECAR}")
    if not _is_own_sidecar(record, job_id):
        return False
    if os.path.lexists(result):
        return True
    record.unlink()
    return False


def _is_own_sidecar(path: Path, job_id: str) -> bool:
    text = _read(path)
    if job_id.encode() not in text:
        return False
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return False  # somebody's own .json
    return isinstance(record, dict) and record.get("job") == job_id


def _is_own_reason(path: Path, job_id: str) -> bool:
    return _read(path).endswith(f"\njob {job_id}\n".encode())


def _read(path: Path) -> bytes:
    """A file's bytes; none when it is gone or no regular file."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return b""
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _is_same_picture(first: Path, second: Path) -> bool:
    """Whether `second` is the copy that an interrupted move made of `first`."""
    if not os.path.lexists(second):
        return False
    one, other = first.lstat(), second.lstat()
    if not stat.S_ISREG(other.st_mode) or (one.st_size, one.st_mtime_ns) != (other.st_size, other.st_mtime_ns):
        return False
    return filecmp.cmp(first, second, shallow=False)


# Steps


def _make_folder(root: Path, parts: Sequence[str], *, durable: bool = True) -> Path:
    """Makes the folders below `root`, never `root` itself, and refuses a symlink among them."""
    folder = root
    for part in parts:
        outer, folder = folder, folder / part
        if _is_folder(folder):  # nearly always, and it costs a fifth of a mkdir that fails
            continue
        try:
            folder.mkdir()
        except FileExistsError:
            if not _is_folder(folder):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
        else:
            if durable:
                _sync_folder(outer)
    return folder


def _publish_as(target: Path, picture: Path, record: Path) -> bool:
    """Gives sidecar and picture their names; False, and nothing changed, when one of them is taken."""
    note = target.with_name(f"{target.name}{_SIDECAR}")
    if os.path.lexists(target):
        return False
    try:
        _place_new(record, note)
    except FileExistsError:
        return False
    # Synced between the two: no power cut may leave the picture without the sidecar that says whose it is.
    _sync_folder(target.parent)
    try:
        _place_new(picture, target)
    except FileExistsError:
        note.unlink()
        return False
    except OSError:
        _unlink(note)
        raise
    _sync_folder(target.parent)
    return True


def _fail_as(kept: Path, original: Path, text: bytes, job_id: str) -> bool:
    """Moves an original to `kept`, its reason first; False when that name is somebody else's."""
    reason = _reason_path(kept)
    if os.path.lexists(reason) and not _is_own_reason(reason, job_id):
        return False
    if os.path.lexists(kept) and not _is_same_picture(original, kept):
        return False
    _replace(reason, text, job_id)
    try:
        _move_original(original, kept, job_id)
    except FileExistsError:
        _unlink(reason)
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
        _move_new(draft, target)


def _move_new(source: Path, target: Path) -> None:
    """Renames, in one step so that a picture never has two places. Raises `FileExistsError` when the name is taken."""
    if _rename_if_new(source, target):
        return
    # The last resort, where the filesystem (NFS, FAT by FUSE) cannot refuse a taken name by itself: between look and
    # rename somebody else's file of that very name would be replaced. Of dreamd's own there is one writer, by the lock.
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    os.rename(source, target)  # noqa: PTH104 beside os.link, as one family


def _rename_if_new(source: Path, target: Path) -> bool:
    """Renames where no file is replaced; False where kernel, libc or filesystem have no such rename."""
    import ctypes

    renameat2 = _renameat2()
    if renameat2 is None:
        return False
    here, noreplace = -100, 1  # AT_FDCWD, RENAME_NOREPLACE
    if renameat2(here, os.fsencode(source), here, os.fsencode(target), noreplace) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_RENAMEAT2:
        return False
    raise OSError(code, os.strerror(code), str(source), None, str(target))


class _Renameat2(Protocol):
    def __call__(self, source_folder: int, source: bytes, target_folder: int, target: bytes, flags: int, /) -> int: ...


@functools.cache
def _renameat2() -> _Renameat2 | None:
    import ctypes  # on demand: the command line never moves a picture

    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    renameat2: _Renameat2 = call
    return renameat2


def _move_original(original: Path, target: Path, job_id: str) -> None:
    """Moves an original, across filesystems too, and syncs. Raises `FileExistsError` when the name is taken."""
    try:
        _move_new(original, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _carry(original, target, job_id)
    _sync_folder(target.parent)


def _carry(original: Path, target: Path, job_id: str) -> None:
    """Moves to another filesystem: copy to a draft, sync, rename, remove the original.

    A kill during the copy leaves a draft, which the next try overwrites. A kill after the rename leaves the picture
    twice: the next try knows the copy by its bytes and time, and only removes the original.
    """
    if os.path.lexists(target):
        if not _is_same_picture(original, target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    else:
        draft = target.with_name(_draft_name(job_id))
        try:
            _copy(original, draft)
            _move_new(draft, target)
        except OSError:
            _unlink(draft)
            raise
    _sync_folder(target.parent)
    original.unlink()


def _copy(source: Path, target: Path) -> None:
    """Copies bytes, mode and times, and syncs."""
    _unlink(target)
    with source.open("rb") as reader, target.open("xb") as writer:
        shutil.copyfileobj(reader, writer, _COPY_BYTES)
        writer.flush()
        status = os.fstat(reader.fileno())
        try:
            os.fchmod(writer.fileno(), stat.S_IMODE(status.st_mode))
            os.utime(writer.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
        except OSError as error:
            if error.errno not in _NO_MODES:  # FAT and some shares keep none; the bytes are what counts
                raise
        os.fsync(writer.fileno())


def _replace(path: Path, data: bytes, job_id: str) -> None:
    draft = path.with_name(_draft_name(job_id))
    _write_new(draft, data)
    os.rename(draft, path)  # noqa: PTH104 beside os.link, as one family
    _sync_folder(path.parent)


def _write_new(path: Path, data: bytes) -> None:
    """Writes and syncs a new file with the mode that the umask gives.

    An old one is unlinked, not truncated: it may be a second name of something published.
    """
    _unlink(path)
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        _unlink(path)
        raise


def _share(picture: Path, *, like: Path) -> None:
    """Gives a picture the mode of an ordinary new file, where `tempfile` gave 0600, and syncs it."""
    descriptor = os.open(picture, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        wanted = stat.S_IMODE(like.stat().st_mode)
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != wanted:
            try:
                os.fchmod(descriptor, wanted)
            except OSError as error:
                if error.errno not in _NO_MODES:
                    raise
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _SharedSyncs:
    """Syncs folders for many threads at once: those that come while a folder is being synced share the next sync.

    Each is served by a sync that began after it had come, so that what it did before is on disk.
    """

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._begun: Counter[Path] = Counter()
        self._ended: Counter[Path] = Counter()
        self._inside: Counter[Path] = Counter()
        self._running: set[Path] = set()

    def __call__(self, folder: Path) -> None:
        with self._turn:
            self._inside[folder] += 1
            wanted = self._begun[folder] + 1
            self._turn.wait_for(lambda: folder not in self._running or self._ended[folder] >= wanted)
            if self._ended[folder] >= wanted:
                self._leave(folder)
                return
            number = self._begun[folder] = self._begun[folder] + 1
            self._running.add(folder)
        try:
            _sync_now(folder)
            self._ended[folder] = number  # one that failed serves nobody else: they try for themselves
        finally:
            with self._turn:
                self._running.remove(folder)
                self._leave(folder)
                self._turn.notify_all()

    def _leave(self, folder: Path) -> None:
        self._inside[folder] -= 1
        if not self._inside[folder]:
            for counts in (self._inside, self._begun, self._ended):
                del counts[folder]


_shared_syncs = _SharedSyncs()


def _sync_folder(folder: Path) -> None:
    """Have what was done in a folder survive a power cut."""
    _shared_syncs(folder)


def _sync_now(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some shares cannot sync a folder, and have nothing to sync
            raise
    finally:
        os.close(descriptor)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


def _unlink_all(root: Path, name: str) -> None:
    for folder, _, names in os.walk(root):
        if name in names:
            Path(folder, name).unlink()


def _remove_empty(root: Path) -> None:
    """Removes a tree of empty folders; what is not empty stays."""
    for folder, _, _ in os.walk(root, topdown=False):
        try:
            os.rmdir(folder)  # noqa: PTH106 os.walk gives str
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise


# Errors


@contextmanager
def _explained(doing: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _explanation(error, doing, path) from error


def _explanation(error: OSError, doing: str, path: Path) -> DreamdError:
    what = f"cannot {doing} {_shown(path)}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        full = "the quota is used up" if error.errno == errno.EDQUOT else "the disk is full"
        return SpaceError(f"{what}: {full}; free some space, and it goes on")
    where = f" ({_shown(error.filename)})" if isinstance(error.filename, str) and error.filename != str(path) else ""
    remedy = _REMEDIES.get(error.errno or 0, "see that the folder is there and usable")
    return DreamdError(f"{what}: {error.strerror or error}{where}; {remedy}")


def _another_filesystem(path: PurePosixPath) -> DreamdError:
    return DreamdError(
        f"cannot claim {_shown(path)}: its folder is on another filesystem than the inbox, and a picture is claimed by "
        "a rename; mount the whole inbox as one filesystem, or make that folder the inbox of a dreamd of its own"
    )

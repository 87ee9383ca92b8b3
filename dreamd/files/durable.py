"""Steps on files that survive a power cut and never overwrite: rename, link, copy, write."""

from __future__ import annotations

import errno
import functools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from dreamd.files.names import shortened
from dreamd.files.nofollow import Entry
from dreamd.files.problems import os_errors_explained
from dreamd.files.syncs import sync_folder

_COPY_BYTES = 1 << 20

_BLOCK_BYTES = 512
"""A file's `st_blocks` counts in units of so many bytes, on every filesystem (stat(2))."""

_DRAFT_STEM_BYTES = 180
"""A draft keeps so much of its target's name, which leaves room for what makes it a draft."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_RENAME_NOREPLACE = 1

_NO_RENAMEAT2 = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)
"""What kernel, libc or filesystem answer that have no rename that refuses a taken name."""

_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)

_NO_MODES = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""What FAT and some shares answer, which keep no modes; the bytes are what counts."""

_COARSEST_TIME_NS = 2 * 10**9
"""The coarsest steps in which a filesystem keeps the time of change, in nanoseconds: those of FAT."""

# Names


def rename_new(source: Entry, target: Entry) -> None:
    """Rename in one step, so that a file never has two places. Raises FileExistsError when the name is taken."""
    if _rename_if_new(source, target):
        return
    # The last resort, where the filesystem (NFS, FAT by FUSE) cannot refuse a taken name by itself: between look and
    # rename somebody else's file of that very name would be replaced. Of dreamd's own there is one writer, by the lock.
    if target.is_there():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target.name)
    os.rename(source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder)


def _rename_if_new(source: Entry, target: Entry) -> bool:
    """Rename where no file is replaced; False where there is no such rename, and nothing was done."""
    renameat2 = _renameat2()
    if renameat2 is None:
        return False
    names = os.fsencode(source.name), os.fsencode(target.name)
    if renameat2(source.folder, names[0], target.folder, names[1], _RENAME_NOREPLACE) == 0:
        return True
    code = _last_errno()
    if code in _NO_RENAMEAT2:
        return False
    raise OSError(code, os.strerror(code), source.name, None, target.name)


def _last_errno() -> int:
    import ctypes

    return ctypes.get_errno()


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


def place_new(draft: Entry, target: Entry) -> None:
    """Give a draft its name. Raises FileExistsError when the name is taken.

    A hard link is the one way that refuses a taken name on every filesystem that has links, NFS too; the caller
    removes the draft's first name once the second is on disk.
    """
    try:
        os.link(draft.name, target.name, src_dir_fd=draft.folder, dst_dir_fd=target.folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        rename_new(draft, target)


# Bytes


def write_new(entry: Entry, data: bytes | memoryview) -> None:
    """Write and sync a new file with the mode that the umask gives.

    An old one is unlinked, not truncated: it may be a second name of something published. Raises FileExistsError for
    a device, a folder or a symlink, which stays.
    """
    if entry.is_regular():
        entry.unlink()
    try:
        with _new_file(entry) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise
    except OSError:
        entry.unlink()
        raise


def replace(entry: Entry, data: bytes, draft_name: str | None = None) -> None:
    """Give a file these bytes: whoever reads it meanwhile sees the old ones or the new ones, whole and on disk.

    Args:
        entry: the file; it may be new.
        data: its bytes.
        draft_name: what to call the draft beside it that a kill leaves; by default no two are the same.
    """
    draft = entry.beside(draft_name or _draft_name(entry.name, os.urandom(6).hex()))
    write_new(draft, data)
    try:
        os.rename(draft.name, entry.name, src_dir_fd=draft.folder, dst_dir_fd=entry.folder)
    except OSError:
        draft.unlink()
        raise
    sync_folder(entry.folder)


@contextmanager
def opened_durably(target: Path) -> Iterator[BinaryIO]:
    """Open a file to write and to read, emptied, and wait at the end until the disk has it. No link is followed.

    The folder's entry is the caller's to sync.

    Raises:
        SpaceError: the disk or the quota is full.
        FolderError: the disk refuses something else.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os_errors_explained("write", target), os.fdopen(os.open(target, flags, 0o666), "w+b") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def draft_of(target: Path, *, durable: bool) -> Iterator[Path]:
    """Write a file whole or not at all, for what writes to a path.

    Args:
        target: the file; it may be new.
        durable: have it survive a power cut, and let several processes write it at once. Else one process may, and its
            draft has a fixed name, so that kills leave one draft at most.

    Yields:
        The path to write to. When the block ends it takes the name `target`; when it raises, it is removed.
    """
    draft = target.with_name(_draft_name(target.name, os.urandom(6).hex())) if durable else only_draft_of(target)
    try:
        yield draft
        if durable:
            _sync_path(draft)
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    if durable:
        _sync_path(target.parent)


def only_draft_of(target: Path) -> Path:
    """Return where `draft_of` writes a draft that is not durable, which a kill may leave."""
    return target.with_name(_draft_name(target.name, ""))


def _sync_path(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            sync_folder(descriptor)
        else:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _draft_name(name: str, token: str) -> str:
    """Return a hidden name that no watcher takes for a picture."""
    return f".{shortened(name, _DRAFT_STEM_BYTES)}{token and f'.{token}'}.part"


def copy_new(source: Entry, target: Entry) -> None:
    """Copy bytes, holes, mode and times into a new file, and sync it; a file that had the name is unlinked.

    Raises:
        OSError: among others ENOSPC, before anything is written, when the disk has no room for it.
    """
    if target.is_regular():
        target.unlink()
    with source.open() as reader, _new_file(target) as writer:
        status = os.fstat(reader.fileno())
        _check_room(target.folder, taken_bytes(status))
        _copy_data(reader.fileno(), writer.fileno(), status.st_size)
        with _as_far_as_kept():
            os.fchmod(writer.fileno(), stat.S_IMODE(status.st_mode))
        with _as_far_as_kept():
            os.utime(writer.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(writer.fileno())


@contextmanager
def _as_far_as_kept() -> Iterator[None]:
    """Set a mode or times inside; a filesystem that keeps none may refuse them."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_MODES:
            raise


def taken_bytes(status: os.stat_result) -> int:
    """Return how much of a disk a file takes at most: its length, or less where it has holes."""
    return min(status.st_size, status.st_blocks * _BLOCK_BYTES)


def _check_room(folder: int, wanted: int) -> None:
    disk = os.fstatvfs(folder)
    if disk.f_blocks and disk.f_bavail * disk.f_frsize < wanted:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _copy_data(source: int, target: int, size: int) -> None:
    """Copy what is no hole."""
    end = 0
    while (start := _next_data(source, end, size)) < size:
        end = os.lseek(source, start, os.SEEK_HOLE)
        _copy_range(source, target, start, end)
    os.ftruncate(target, size)


def _next_data(source: int, position: int, size: int) -> int:
    try:
        return os.lseek(source, position, os.SEEK_DATA) if position < size else size
    except OSError as error:
        if error.errno == errno.ENXIO:  # there is a hole up to the end
            return size
        raise


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    while start < end and (chunk := os.pread(source, min(_COPY_BYTES, end - start), start)):
        start += os.pwrite(target, chunk, start)


def _new_file(entry: Entry) -> BinaryIO:
    return os.fdopen(os.open(entry.name, _NEW, 0o666, dir_fd=entry.folder), "wb")


def is_same_file(first: Entry, second: Entry) -> bool:
    """Tell whether `second` is a whole copy of `first`: all bytes, and the time of change as far as it is kept."""
    one, other = first.status(), second.status()
    if one is None or other is None or not stat.S_ISREG(other.st_mode):
        return False
    if one.st_size != other.st_size or abs(one.st_mtime_ns - other.st_mtime_ns) > _COARSEST_TIME_NS:
        return False
    with first.open() as mine, second.open() as theirs:
        while chunk := mine.read(_COPY_BYTES):
            if theirs.read(len(chunk)) != chunk:
                return False
    return True


def sync_file(entry: Entry, *, mode_of: Entry) -> None:
    """Sync a file, and give it the mode of another where it has not got it: `tempfile` makes files of mode 0600."""
    descriptor = os.open(entry.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=entry.folder)
    try:
        wanted = os.stat(mode_of.name, dir_fd=mode_of.folder, follow_symlinks=False)
        set_mode(descriptor, os.fstat(descriptor), wanted)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_mode(descriptor: int, status: os.stat_result, like: os.stat_result) -> None:
    """Give an open file, of which this is the status, the mode of another, as far as its filesystem keeps modes."""
    wanted = stat.S_IMODE(like.st_mode)
    if stat.S_IMODE(status.st_mode) != wanted:
        with _as_far_as_kept():
            os.fchmod(descriptor, wanted)

"""Steps on files that survive a power cut and never overwrite."""

from __future__ import annotations

import errno
import functools
import os
import shutil
import stat
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dreamd.files.nofollow import is_folder, is_there_at

if TYPE_CHECKING:
    from collections.abc import Sequence


_COPY_BYTES = 1 << 20

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_NO_RENAMEAT2 = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)

_NO_MODES = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)

# Steps


def make_folder(root: Path, parts: Sequence[str], *, durable: bool = True) -> Path:
    """Makes the folders below `root`, never `root` itself, and refuses a symlink among them."""
    folder = root
    for part in parts:
        outer, folder = folder, folder / part
        if is_folder(folder):  # nearly always, and it costs a fifth of a mkdir that fails
            continue
        try:
            folder.mkdir()
        except FileExistsError:
            if not is_folder(folder):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
        else:
            if durable:
                sync_folder(outer)
    return folder


def move_new(source: Path, target: Path) -> None:
    """Renames, in one step so that a picture never has two places. Raises `FileExistsError` when the name is taken."""
    if _rename_if_new(source, target, _AT_FDCWD, _AT_FDCWD):
        return
    # The last resort, where the filesystem (NFS, FAT by FUSE) cannot refuse a taken name by itself: between look and
    # rename somebody else's file of that very name would be replaced. Of dreamd's own there is one writer, by the lock.
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    os.rename(source, target)  # noqa: PTH104 beside os.link, as one family


def _rename_if_new(source: Path | str, target: Path | str, source_folder: int, target_folder: int) -> bool:
    """Rename where no file is replaced; False where kernel, libc or filesystem have no such rename."""
    renameat2 = _renameat2()
    if renameat2 is None:
        return False
    if renameat2(source_folder, os.fsencode(source), target_folder, os.fsencode(target), _RENAME_NOREPLACE) == 0:
        return True
    code = _last_errno()
    if code in _NO_RENAMEAT2:
        return False
    raise OSError(code, os.strerror(code), str(source), None, str(target))


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


def copy_durably(source: Path, target: Path) -> None:
    """Copies bytes, mode and times, and syncs."""
    unlink(target)
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


def write_new(path: Path, data: bytes) -> None:
    """Writes and syncs a new file with the mode that the umask gives.

    An old one is unlinked, not truncated: it may be a second name of something published.
    """
    unlink(path)
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        unlink(path)
        raise


def give_mode(picture: Path, *, like: Path) -> None:
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


def sync_folder(folder: Path) -> None:
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


def unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


def unlink_all(root: Path, name: str) -> None:
    for folder, _, names in os.walk(root):
        if name in names:
            Path(folder, name).unlink()


def remove_empty(root: Path) -> None:
    """Removes a tree of empty folders; what is not empty stays."""
    for folder, _, _ in os.walk(root, topdown=False):
        try:
            os.rmdir(folder)  # noqa: PTH106 os.walk gives str
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise


def write_over(folder: int, name: str, data: bytes) -> None:
    """Give a file these bytes: whoever reads it meanwhile sees the old ones or the new ones, whole and on disk."""
    draft = f".{name}.{os.urandom(6).hex()}.new"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(draft, dir_fd=folder)
        raise
    os.fsync(folder)


def rename_new_at(source_folder: int, source: str, folder: int, name: str) -> None:
    """Rename a file to where nothing of that name is. Raises FileExistsError when something is."""
    if _rename_if_new(source, name, source_folder, folder):
        return
    # The last resort, where kernel or filesystem have no such rename (NFS): look, then rename.
    if is_there_at(name, folder):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    os.rename(source, name, src_dir_fd=source_folder, dst_dir_fd=folder)

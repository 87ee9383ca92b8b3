"""Files below a folder, reached one name at a time and never through a symlink.

What a browser asks for and sends is handled as a picture's own name is: data, which must not lead out of the folder it
belongs to, whatever it says and whoever changes the folders meanwhile.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dreamd.errors import UsageError, printable

NAME_BYTES = 255
_DEEPEST = 32
_NOREPLACE = 1  # RENAME_NOREPLACE of renameat2(2)
_NO_RENAMEAT2 = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


def parts_of(path: str) -> tuple[str, ...]:
    """The names of a relative path, () for "." and "". Raises UsageError for a path that leads anywhere else."""
    if path in ("", "."):
        return ()
    parts = tuple(path.split("/"))
    if len(parts) > _DEEPEST:
        raise UsageError("there are too many folders in one another")
    for part in parts:
        check_name(part)
    return parts


def check_name(name: str) -> None:
    """Raises UsageError for what cannot be the name of one visible file or folder."""
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError as error:
        raise UsageError(f"{printable(name)!r} holds half a character") from error
    if not encoded or encoded.startswith(b".") or b"/" in encoded or b"\0" in encoded:
        raise UsageError(f"{printable(name)!r} cannot be the name of a file or folder here")
    if len(encoded) > NAME_BYTES:
        raise UsageError(f"the name {printable(name[:40])!r}… is longer than {NAME_BYTES} bytes")


@contextmanager
def opened_folder(root: Path, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """A descriptor of a folder below `root`, which may itself be reached as the operator likes.

    Args:
        root: where to begin.
        parts: names, from `parts_of`.
        make: make the folders that are missing.

    Raises:
        OSError: a folder is not there, is a file or a symlink, or cannot be opened or made.
    """
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=descriptor)
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def opened_file(root: Path, path: PurePosixPath) -> BinaryIO:
    """A regular file below `root`, open for reading.

    Raises:
        OSError: it is not there, is reached through a symlink, is no regular file, or cannot be read.
    """
    *folders, name = path.parts
    with opened_folder(root, folders) as folder:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def folders_below(root: Path, limit: int) -> list[str]:
    """The visible folders below `root` in order, relative to it, "." first; at most so many, the uppermost."""
    found, level = ["."], ["."]
    while level and len(found) < limit:
        level = sorted(inner for folder in level for inner in _inner_folders(root, folder))
        found += level
    return sorted(found[:limit], key=lambda folder: PurePosixPath(folder).parts)


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


def move_new(source_folder: int, source: str, folder: int, name: str) -> None:
    """Rename a file to where nothing of that name is. Raises FileExistsError when something is."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is not None:
        if call(source_folder, os.fsencode(source), folder, os.fsencode(name), _NOREPLACE) == 0:
            return
        code = ctypes.get_errno()
        if code not in _NO_RENAMEAT2:
            raise OSError(code, os.strerror(code), name)
    # The last resort, where kernel or filesystem have no such rename (NFS): look, then rename.
    if _is_there(name, folder):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    os.rename(source, name, src_dir_fd=source_folder, dst_dir_fd=folder)


def _is_there(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _inner_folders(root: Path, folder: str) -> Iterator[str]:
    try:
        with os.scandir(root / folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                    yield entry.name if folder == "." else f"{folder}/{entry.name}"
    except OSError:  # gone meanwhile, or not for dreamd to look into: the daemon says so
        return

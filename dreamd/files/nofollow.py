"""Files below a folder, reached one name at a time and never through a symlink."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


# What is there


def is_regular(name: str, folder: int) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def open_folder(root: Path, parts: Sequence[str]) -> int | None:
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


def files_below(root: Path) -> Iterator[str]:
    """The regular files below a folder, relative to it; symlinks are neither followed nor named."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield os.fspath(path.relative_to(root))


def read_small(path: Path) -> bytes:
    """A file's bytes; none when it is gone or no regular file."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return b""
        return path.read_bytes()
    except FileNotFoundError:
        return b""


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


def is_there_at(name: str, folder: int) -> bool:
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

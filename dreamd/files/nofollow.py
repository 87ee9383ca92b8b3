"""Files and folders reached one name at a time from an open folder, and never through a symlink.

A folder is a descriptor, and a file is a name in an open folder (`Entry`), so that nobody who may write into a folder
on the way can lead a step elsewhere between a look and a deed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dreamd.files.syncs import sync_folder

if TYPE_CHECKING:
    from io import BufferedReader

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""How a file is opened for reading: a FIFO, which is refused then, must not make the opener wait."""


_ACCESS_LIST = "system.posix_acl_access"
"""This attribute of a folder holds rights in addition to its mode."""

_DEFAULT_LIST = "system.posix_acl_default"
"""This attribute of a folder holds the rights that what is made in it inherits."""

_NO_RIGHTS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""FAT and some shares, which keep no rights, answer so."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in an open folder.

    Attributes:
        folder: the descriptor of the folder, open for as long as the entry is used.
        name: one name; there may be nothing of that name.
    """

    folder: int
    name: str

    def beside(self, name: str) -> Entry:
        """Return another name in the same folder."""
        return Entry(self.folder, name)

    def status(self) -> os.stat_result | None:
        """Return what is known of what bears the name, be it a symlink; None when nothing does."""
        try:
            return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def is_there(self) -> bool:
        """Tell whether anything bears the name."""
        return self.status() is not None

    def is_regular(self) -> bool:
        """Tell whether a regular file bears the name."""
        status = self.status()
        return status is not None and stat.S_ISREG(status.st_mode)

    def unlink(self) -> None:
        """Remove the file of this name, if there is one."""
        try:
            os.unlink(self.name, dir_fd=self.folder)
        except FileNotFoundError:
            return

    def open(self) -> BufferedReader:
        """Open the file for reading. Raises OSError when it is not there, or is no regular file."""
        descriptor = os.open(self.name, _FILE, dir_fd=self.folder)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "is no regular file", self.name)
        return os.fdopen(descriptor, "rb")

    def read(self) -> bytes:
        """Return the file's bytes, none when there is no regular file of the name. For small files."""
        if not self.is_regular():
            return b""
        try:
            with self.open() as file:
                return file.read()
        except FileNotFoundError:
            return b""


@contextmanager
def opened_folder(
    root: Path | int, parts: Sequence[str] = (), *, make: bool = False, durable: bool = True
) -> Iterator[int]:
    """Open a folder below `root`.

    Args:
        root: where to begin: an open folder, or a path, reached as the operator likes; it is never made.
        parts: names, each checked before.
        make: make the folders that are missing.
        durable: have a folder that is made survive a power cut.

    Yields:
        The descriptor, open for reading.

    Raises:
        OSError: a folder is not there, is a file or a symlink, or cannot be opened or made; it names the folder.
    """
    descriptor = os.dup(root) if isinstance(root, int) else os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for depth, part in enumerate(parts, 1):
            try:
                inner = _opened_inner(descriptor, part, make=make, durable=durable)
            except OSError as error:
                place = Path(*parts[:depth]) if isinstance(root, int) else root.joinpath(*parts[:depth])
                raise OSError(error.errno, error.strerror, str(place)) from error
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _opened_inner(folder: int, name: str, *, make: bool, durable: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
    try:
        os.mkdir(name, dir_fd=folder)
    except FileExistsError:  # somebody else was quicker
        return os.open(name, _FOLDER, dir_fd=folder)
    if durable:
        sync_folder(folder)
    return os.open(name, _FOLDER, dir_fd=folder)


@contextmanager
def opened_folder_if_there(root: Path | int, parts: Sequence[str], *, strict: bool = False) -> Iterator[int | None]:
    """Open a folder as `opened_folder` does; yields None when one below `root` is not there, or is no folder.

    Args:
        root: where to begin.
        parts: names, each checked before.
        strict: what is no folder, such as a symlink, is an error.

    Raises:
        OSError: `root` itself is not there, or a folder cannot be opened.
    """
    absences = (FileNotFoundError,) if strict else (FileNotFoundError, NotADirectoryError)
    with ExitStack() as stack:
        begin = stack.enter_context(opened_folder(root))
        try:
            descriptor = stack.enter_context(opened_folder(begin, parts))
        except absences:
            descriptor = None
        yield descriptor


def opened_file(root: Path, path: PurePosixPath) -> BufferedReader:
    """Open a regular file below `root` for reading.

    Raises:
        OSError: it is not there, is reached through a symlink, is no regular file, or cannot be read; or no file can
            have such a name.
    """
    try:
        *folders, name = path.parts
        with opened_folder(root, folders) as folder:
            return Entry(folder, name).open()
    except ValueError as error:  # an empty path, a null byte or half a character
        raise OSError(errno.EINVAL, "no file can have such a name", str(path)) from error


def path_in(folder: int, name: str) -> Path:
    """Return a path to a name in an open folder, for what takes paths; it leads there as long as the folder is open."""
    return Path(f"/proc/self/fd/{folder}", name)


def make_private(folder: int, *, heritable: bool) -> None:
    """Have nobody but the owner enter an open folder, as far as its filesystem keeps rights and dreamd is the owner.

    Args:
        folder: the folder.
        heritable: what is made in it still inherits the group and the list of rights that the folder itself inherited.
    """
    status = os.fstat(folder)
    if status.st_uid != os.geteuid():
        return
    for attribute in (_ACCESS_LIST,) if heritable else (_ACCESS_LIST, _DEFAULT_LIST):
        try:
            os.removexattr(folder, attribute)
        except OSError as error:
            if error.errno not in (errno.ENODATA, *_NO_RIGHTS):
                raise
    mode = 0o700 | (status.st_mode & stat.S_ISGID if heritable else 0)
    if stat.S_IMODE(status.st_mode) != mode:
        try:
            os.fchmod(folder, mode)
        except OSError as error:
            if error.errno not in _NO_RIGHTS:
                raise


def names_in(folder: int) -> list[str]:
    """Return the names of all that is in an open folder, in order."""
    return sorted(os.listdir(folder))


def files_below(folder: int) -> Iterator[PurePosixPath]:
    """Yield the regular files below an open folder, relative to it; symlinks are neither followed nor named."""
    for place, _, names, descriptor in os.fwalk(".", dir_fd=folder):
        for name in names:
            if Entry(descriptor, name).is_regular():
                yield PurePosixPath(place, name)


def remove_empty_folders(entry: Entry) -> None:
    """Remove a tree of empty folders, if it is there; what is not empty stays."""
    if not entry.is_there():
        return
    for _, folders, _, descriptor in os.fwalk(entry.name, topdown=False, dir_fd=entry.folder):
        for name in folders:
            _remove_if_empty(Entry(descriptor, name))
    _remove_if_empty(entry)


def remove_if_empty_upwards(root: int, parts: Sequence[str]) -> None:
    """Remove a folder below an open one if it is empty, then those above it that are empty then."""
    for depth in range(len(parts), 0, -1):
        with opened_folder_if_there(root, parts[: depth - 1]) as folder:
            if folder is not None and not _remove_if_empty(Entry(folder, parts[depth - 1])):
                return


def _remove_if_empty(entry: Entry) -> bool:
    """Remove a folder if it is empty; return whether it is not there any more."""
    try:
        os.rmdir(entry.name, dir_fd=entry.folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR):
            raise
        return error.errno == errno.ENOENT
    return True


def folders_below(root: Path, limit: int) -> list[str]:
    """Return the visible folders below `root` in order, relative to it, "." first; at most `limit`, the uppermost."""
    found, level = ["."], ["."]
    while level and len(found) < limit:
        level = sorted(inner for folder in level for inner in _inner_folders(root, folder))
        found += level
    return sorted(found[:limit], key=lambda folder: PurePosixPath(folder).parts)


def _inner_folders(root: Path, folder: str) -> Iterator[str]:
    try:
        with os.scandir(root / folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                    yield entry.name if folder == "." else f"{folder}/{entry.name}"
    except OSError:  # gone meanwhile, or not for dreamd to look into: the daemon says so
        return

"""What the operating system refused, in words. The only place where an OSError becomes a sentence."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from dreamd.errors import DreamdError, FolderError, SpaceError
from dreamd.wording import printable

_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up"}

_RIGHTS = "give the user that runs dreamd the right to read and write there"

_REMEDIES = {
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "make the filesystem writable, or choose another folder in the config",
    errno.EIO: "check the disk or the share: the kernel's log (dmesg) says more",
    errno.ENOENT: "is its disk mounted? make the folder if it is gone for good",
    errno.ESTALE: "mount the share again",
    errno.EXDEV: "two folders that must be on one filesystem are not: unmount what is mounted below",
    errno.ENAMETOOLONG: "shorten the names of the folders on the way",
    errno.ENOTDIR: "one folder on the way is a file or a symlink: rename or remove it",
}


def shown(path: PurePath | str) -> str:
    """Return a path as a log or a terminal can bear it: one line, no byte that is no character."""
    return printable(str(path))


def is_full(error: OSError) -> bool:
    """Tell whether a disk or a quota has no room left."""
    return error.errno in _FULL


def refusal(error: OSError) -> str:
    """Return what was refused, as the system says it: `Permission denied`."""
    return printable(error.strerror or str(error) or type(error).__name__)


@contextmanager
def os_errors_explained(doing: str, path: Path) -> Iterator[None]:
    """Raise what the block is refused as `os_error_explained` says it."""
    try:
        yield
    except OSError as error:
        raise os_error_explained(error, doing, path) from error


def os_error_explained(error: OSError, doing: str, path: PurePath | str) -> DreamdError:
    """Return an error that names the path, what was refused and what to do.

    Args:
        error: the refusal.
        doing: what was tried: "publish".
        path: what it was tried with.

    Returns:
        A SpaceError when there is no room left, else a FolderError.
    """
    what = f"cannot {doing} {shown(path)}"
    if is_full(error):
        return SpaceError(f"{what}: {_FULL[error.errno or 0]}; free some space, and it goes on")
    where = f" ({shown(error.filename)})" if isinstance(error.filename, str) and error.filename != str(path) else ""
    remedy = _REMEDIES.get(error.errno or 0, "see that the folder is there and usable")
    return FolderError(f"{what}: {refusal(error)}{where}; {remedy}")

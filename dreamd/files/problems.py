"""What the operating system refused, in words."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from dreamd.errors import DreamdError, SpaceError
from dreamd.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator


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


def shown(path: PurePath | str) -> str:
    """A path as a log or a terminal can bear it: one line, no byte that is no character."""
    return printable(str(path))


# Errors


@contextmanager
def os_errors_explained(doing: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise os_error_explained(error, doing, path) from error


def os_error_explained(error: OSError, doing: str, path: Path) -> DreamdError:
    what = f"cannot {doing} {shown(path)}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        full = "the quota is used up" if error.errno == errno.EDQUOT else "the disk is full"
        return SpaceError(f"{what}: {full}; free some space, and it goes on")
    where = f" ({shown(error.filename)})" if isinstance(error.filename, str) and error.filename != str(path) else ""
    remedy = _REMEDIES.get(error.errno or 0, "see that the folder is there and usable")
    return DreamdError(f"{what}: {error.strerror or error}{where}; {remedy}")

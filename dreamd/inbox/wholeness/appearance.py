"""How a file appears at one moment: its stamp, whether somebody writes it, whether its bytes are all there."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from dreamd.inbox.dream_files import is_dream_file
from dreamd.inbox.wholeness.judging import Wholeness, judge
from dreamd.inbox.wholeness.leases import has_writer


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a file appears.

    Attributes:
        stamp: one number, which is another when the file has changed.
        has_writer: whether somebody writes it; None when nobody can say.
        wholeness: what its bytes say of themselves; unknown while somebody writes it.
        has_other_names: whether it has hard links, as a file has that was linked into place and not written there.
    """

    stamp: int
    has_writer: bool | None
    wholeness: Wholeness
    has_other_names: bool = False


def inspect(path: str, *, leases: bool) -> Appearance | None:
    """Return how a file appears, or None when there is no regular file.

    Anything else is never opened, not even to see what it is.

    Args:
        path: the file.
        leases: whether its filesystem's leases tell of all writers.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except PermissionError:
        return Appearance(stamp(status), None, Wholeness.UNKNOWN)
    try:
        # Asked again of the open file: on shares only opening it brings the true size.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        writer = has_writer(descriptor) if leases else None
        wholeness = Wholeness.UNKNOWN if writer or _is_empty_dream(path, status) else judge(descriptor, status.st_size)
        return Appearance(stamp(status), writer, wholeness, has_other_names=status.st_nlink > 1)
    finally:
        os.close(descriptor)


def _is_empty_dream(path: str, status: os.stat_result) -> bool:
    """Return whether a file is a dream file that leaves all to its folder's recipe, and not a picture yet to come."""
    return status.st_size == 0 and is_dream_file(path)


def stamp(status: os.stat_result) -> int:
    """Return one number for the state of a file. The change time is in it because nobody can set that one back."""
    return hash((status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))


def status_of(path: str) -> os.stat_result | None:
    """Return the status of whatever has this path; None when nothing has."""
    try:
        return os.lstat(path)
    except OSError:
        return None

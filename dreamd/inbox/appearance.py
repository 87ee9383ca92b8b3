"""How a file appears at one moment: its stamp, whether somebody writes it, whether its bytes are all there."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from dreamd.inbox.leases import has_writer
from dreamd.inbox.wholeness import is_whole


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a file appears.

    Attributes:
        stamp: one number, which is another when the file has changed.
        has_writer: whether somebody writes it; None when nobody can say.
        is_whole: whether its bytes are a whole picture; False also when nobody can say, or while there may be a writer.
    """

    stamp: int
    has_writer: bool | None
    is_whole: bool


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
        return Appearance(stamp(status), None, is_whole=False)
    try:
        # Asked again of the open file: on shares only opening it brings the true size.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        writer = has_writer(descriptor) if leases else None
        return Appearance(stamp(status), writer, writer is False and is_whole(descriptor, status.st_size))
    finally:
        os.close(descriptor)


def stamp(status: os.stat_result) -> int:
    """Return one number for the state of a file. The change time is in it because nobody can set that one back."""
    return hash((status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))


def stamp_of(path: str) -> int | None:
    """Return the stamp of a file; None when there is no regular file."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return stamp(status) if stat.S_ISREG(status.st_mode) else None

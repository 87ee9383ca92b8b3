"""How a file looks: its stamp, whether somebody writes it, whether its bytes are complete."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class Look:
    """How a file looks. `has_writer` is None when nobody can say; `is_complete` is only known without a writer."""

    stamp: int
    has_writer: bool | None
    is_complete: bool


def looks_complete(path: Path) -> bool:
    """Whether a file's bytes are a whole JPEG, PNG, GIF, WebP or BMP, as far as its beginning and its end can tell.

    False for every other kind, and for a picture with something behind it: such files settle by time. Raises `OSError`
    when the file cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        status = os.fstat(descriptor)
        return stat.S_ISREG(status.st_mode) and _is_complete(descriptor, status.st_size)
    finally:
        os.close(descriptor)


def _is_complete(descriptor: int, size: int) -> bool:
    head = os.pread(descriptor, 12, 0)
    tail = os.pread(descriptor, 12, max(0, size - 12))
    if head.startswith(b"\xff\xd8\xff"):
        return tail.endswith(b"\xff\xd9")
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return tail == b"\0\0\0\0IEND\xaeB`\x82"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return tail.endswith(b";")
    if head.startswith(b"RIFF") and head[8:] == b"WEBP":
        return int.from_bytes(head[4:8], "little") + 8 == size
    if head.startswith(b"BM"):
        return int.from_bytes(head[2:6], "little") == size
    return False


def has_writer(descriptor: int) -> bool | None:
    """Whether any process has the file open for writing; None where the system does not say.

    Asks for a read lease, which the kernel refuses while there is a writer, and gives it back at once. It does not say
    for another user's file (without CAP_LEASE) and on some filesystems.

    Args:
        descriptor: opened for reading only.
    """
    # Who opens the file for writing while the lease is held has us sent SIGIO, which would end the process. SIGURG
    # is ignored unless asked for, and is this descriptor's alone.
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def look_at(path: str, *, leases: bool) -> Look | None:
    """None when there is no regular file; anything else is never opened, not even to see what it is."""
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except PermissionError:
        return Look(stamp(status), None, is_complete=False)
    try:
        # Asked again of the open file: on shares only opening it brings the true size.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        writer = has_writer(descriptor) if leases else None
        return Look(stamp(status), writer, writer is False and _is_complete(descriptor, status.st_size))
    finally:
        os.close(descriptor)


def stamp(status: os.stat_result) -> int:
    """One number for the look of a file. The change time is in it because nobody can set that one back."""
    return hash((status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))

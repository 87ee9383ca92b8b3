"""Locks on files: the right to work on an inbox or with a state folder.

A lock is of the kind that Linux calls an open file description lock: looking whether somebody has it takes nothing, so
that `dreamd status` never keeps a daemon from starting. It ends with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dreamd.errors import DreamdError
from dreamd.files.problems import os_errors_explained

_PATIENCE_SECONDS = 1.0
"""A lock that is taken is tried again for so long: its last holder may be about to end."""

_PAUSE_SECONDS = 0.05
"""The pause between two tries, in seconds."""

_FLOCK = "hhqqi0q"
"""The fields of `struct flock` (fcntl(2)): type, whence, start, length, process."""

_BYTE = 1 << 40
"""The byte that is locked, far behind the file's text: some shares let nobody read what is locked."""

_HOLDER_BYTES = 512


@dataclass(frozen=True)
class _Held:
    """A file that is locked by this process."""

    path: Path
    descriptor: int

    def is_current(self) -> bool:
        """Tell whether the file that is locked is the one that has the name now."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), os.lstat(self.path))
        except OSError:
            return False


class Lock:
    """Locked files, until `close` or the end of the process."""

    def __init__(self, held: Sequence[_Held]) -> None:
        """Keep what is locked already."""
        self._held = list(held)

    def __add__(self, other: Lock) -> Lock:
        return Lock([*self._held, *other._held])

    def is_current(self) -> bool:
        """Tell whether every file that is locked is still the one of its name, and not of a folder that went away."""
        return all(held.is_current() for held in self._held)

    @property
    def descriptors(self) -> list[int]:
        """The open files: a process that inherits them keeps the locks until it ends, too."""
        return [held.descriptor for held in self._held]

    def close(self) -> None:
        """Give the locks back."""
        while self._held:
            os.close(self._held.pop().descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def lock(path: Path, *, shared: bool = False, taken: str) -> Lock:
    """Lock a file and write into it who has it; the file is made if it is missing, for its owner alone.

    Args:
        path: the file.
        shared: others may have a shared lock too; else this process is alone.
        taken: the error's text when another process has it, in which `{holder}` stands for that one.

    Raises:
        DreamdError: another process has it.
    """
    until = time.monotonic() + _PATIENCE_SECONDS
    with os_errors_explained("lock", path):
        while True:
            held = _opened(path)
            try:
                if not _take(held.descriptor, shared=shared, until=until):
                    raise DreamdError(taken.format(holder=_holder(held.descriptor)))
                if held.is_current():  # else its last holder has removed it
                    _note_holder(held.descriptor)
                    return Lock([held])
            except BaseException:
                os.close(held.descriptor)
                raise
            os.close(held.descriptor)


def lock_if_free(path: Path) -> Lock | None:
    """Lock a file for this process alone; None when another process has it, or has replaced it meanwhile."""
    with os_errors_explained("lock", path):
        held = _opened(path)
        if _take(held.descriptor, shared=False, until=0.0) and held.is_current():
            return Lock([held])
        os.close(held.descriptor)
        return None


def is_locked(path: Path) -> bool:
    """Tell whether a process has locked a file, without taking anything. False when there is no such file.

    Raises:
        PermissionError: the file is another user's.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError:
        raise
    except OSError:
        return False
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _request(fcntl.F_WRLCK))
        return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)
    finally:
        os.close(descriptor)


def _take(descriptor: int, *, shared: bool, until: float) -> bool:
    while True:
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _request(fcntl.F_RDLCK if shared else fcntl.F_WRLCK))
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= until:
                return False
            time.sleep(_PAUSE_SECONDS)
        else:
            return True


def _request(kind: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, _BYTE, 1, 0)


def _opened(path: Path) -> _Held:
    """Open a file to lock; nobody else may open it, and so hold a lock on it, where its filesystem keeps modes."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with suppress(PermissionError):  # it is another's, or a share's without modes
        os.fchmod(descriptor, 0o600)
    return _Held(path, descriptor)


def _note_holder(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, _HOLDER_BYTES, 0).decode("utf-8", "replace").strip() or "another process"

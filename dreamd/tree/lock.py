"""The right to work on an inbox."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from dreamd.errors import DreamdError
from dreamd.files.problems import os_errors_explained, shown


class InboxLock:
    """The right to work on an inbox, held until `close` or the end of the process."""

    def __init__(self, descriptors: Sequence[int]) -> None:
        """The right that these descriptors of locked files hold."""
        self._descriptors = descriptors

    def close(self) -> None:
        """Give the right back; call it once."""
        for descriptor in self._descriptors:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def lock_of(path: Path, kind: int, inbox: Path) -> int:
    """Lock a file and write into it who has it.

    Args:
        path: the file; it is made if it is missing.
        kind: `fcntl.LOCK_EX` for one process alone, `fcntl.LOCK_SH` for several.
        inbox: the inbox that it stands for, for the message.

    Returns:
        A descriptor that holds the lock.

    Raises:
        DreamdError: another process has it; the message names that one.
    """
    with os_errors_explained("lock", path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(descriptor, 512, 0).decode("utf-8", "replace").strip() or "another process"
            os.close(descriptor)
            raise DreamdError(
                f"another dreamd ({holder}) works on {shown(inbox)}: stop it, give this one an inbox of its own, "
                "or run both with --share and a state folder each"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor

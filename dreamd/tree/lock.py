"""The right to work on an inbox."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dreamd.errors import DreamdError
from dreamd.files.problems import os_errors_explained, shown

if TYPE_CHECKING:
    from collections.abc import Sequence


class InboxLock:
    """The right to work on an inbox, held until `close` or the end of the process."""

    def __init__(self, descriptors: Sequence[int]) -> None:
        self._descriptors = descriptors

    def close(self) -> None:
        """Gives the right back; call it once."""
        for descriptor in self._descriptors:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# Names and paths


def locked_file(path: Path, kind: int, inbox: Path) -> int:
    """A descriptor that holds a lock. Raises DreamdError, naming the holder, when another process has it."""
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

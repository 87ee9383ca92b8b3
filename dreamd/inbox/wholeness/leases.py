"""Whether somebody has a file open for writing, asked of the kernel by a lease."""

from __future__ import annotations

import fcntl
import signal


def has_writer(descriptor: int) -> bool | None:
    """Return whether any process has the file open for writing; None where the kernel does not say.

    Asks for a read lease, which the kernel refuses while there is a writer, and gives it back at once. The kernel does
    not say for another user's file (without CAP_LEASE), nor on some filesystems.

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

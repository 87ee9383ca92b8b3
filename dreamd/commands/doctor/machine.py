"""The doctor's look at the machine: what it allows to watch, and its clock."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import tempfile
import time
from pathlib import Path

from dreamd.errors import DreamdError
from dreamd.files.problems import refusal
from dreamd.settings.config import Config
from dreamd.tree.journal import Journal
from dreamd.tree.layout import StateFolder

_CLOCK_SECONDS = 2.0
"""The difference between two clocks above which there is trouble, in seconds."""

_INOTIFY = Path("/proc/sys/fs/inotify")


def look_at_watches(config: Config) -> str:
    """Look whether every folder of the inbox can be watched. Raises DreamdError with the setting to raise."""
    limit = _INOTIFY / "max_user_watches"
    if not limit.exists():
        return "no inotify on this system; the inbox is polled"
    _try_a_watch()
    folders = sum(1 for _ in os.walk(config.inbox))
    allowed = int(limit.read_text())
    if folders > allowed * 0.9:
        remedy = f"`sysctl fs.inotify.max_user_watches={max(524_288, folders * 2)}`, and in /etc/sysctl.d to keep it"
        raise DreamdError(f"{folders} folders, and the system allows {allowed} watches: {remedy}")
    return f"{folders} folders of at most {allowed}"


def _try_a_watch() -> None:
    """Begin a watch and end it. Raises DreamdError when this user may begin no other."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_CLOEXEC)
    if descriptor >= 0:
        os.close(descriptor)
    elif ctypes.get_errno() == errno.EMFILE:
        raise DreamdError(
            "no more programs of this user may watch folders: `sysctl fs.inotify.max_user_instances=512`, "
            "and in /etc/sysctl.d to keep it"
        )


def look_at_page(config: Config) -> str:
    """Look whether the page can be served where it is to be. Raises DreamdError when the address is taken or wrong."""
    status = config.status
    if status.listen is None:
        return "none is served: status.listen is null"
    host, port = status.address
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        raise DreamdError(f"{status.listen}: {refusal(error)}; choose another status.listen") from error
    return f"{status.url} is free"


def look_at_clock(config: Config) -> str:
    """Look whether the time is past what has been for certain, and whether the inbox, maybe a share, agrees."""
    newest = Path(__file__).stat().st_mtime
    journal = Journal.open_readonly(StateFolder(config.state).journal)
    if journal is not None:
        with journal:
            newest = max([newest, *(job.claimed_at for job in journal.jobs(limit=1))])
    if time.time() < newest - _CLOCK_SECONDS:
        now, then = (time.strftime("%Y-%m-%d %H:%M", time.localtime(moment)) for moment in (time.time(), newest))
        raise DreamdError(f"this machine's clock says {now}, and it has been {then} already: set it by NTP")
    with tempfile.NamedTemporaryFile(dir=config.inbox, prefix=".dreamd-doctor-") as file:
        off = os.fstat(file.fileno()).st_mtime - time.time()
    if abs(off) > _CLOCK_SECONDS:
        raise DreamdError(f"the inbox's clock is {off:+.0f} s off this machine's: set both by NTP")
    return "this machine and the inbox agree"

"""Which filesystem a folder is on, and whether inotify sees everything there."""

from __future__ import annotations

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
"""The file in which the kernel lists what is mounted where."""

# fmt: off
_DEAF_FILESYSTEMS = frozenset((
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse", "lustre", "ncpfs", "nfs", "nfs4", "orangefs",
    "prl_fs", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
))
# fmt: on
"""The types of filesystem that other machines write to: inotify sees none of that, and a lease says nothing about it.
Every type that begins with `fuse.` counts as one of them."""


def filesystem_type(path: str, mountinfo: str) -> str:
    """Return the type of the filesystem that holds an absolute, resolved path; "" if it is unknown.

    Args:
        path: the path.
        mountinfo: what `/proc/self/mountinfo` says.
    """
    best, found = -1, ""
    for line in mountinfo.splitlines():
        fields, separator, rest = line.partition(" - ")
        parts = fields.split(" ")
        if not separator or len(parts) < 5:
            continue
        mount = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), parts[4])
        # What is mounted later covers what was mounted at the same place before.
        if len(mount) >= best and (path == mount or path.startswith(mount.rstrip("/") + "/")):
            best, found = len(mount), rest.split(" ")[0]
    return found


def is_deaf(filesystem: str) -> bool:
    """Return whether other machines write to filesystems of a type, which inotify does not tell of."""
    return filesystem in _DEAF_FILESYSTEMS or filesystem.startswith("fuse.")

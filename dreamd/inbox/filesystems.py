"""Which filesystem a folder is on and where, and whether inotify sees everything there."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

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


class _Mount(NamedTuple):
    """One line of the table of mounts.

    Attributes:
        device: the number of the filesystem, as `major:minor`.
        root: which of its folders is mounted.
        place: where it is mounted.
        filesystem: the type of the filesystem.
    """

    device: str
    root: str
    place: str
    filesystem: str


def filesystem_type(path: str, mountinfo: str) -> str:
    """Return the type of the filesystem that holds an absolute, resolved path; "" if it is unknown.

    Args:
        path: the path.
        mountinfo: what `/proc/self/mountinfo` says.
    """
    mount = _mount_of(path, mountinfo)
    return mount.filesystem if mount else ""


def path_on_device(path: str, mountinfo: str) -> PurePosixPath:
    """Return an absolute, resolved path as its filesystem knows it, such as `/8:1/srv/inbox`.

    A folder that is mounted at two places (`mount --bind`) has two paths, and one path on its device.
    """
    mount = _mount_of(path, mountinfo)
    if mount is None:
        return PurePosixPath(path)
    inside = path[len(mount.place.rstrip("/")) :].lstrip("/")
    return PurePosixPath("/", mount.device, mount.root.lstrip("/"), inside)


def _mount_of(path: str, mountinfo: str) -> _Mount | None:
    found = None
    for line in mountinfo.splitlines():
        fields, separator, rest = line.partition(" - ")
        parts = fields.split(" ")
        if not separator or len(parts) < 5:
            continue
        place = _unescaped(parts[4])
        # What is mounted later covers what was mounted at the same place before.
        is_nearer = found is None or len(place) >= len(found.place)
        if is_nearer and (path == place or path.startswith(place.rstrip("/") + "/")):
            found = _Mount(parts[2], _unescaped(parts[3]), place, rest.split(" ")[0])
    return found


def _unescaped(word: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)


def is_deaf(filesystem: str) -> bool:
    """Return whether other machines write to filesystems of a type, which inotify does not tell of."""
    return filesystem in _DEAF_FILESYSTEMS or filesystem.startswith("fuse.")

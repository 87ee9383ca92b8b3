"""The doctor's look at folders: that they are there, can be written, have room, and lie where they may."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from dreamd.commands.doctor.finding import Finding, found_by
from dreamd.errors import DreamdError
from dreamd.files.problems import refusal
from dreamd.inbox.filesystems import filesystem_type, is_deaf
from dreamd.settings.config import Config

_ROOM_BYTES = 1_000_000_000
"""The free space in bytes below which there is trouble."""

_MOUNTS = Path("/proc/self/mountinfo")


def look_at_folders(config: Config) -> Iterator[Finding]:
    """Look at each folder of the config, the inbox first."""
    if not config.inbox.is_dir():
        yield Finding("inbox", False, f"{config.inbox} is not there: make it, or mount its disk")
    else:
        yield found_by("inbox", lambda: _look_at_room(config.inbox))
    for name in ("outbox", "originals", "failed", "state"):
        folder = getattr(config, name)
        if folder is not None:
            yield found_by(name, partial(_look_at_room, folder))


def look_at_plugin_folders(config: Config) -> Iterator[Finding]:
    """Look at each folder that plugins are to come from; only those that are missing are told."""
    for field in ("engine", "daemon"):
        for folder in getattr(config.plugins, field):
            if not folder.is_dir():
                what = "is no folder" if os.path.lexists(folder) else "is not there"
                advice = f"`mkdir -p {shlex.quote(str(folder))}`, or take it out of the config"
                yield Finding("plugins", False, f"plugins.{field}: {folder} {what}: {advice}")


def _look_at_room(folder: Path) -> str:
    """Make a file in a folder, or in the nearest one above it that exists, and look for room for pictures."""
    place = nearest(folder)
    if not place.is_dir():
        raise DreamdError(f"{place} is no folder: move it away, or choose another in the config")
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".dreamd-doctor-"):
            pass
    except OSError as error:
        owner = f"`chown $(id -un) {shlex.quote(str(place))}`"
        raise DreamdError(
            f"{place} cannot be written ({refusal(error)}): {owner}, or choose another in the config"
        ) from error
    free = shutil.disk_usage(place).free
    if free < _ROOM_BYTES:
        raise DreamdError(f"{place} has {free / 1e6:.0f} MB left: make room")
    return f"{folder}, {free / 1e9:.0f} GB free"


def nearest(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    while not os.path.lexists(folder):
        folder = folder.parent
    return folder


def look_at_filesystems(config: Config) -> str:
    """Look whether pictures can be claimed by a rename, and whether the journal lies on a disk of this machine's."""
    inbox = config.inbox.stat().st_dev
    for place, folders, _ in os.walk(config.inbox):
        for name in folders:
            folder = Path(place, name)
            if folder.lstat().st_dev != inbox:
                raise DreamdError(
                    f"{folder} is on another filesystem than the inbox, and its pictures cannot be claimed: "
                    "mount the whole inbox as one filesystem, or give that folder a dreamd of its own"
                )
    kind = filesystem_type(os.fspath(nearest(config.state).resolve()), _MOUNTS.read_text("utf-8", "surrogateescape"))
    if is_deaf(kind):
        raise DreamdError(f"state, {config.state}, is on a share ({kind}), where SQLite is not safe: keep it on a disk")
    return f"the inbox is one filesystem; the journal is on {kind}"

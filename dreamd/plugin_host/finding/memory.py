"""What was found out about a set of plugins, kept so that nobody loads torch to hear it again.

It is kept below the user's cache, in a folder for each set: the same plugins, of the same versions and files, with the
same dreamd and the same packages around them. Anything else is another set. Without the folder, or where a file in it
is broken, what is asked for is found out again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Collection, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dreamd import __version__
from dreamd.errors import DreamdError, PluginError
from dreamd.files.caches import user_cache
from dreamd.files.durable import draft_of
from dreamd.plugin_host.finding.discovery import Candidate, file_of_module, find_plugins
from dreamd.plugin_host.kinds import LOAD_PLUGINS, Group

_MOST_KEPT = 8
"""The most sets of plugins that are remembered; those that were met last."""

_PACKAGES = ("pydantic", "timm", "torch", "torchvision")
"""The packages whose versions change what plugins bring, beside the plugins' own."""


class Memory:
    """What is known of one set of plugins."""

    def __init__(self, folder: Path | None) -> None:
        """Remember in a folder, which may not exist yet; None: nothing."""
        self._folder = folder

    def recall(self, name: str) -> Any:
        """Return what was kept under a name, as JSON gives it; None when nothing was."""
        if self._folder is None:
            return None
        try:
            return json.loads((self._folder / f"{name}.json").read_bytes())
        except (OSError, ValueError):
            return None

    def keep(self, name: str, value: object) -> None:
        """Keep a value that JSON can hold under a name; nothing where the disk refuses."""
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with draft_of(self._folder / f"{name}.json", durable=True) as draft:
                draft.write_text(json.dumps(value), encoding="utf-8")
            _forget_the_oldest(self._folder.parent)


def memory_of(group: Group, folders: Sequence[Path], disable: Collection[str]) -> Memory:
    """Return what is known of the plugins that would be loaded now.

    Args:
        group: the entry-point group.
        folders: folders of drop-ins.
        disable: names of plugins that are left out.
    """
    try:
        folder = user_cache() / "plugins" / _key(group, folders, disable)
    except (OSError, RuntimeError, DreamdError):  # no home, or drop-ins that cannot be read: loading them will say why
        return Memory(None)
    return Memory(folder)


def _key(group: Group, folders: Sequence[Path], disable: Collection[str]) -> str:
    """Return what is the same for the same set of plugins, and for no other. Raises PluginError."""
    found = list(find_plugins(group, folders))
    named = [(candidate.name, candidate.origin, candidate.version, candidate.own) for candidate in found]
    around = (__version__, sys.version, os.environ.get(LOAD_PLUGINS), sorted(disable), *map(_version_of, _PACKAGES))
    homes = {_home_of(candidate) for candidate in found} - {None}
    code = [Path(__file__).parents[2].rglob("*.py"), *(home.glob("*.py") for home in sorted(filter(None, homes)))]
    stamps = [(str(file), *_stamp(file)) for files in code for file in sorted(files)]
    return hashlib.sha256(repr((group, named, around, stamps)).encode()).hexdigest()[:32]


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _home_of(candidate: Candidate) -> Path | None:
    """Return the folder of an installed plugin's module, which is found without importing it; None for a drop-in.

    Raises:
        PluginError: the module is not found where Python looks first, so that nobody could tell that it has changed.
    """
    if candidate.origin.startswith("/"):
        return None  # its version tells
    file = file_of_module(candidate.origin)
    if file is None:
        raise PluginError(f"{candidate.origin} is not found")
    return file.parent


def _stamp(file: Path) -> tuple[object, ...]:
    try:
        status = file.stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _forget_the_oldest(root: Path) -> None:
    for folder in sorted(root.iterdir(), key=_age_of)[_MOST_KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)


def _age_of(folder: Path) -> float:
    try:
        return -folder.stat().st_mtime
    except OSError:
        return 0.0

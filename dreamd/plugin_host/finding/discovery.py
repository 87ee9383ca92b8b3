"""Where plugins are found: entry points of installed packages, and drop-ins in the folders that a config names."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from dreamd.plugin_host.finding.drop_ins import (
    digest_of,
    find_drop_ins,
    forget_helpers,
    home_of,
    load_drop_in,
    name_of,
    paths_of,
)
from dreamd.plugin_host.kinds import Group


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A plugin that was found and is not loaded yet.

    Attributes:
        name: the plugin's name: its entry point's, or that of the drop-in.
        origin: the module of an installed plugin, or the file or folder of a drop-in.
        version: the installed package's, or the beginning of a SHA-256 of the drop-in's content.
        load: imports it and returns its module; may raise anything.
        own: whether dreamd itself brings it.
    """

    name: str
    origin: str
    version: str
    load: Callable[[], object]
    own: bool = False


def find_plugins(group: Group, folders: Sequence[Path]) -> Iterator[Candidate]:
    """Find every plugin of a group: dreamd's own, then other installed ones, then the drop-ins of the folders."""
    yield from _installed(group)
    forget_helpers()
    for file in find_drop_ins(folders):
        load = partial(load_drop_in, file, folders)
        yield Candidate(name=name_of(file), origin=str(home_of(file)), version=digest_of(file), load=load)


def file_of_module(name: str) -> Path | None:
    """Return the file of an entry point's module, found where Python looks first and without importing it.

    Args:
        name: the module, with or without what the entry point names in it: `mine.plugin` or `mine:plugin`.
    """
    path: Sequence[str] | None = None
    file: str | None = None
    parts = name.partition(":")[0].split(".")
    for count in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:count]), path)
        file, path = (spec.origin, spec.submodule_search_locations or ()) if spec else (None, ())
    return None if file is None else Path(file)


def stamp_of(folders: Sequence[Path]) -> tuple[object, ...]:
    """Return what changes when a drop-in or a part of it comes, goes or changes, or when others may write it.

    It costs a few system calls, so that a daemon can look every second.
    """
    return tuple(_stamp(path) for folder in folders for path in paths_of(folder))


def _installed(group: Group) -> Iterator[Candidate]:
    packages: dict[int, tuple[str, str]] = {}  # asked once: each question reads the package's metadata anew

    def package_of(point: EntryPoint) -> tuple[str, str]:
        """Return the name and the version of the package that has an entry point."""
        if point.dist is None:
            return "", ""
        if id(point.dist) not in packages:
            packages[id(point.dist)] = (point.dist.name, point.dist.version)
        return packages[id(point.dist)]

    found = [(point, *package_of(point)) for point in entry_points(group=group)]
    # dreamd's own names are registered first, so that nobody takes `l2` or `vgg19` from under a recipe.
    for point, package, version in sorted(found, key=lambda each: (each[1] != "dreamd", each[0].name)):
        yield Candidate(name=point.name, origin=point.value, version=version, load=point.load, own=package == "dreamd")


def _stamp(path: Path) -> tuple[object, ...]:
    try:
        status = path.stat()
    except OSError:
        return (path,)
    owner = (path, status.st_mode, status.st_uid)
    return owner if stat.S_ISDIR(status.st_mode) else (*owner, status.st_mtime_ns, status.st_size, status.st_ino)

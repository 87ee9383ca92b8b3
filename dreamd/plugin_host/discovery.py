"""Where plugins are found: entry points of installed packages, and drop-in files in the folders that a config names.

A drop-in file is run only where nobody but its owner (or root) could have written it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from dreamd.errors import PluginError
from dreamd.plugin_host.kinds import Group


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A plugin that was found and is not loaded yet.

    Attributes:
        name: the plugin's name: its entry point's, or the drop-in file's without its ending.
        origin: the module of an installed plugin, or the drop-in file.
        version: the installed package's, or the beginning of the drop-in file's SHA-256.
        load: imports it and returns its module; may raise anything.
        own: whether dreamd itself brings it.
    """

    name: str
    origin: str
    version: str
    load: Callable[[], object]
    own: bool = False


def find_plugins(group: Group, folders: Sequence[Path]) -> Iterator[Candidate]:
    """Find every plugin of a group: dreamd's own, then other installed ones, then the drop-in files of the folders."""
    yield from _installed(group)
    for file in _drop_ins(folders):
        yield Candidate(name=file.stem, origin=str(file), version=_digest(file), load=partial(_load_file, file))


def stamp_of(folders: Sequence[Path]) -> tuple[object, ...]:
    """Return what changes when a drop-in file comes, goes or changes, or when others may write it.

    It costs a few system calls, so that a daemon can look every second.
    """
    return tuple(_stamp(path) for path in (*folders, *_drop_ins(folders)))


def deny_others(path: Path) -> None:
    """Let nobody else write there, whatever the umask says: plugins that others could write are not run."""
    path.chmod(path.stat().st_mode & 0o7755)


def _installed(group: Group) -> Iterator[Candidate]:
    # dreamd's own names are registered first, so that nobody takes `l2` or `vgg19` from under a recipe.
    for entry_point in sorted(entry_points(group=group), key=lambda point: (not _is_own(point), point.name)):
        package = entry_point.dist
        yield Candidate(
            name=entry_point.name,
            origin=entry_point.value,
            version=package.version if package else "",
            load=entry_point.load,
            own=_is_own(entry_point),
        )


def _is_own(entry_point: EntryPoint) -> bool:
    return entry_point.dist is not None and entry_point.dist.name == "dreamd"


def _drop_ins(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(folder.glob("[!_]*.py"))


def _digest(file: Path) -> str:
    """Return the version of a drop-in file, which is its content."""
    try:
        return f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"
    except OSError:
        return ""  # `_load_file` says why


def _stamp(path: Path) -> tuple[object, ...]:
    try:
        status = path.stat()
    except OSError:
        return (path,)
    owner = (path, status.st_mode, status.st_uid)
    return owner if stat.S_ISDIR(status.st_mode) else (*owner, status.st_mtime_ns, status.st_size, status.st_ino)


def _load_file(file: Path) -> ModuleType:
    """Import a drop-in file. Raises PluginError when somebody else could have written it."""
    real = file.resolve()
    for path in (real, *{file.parent, real.parent}):
        _check_written_by_owner(path)
    loader = SourceFileLoader(f"dreamd_dropin_{file.stem}", str(file))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module
    try:
        # Not by `exec_module`: that also runs what lies in __pycache__, which others may be able to write.
        exec(loader.source_to_code(loader.get_data(str(file)), str(file)), vars(module))
    except BaseException:
        del sys.modules[loader.name]
        raise
    return module


def _check_written_by_owner(path: Path) -> None:
    status = path.stat()
    if status.st_uid not in (0, os.getuid()) or status.st_mode & 0o022:
        raise PluginError(
            f"{path} can be written by others, who could run code through it; "
            f"do `chmod go-w {path}` and see that {'you' if os.getuid() else 'root'} own it"
        )

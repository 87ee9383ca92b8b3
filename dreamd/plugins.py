"""The plugin host: find, load, register and check plugins, each apart from the others.

A plugin that cannot be imported, names a hook that does not exist, takes a name that is taken or raises is left out,
named with its reason, and the others go on. Core knows no plugin by name; the first-party ones come by the same entry
points as anyone's.
"""

from __future__ import annotations

import importlib.util
import inspect
import logging
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pluggy

from dreamd import hookspecs
from dreamd.catalogue import SUPPLIED, Catalogue, Entry, Kind, Problem, parameters_of
from dreamd.errors import PluginError, suggestion
from dreamd.job import Job
from dreamd.weights import Source

log = logging.getLogger(__name__)

Group = Literal["dreamd.engine", "dreamd.daemon"]

_HOOKS: dict[Group, dict[str, Kind]] = {
    "dreamd.engine": {
        "dreamd_backbones": Kind.BACKBONE,
        "dreamd_losses": Kind.LOSS,
        "dreamd_schedules": Kind.SCHEDULE,
        "dreamd_gradients": Kind.GRADIENT,
    },
    "dreamd.daemon": {"dreamd_executors": Kind.EXECUTOR},
}
_SPECS: dict[Group, type] = {"dreamd.engine": hookspecs.EngineHooks, "dreamd.daemon": hookspecs.DaemonHooks}
_NAME = re.compile(r"[A-Za-z0-9_.*-]+(/[A-Za-z0-9_.*-]+)*")


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A registered function with its catalogue entry; for a backbone also where its default weights come from."""

    entry: Entry
    function: Callable[..., Any]
    weights: Source | Callable[[str], Source] | None = None

    def source(self, name: str) -> Source | None:
        """The default weights of a backbone's name."""
        return self.weights(name) if callable(self.weights) else self.weights


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A plugin before it is loaded."""

    name: str
    origin: str
    version: str
    load: Callable[[], object]


class Plugins:
    """The plugins of one group, loaded."""

    def __init__(self, group: Group, *, folders: Sequence[Path] = (), disable: Collection[str] = ()) -> None:
        """Load every plugin of a group.

        Args:
            group: the entry-point group.
            folders: folders of drop-in `*.py` files.
            disable: names of plugins to leave out.
        """
        self._group = group
        self._manager = pluggy.PluginManager("dreamd")
        self._manager.add_hookspecs(_SPECS[group])
        self._registered: list[Registered] = []
        self._problems: list[Problem] = []
        for candidate in [*_from_entry_points(group), *self._from_folders(folders)]:
            if candidate.name in disable:
                self._note(candidate, "disabled by plugins.disable")
            else:
                self._load(candidate)

    @cached_property
    def catalogue(self) -> Catalogue:
        """What the loaded plugins bring, as data."""
        return Catalogue(entries=tuple(item.entry for item in self._registered), problems=tuple(self._problems))

    def get(self, kind: Kind, name: str) -> Registered:
        """The registered function of a name. Raises UnknownNameError as `Catalogue.find` does."""
        entry = self.catalogue.find(kind, name)
        return next(item for item in self._registered if item.entry == entry)

    def job_changed(self, job: Job) -> None:
        """Tell every plugin that listens that a job changed."""
        for implementation in self._manager.hook.dreamd_job_changed.get_hookimpls():
            try:
                implementation.function(*([job] if implementation.argnames else []))
            except (Exception, SystemExit):
                log.exception("plugin %s: dreamd_job_changed failed", implementation.plugin_name)

    def _from_folders(self, folders: Sequence[Path]) -> Iterator[_Candidate]:
        for folder in folders:
            for file in sorted(folder.glob("[!_]*.py")):
                yield _Candidate(name=file.stem, origin=str(file), version="", load=partial(_load_file, file))

    def _load(self, candidate: _Candidate) -> None:
        if self._manager.has_plugin(candidate.name):
            self._refuse(candidate, f"there is another plugin {candidate.name!r}; give the file another name")
            return
        before = len(self._registered)
        try:
            plugin = candidate.load()
            self._manager.register(plugin, candidate.name)
            self._check_hooks(plugin)
            self._call_hooks(candidate)
        except (Exception, SystemExit) as error:
            del self._registered[before:]
            if self._manager.has_plugin(candidate.name):
                self._manager.unregister(name=candidate.name)
            self._refuse(candidate, _explain(error))
            log.debug("plugin %s", candidate.name, exc_info=error)

    def _check_hooks(self, plugin: object) -> None:
        """pluggy takes a misspelt hook, and a file without any, in silence."""
        known = [name for name in vars(_SPECS[self._group]) if name.startswith("dreamd_")]
        callers = self._manager.get_hookcallers(plugin) or []
        for hook in callers:
            if not hook.has_spec():
                raise PluginError(f"no hook {hook.name!r} in {self._group}; {suggestion(hook.name, known)}")
        if not callers:
            raise PluginError(f"has no hook of {self._group}: mark its functions with `@hookimpl` of dreamd.api")

    def _call_hooks(self, candidate: _Candidate) -> None:
        for hook, kind in _HOOKS[self._group].items():
            for implementation in getattr(self._manager.hook, hook).get_hookimpls():
                if implementation.plugin_name == candidate.name:
                    implementation.function(self._registrar(candidate, kind))

    def _registrar(self, candidate: _Candidate, kind: Kind) -> Callable[..., None]:
        def register(
            name: str, function: Callable[..., Any], *, weights: Source | Callable[[str], Source] | None = None
        ) -> None:
            self._check_name(kind, name)
            if not callable(function):
                raise PluginError(f"{kind} {name!r}: {function!r} cannot be called")
            try:
                supplied = SUPPLIED if kind is Kind.GRADIENT else frozenset()
                parameters = () if kind is Kind.EXECUTOR else parameters_of(function, supplied=supplied)
            except PluginError as error:
                raise PluginError(f"{kind} {name!r}: {error}") from error
            entry = Entry(
                kind=kind,
                name=name,
                plugin=candidate.name,
                origin=candidate.origin,
                version=candidate.version,
                doc=inspect.getdoc(function) or "",
                parameters=parameters,
            )
            self._registered.append(Registered(entry=entry, function=function, weights=weights))

        return register

    def _check_name(self, kind: Kind, name: str) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PluginError(f"{name!r} is no name: use letters, digits and _ . - /")
        if "*" in name and kind is not Kind.BACKBONE:
            raise PluginError(f"{kind} {name!r}: only a backbone is told the name it is asked for; leave out the `*`")
        for item in self._registered:
            if (item.entry.kind, item.entry.name) == (kind, name):
                raise PluginError(f"the {kind} {name!r} is taken by plugin {item.entry.plugin!r}; choose another name")

    def _refuse(self, candidate: _Candidate, reason: str) -> None:
        log.warning("plugin %s (%s) is not used: %s", candidate.name, candidate.origin, reason)
        self._note(candidate, reason)

    def _note(self, candidate: _Candidate, reason: str) -> None:
        self._problems.append(Problem(plugin=candidate.name, origin=candidate.origin, reason=reason))


def _from_entry_points(group: Group) -> Iterator[_Candidate]:
    for entry_point in sorted(entry_points(group=group), key=_first_party_first):
        package = entry_point.dist
        yield _Candidate(
            name=entry_point.name,
            origin=entry_point.value,
            version=package.version if package else "",
            load=entry_point.load,
        )


def _first_party_first(entry_point: EntryPoint) -> tuple[bool, str]:
    """dreamd's own names are registered first, so that nobody takes `l2` or `vgg19` from under a recipe."""
    return (entry_point.dist is None or entry_point.dist.name != "dreamd", entry_point.name)


def _load_file(file: Path) -> ModuleType:
    """Import a drop-in file. Raises PluginError when somebody else could have written it."""
    real = file.resolve()
    for path in (real, *{file.parent, real.parent}):
        status = path.stat()
        if status.st_uid not in (0, os.getuid()) or status.st_mode & 0o022:
            raise PluginError(
                f"{path} can be written by others, who could run code through it; "
                f"do `chmod go-w {path}` and see that {'you' if os.getuid() else 'root'} own it"
            )
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


def _explain(error: BaseException) -> str:
    if isinstance(error, PluginError):
        return str(error)
    if isinstance(error, pluggy.PluginValidationError):
        return str(error).splitlines()[-1]
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{Path(error.filename or '').name}:{error.lineno}: {error.msg}"
    frames = [] if error.__traceback__ is None else inspect.getinnerframes(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    first_line = f": {str(error).splitlines()[0]}" if str(error) else ""
    return f"{type(error).__name__}{first_line}{where}"

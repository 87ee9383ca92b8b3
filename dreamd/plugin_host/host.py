"""The plugin host: find, load, register and check plugins, each apart from the others.

A plugin that cannot be imported, names a hook that does not exist, takes a name that is taken or raises is left out,
named with its reason, and the others go on. Core knows no plugin by name; the first-party ones come by the same entry
points as anyone's.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import logging
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pluggy

from dreamd import api
from dreamd.errors import PluginError
from dreamd.job import Job
from dreamd.plugin_host import hookspecs
from dreamd.plugin_host.catalogue import Catalogue, Entry, Kind, Problem
from dreamd.plugin_host.guard import (
    Check,
    TookTooLongError,
    eight_bit_colours,
    explained,
    guarded,
    like_the_gradient,
    one_value_a_picture,
    pictures_like_the_first,
    time_limit,
)
from dreamd.plugin_host.listener import Listener
from dreamd.plugin_host.parameters import SUPPLIED, parameters_of
from dreamd.weights.sources import Source
from dreamd.wording import suggestion

log = logging.getLogger(__name__)

Group = Literal["dreamd.engine", "dreamd.daemon"]

_KINDS: dict[Group, tuple[Kind, ...]] = {
    "dreamd.engine": (Kind.BACKBONE, Kind.LOSS, Kind.SCHEDULE, Kind.GRADIENT, Kind.DECODER),
    "dreamd.daemon": (Kind.EXECUTOR,),
}
"""What is brought through a `register`; `dreamd_job_changed` alone is called with what happens."""

_SPECS: dict[Group, type] = {"dreamd.engine": hookspecs.EngineHooks, "dreamd.daemon": hookspecs.DaemonHooks}
_NAME = re.compile(r"[A-Za-z0-9_.*-]+(/[A-Za-z0-9_.*-]+)*")
_EXTENSION = re.compile(r"\.[a-z0-9]+")

_CHECKS: dict[Kind, Check] = {
    Kind.LOSS: one_value_a_picture,
    Kind.GRADIENT: like_the_gradient,
    Kind.SCHEDULE: pictures_like_the_first,
    Kind.DECODER: eight_bit_colours,
}
_OPTIONS: dict[Kind, frozenset[str]] = {Kind.BACKBONE: frozenset({"weights"}), Kind.DECODER: frozenset({"extensions"})}

_LOAD_SECONDS: dict[Group, float] = {"dreamd.engine": 60.0, "dreamd.daemon": 10.0}
"""How long a plugin may take to load; a daemon's plugins need no torch, and its loop waits for them."""

_LISTEN_SECONDS = 5.0
"""How long the end of the daemon waits for listeners to hear what happened last."""

LOAD_PLUGINS = "DREAMD_LOAD_PLUGINS"
"""The environment variable that names the plugins to load beside dreamd's own, with commas; empty: none."""

_OWN_EXTENSIONS = frozenset(
    {
        *(".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".dib", ".ppm", ".pgm", ".pbm"),
        *(".ico", ".jp2", ".qoi", ".pcx", ".sgi", ".tga"),
    }
)
"""Of the files that dreamd reads by itself."""


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A registered function with its catalogue entry; for a backbone also where its default weights come from.

    The function's errors name its plugin; it is the plugin's own in an executor.
    """

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
    own: bool = False


class Plugins:
    """The plugins of one group, loaded."""

    def __init__(
        self,
        group: Group,
        *,
        folders: Sequence[Path] = (),
        disable: Collection[str] = (),
        only: Collection[str] | None = None,
    ) -> None:
        """Load every plugin of a group.

        Args:
            group: the entry-point group.
            folders: folders of drop-in `*.py` files.
            disable: names of plugins to leave out.
            only: names of the plugins to load beside dreamd's own, whatever else there is; None: what the environment
                variable DREAMD_LOAD_PLUGINS names, or all.
        """
        self._group = group
        self._manager = pluggy.PluginManager("dreamd")
        self._manager.add_hookspecs(_SPECS[group])
        self._registered: list[Registered] = []
        self._problems: list[Problem] = []
        self._listeners: list[Listener] = []
        wanted = _named_in_environment() if only is None else only
        for candidate in [*_from_entry_points(group), *_from_folders(folders)]:
            if candidate.name in disable:
                self._leave_out(candidate, "disabled by plugins.disable")
            elif candidate.own or wanted is None or candidate.name in wanted:
                self._load(candidate)
            elif only is None:
                self._leave_out(candidate, f"not among those that {LOAD_PLUGINS} names")

    @cached_property
    def catalogue(self) -> Catalogue:
        """What the loaded plugins bring, as data."""
        return Catalogue(entries=tuple(item.entry for item in self._registered), problems=tuple(self._problems))

    def get(self, kind: Kind, name: str) -> Registered:
        """The registered function of a name. Raises UnknownNameError as `Catalogue.find` does."""
        entry = self.catalogue.find(kind, name)
        return next(item for item in self._registered if item.entry == entry)

    def decoder(self, path: Path) -> Registered | None:
        """What decodes a picture's file instead of dreamd itself, by the ending of its name; None: dreamd does."""
        ending = path.suffix.lower()
        return next((item for item in self._registered if ending and ending in item.entry.extensions), None)

    def job_changed(self, job: Job) -> None:
        """Have every plugin that listens told that a job changed. Never waits for one."""
        for listener in self._listeners:
            listener.tell(job)

    def close(self, seconds: float = _LISTEN_SECONDS) -> None:
        """Let the plugins that listen hear what they have not heard yet; wait for that so many seconds at most."""
        end = time.monotonic() + seconds
        for listener in self._listeners:
            listener.close(max(0.0, end - time.monotonic()))

    def _load(self, candidate: _Candidate) -> None:
        if self._manager.has_plugin(candidate.name):
            self._refuse(candidate, f"there is another plugin {candidate.name!r}; give the file another name")
            return
        before = len(self._registered)
        try:
            with time_limit(_LOAD_SECONDS[self._group]):
                plugin = candidate.load()
                _check_version(plugin)
                self._manager.register(plugin, candidate.name)
                self._check_hooks(plugin)
                self._call_hooks(candidate)
        except (Exception, SystemExit, TookTooLongError) as error:
            del self._registered[before:]
            if self._manager.has_plugin(candidate.name):
                self._manager.unregister(name=candidate.name)
            self._refuse(candidate, _explain(error))
            log.debug("plugin %s", candidate.name, exc_info=error)
        else:
            self._listen_to(candidate)

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
        for kind in _KINDS[self._group]:
            for implementation in getattr(self._manager.hook, kind.hook).get_hookimpls():
                if implementation.plugin_name == candidate.name:
                    implementation.function(self._registrar(candidate, kind))

    def _listen_to(self, candidate: _Candidate) -> None:
        if self._group == "dreamd.engine":
            return
        for implementation in self._manager.hook.dreamd_job_changed.get_hookimpls():
            if implementation.plugin_name == candidate.name:
                function = implementation.function
                entry = _entry(Kind.NOTIFY, candidate.name, candidate, function)
                self._registered.append(Registered(entry=entry, function=function))
                self._listeners.append(
                    Listener(candidate.name, function, takes_job=bool(implementation.argnames))
                )  # fmt: skip

    def _registrar(self, candidate: _Candidate, kind: Kind) -> Callable[..., None]:
        def register(name: str, function: Callable[..., Any], **options: Any) -> None:
            self._check_name(kind, name)
            if not callable(function):
                raise PluginError(f"{kind} {name!r}: {function!r} cannot be called")
            if unknown := options.keys() - _OPTIONS.get(kind, frozenset()):
                raise PluginError(f"{kind} {name!r}: register takes no {sorted(unknown)[0]!r}")
            extensions = self._checked_extensions(name, options.get("extensions", ())) if kind is Kind.DECODER else ()
            entry = _entry(kind, name, candidate, function, extensions)
            label = f"{kind} {name!r} of plugin {candidate.name!r}"
            made = function if kind is Kind.EXECUTOR else guarded(function, label, _CHECKS.get(kind))
            weights = options.get("weights")
            source = guarded(weights, f"the weights of {label}") if callable(weights) else weights
            self._registered.append(Registered(entry=entry, function=made, weights=source))

        return register

    def _check_name(self, kind: Kind, name: str) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PluginError(f"{name!r} is no name: use letters, digits and _ . - /")
        if "*" in name and kind is not Kind.BACKBONE:
            raise PluginError(f"{kind} {name!r}: only a backbone is told the name it is asked for; leave out the `*`")
        for item in self._registered:
            if (item.entry.kind, item.entry.name) == (kind, name):
                raise PluginError(f"the {kind} {name!r} is taken by plugin {item.entry.plugin!r}; choose another name")

    def _checked_extensions(self, name: str, extensions: Collection[str]) -> tuple[str, ...]:
        if isinstance(extensions, str) or not extensions:
            raise PluginError(f'decoder {name!r} needs the endings of its files: `extensions=(".dng", ".cr2")`')
        for extension in extensions:
            if not isinstance(extension, str) or not _EXTENSION.fullmatch(extension):
                raise PluginError(f"decoder {name!r}: {extension!r} is no ending such as '.dng', in small letters")
            if extension in _OWN_EXTENSIONS:
                raise PluginError(f"decoder {name!r}: dreamd reads {extension} files by itself; leave that out")
            for item in self._registered:
                if extension in item.entry.extensions:
                    taken = f"is taken by decoder {item.entry.name!r} of plugin {item.entry.plugin!r}"
                    raise PluginError(f"decoder {name!r}: {extension} {taken}; leave that out")
        return tuple(extensions)

    def _refuse(self, candidate: _Candidate, reason: str) -> None:
        log.warning("plugin %s (%s) is not used: %s", candidate.name, candidate.origin, reason)
        self._problems.append(Problem(plugin=candidate.name, origin=candidate.origin, reason=reason))

    def _leave_out(self, candidate: _Candidate, reason: str) -> None:
        problem = Problem(plugin=candidate.name, origin=candidate.origin, reason=reason, deliberate=True)
        self._problems.append(problem)


def _entry(
    kind: Kind, name: str, candidate: _Candidate, function: Callable[..., Any], extensions: tuple[str, ...] = ()
) -> Entry:
    """The catalogue's entry of a function. Raises PluginError when a parameter of it can be no field."""
    try:
        has_fields = kind not in (Kind.EXECUTOR, Kind.DECODER, Kind.NOTIFY)
        supplied = SUPPLIED if kind is Kind.GRADIENT else frozenset()
        parameters = parameters_of(function, supplied=supplied) if has_fields else ()
    except PluginError as error:
        raise PluginError(f"{kind} {name!r}: {error}") from error
    return Entry(
        kind=kind,
        name=name,
        plugin=candidate.name,
        origin=candidate.origin,
        version=candidate.version,
        own=candidate.own,
        doc=inspect.getdoc(function) or "",
        parameters=parameters,
        extensions=extensions,
    )


def _named_in_environment() -> frozenset[str] | None:
    named = os.environ.get(LOAD_PLUGINS)
    return None if named is None else frozenset(name.strip() for name in named.split(",") if name.strip())


def _check_version(plugin: object) -> None:
    """Refuse a plugin that was written for another API than this one."""
    wanted = getattr(plugin, "DREAMD_API", api.VERSION)
    if not isinstance(wanted, int):
        raise PluginError(f"DREAMD_API must be a whole number, the version of dreamd.api, not {wanted!r}")
    if wanted > api.VERSION:
        raise PluginError(f"wants version {wanted} of dreamd.api, which is {api.VERSION} here; install a newer dreamd")
    if wanted < api.OLDEST:
        raise PluginError(
            f"was written for version {wanted} of dreamd.api, and this dreamd works with {api.OLDEST} and newer; "
            "look for a newer version of the plugin"
        )


def _from_entry_points(group: Group) -> Iterator[_Candidate]:
    # dreamd's own names are registered first, so that nobody takes `l2` or `vgg19` from under a recipe.
    for entry_point in sorted(entry_points(group=group), key=lambda point: (not _is_own(point), point.name)):
        package = entry_point.dist
        yield _Candidate(
            name=entry_point.name,
            origin=entry_point.value,
            version=package.version if package else "",
            load=entry_point.load,
            own=_is_own(entry_point),
        )


def _is_own(entry_point: EntryPoint) -> bool:
    return entry_point.dist is not None and entry_point.dist.name == "dreamd"


def _from_folders(folders: Sequence[Path]) -> Iterator[_Candidate]:
    for file in _drop_ins(folders):
        yield _Candidate(name=file.stem, origin=str(file), version=_digest(file), load=partial(_load_file, file))


def _drop_ins(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(folder.glob("[!_]*.py"))


def _digest(file: Path) -> str:
    """The version of a drop-in file: what is in it."""
    try:
        return f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"
    except OSError:
        return ""  # `_load_file` says why


def fingerprint(folders: Sequence[Path]) -> tuple[object, ...]:
    """What changes when a drop-in file comes, goes or changes, or when others may write it; a few system calls."""
    return tuple(_look(path) for path in (*folders, *_drop_ins(folders)))


def _look(path: Path) -> tuple[object, ...]:
    try:
        status = path.stat()
    except OSError:
        return (path,)
    looks = (path, status.st_mode, status.st_uid)
    return looks if stat.S_ISDIR(status.st_mode) else (*looks, status.st_mtime_ns, status.st_size, status.st_ino)


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
    if isinstance(error, pluggy.PluginValidationError):
        return str(error).splitlines()[-1]
    if isinstance(error, ImportError) and error.name == "dreamd.api":
        return f"{explained(error)}; dreamd.api is version {api.VERSION} here, and a newer dreamd may have it"
    return explained(error)

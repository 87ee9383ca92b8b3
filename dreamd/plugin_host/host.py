"""The plugin host: load plugins, register what they bring, check it, each plugin apart from the others.

A plugin that cannot be imported, names a hook that does not exist, takes a name that is taken or raises is left out,
named with its reason, and the others go on. Core knows no plugin by name; the first-party ones come by the same entry
points as anyone's.
"""

from __future__ import annotations

import inspect
import logging
import os
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pluggy

from dreamd import api
from dreamd.errors import PluginError
from dreamd.job import Job
from dreamd.plugin_host import hookspecs
from dreamd.plugin_host.calling.blame import TookTooLongError, describe_error
from dreamd.plugin_host.calling.guard import guarded
from dreamd.plugin_host.calling.listener import Listener
from dreamd.plugin_host.calling.results import (
    Inspector,
    decoded_pictures,
    eight_bit_colours,
    encoded_pictures,
    film_writer,
    like_the_gradient,
    one_value_a_picture,
    open_film,
    pictures_like_the_first,
    views_of_pictures,
)
from dreamd.plugin_host.calling.time_limit import time_limit
from dreamd.plugin_host.catalogue import Catalogue, Entry, Problem
from dreamd.plugin_host.finding.discovery import Candidate, find_plugins
from dreamd.plugin_host.kinds import LOAD_PLUGINS, Group, Kind
from dreamd.plugin_host.parameters import SUPPLIED, Parameter, parameters_of, supplied_to
from dreamd.weights.sources import Source
from dreamd.wording import suggestion

log = logging.getLogger(__name__)

_SPECS: dict[Group, type] = {"dreamd.engine": hookspecs.EngineHooks, "dreamd.daemon": hookspecs.DaemonHooks}

_LOAD_SECONDS: dict[Group, float] = {"dreamd.engine": 60.0, "dreamd.daemon": 10.0}
"""The time that a plugin may take to load, in seconds. The daemon's loop waits for its own, which need no torch."""

_LISTEN_SECONDS = 5.0
"""The time that the daemon's end waits for listeners to hear what happened last, in seconds."""

_NAME = re.compile(r"[A-Za-z0-9_.*-]+(/[A-Za-z0-9_.*-]+)*")
_EXTENSION = re.compile(r"\.[a-z0-9]+")

_OWN_EXTENSIONS = frozenset(
    {
        *(".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".dib", ".ppm", ".pgm", ".pbm"),
        *(".ico", ".jp2", ".qoi", ".pcx", ".sgi", ".tga"),
    }
)
"""The endings of the files that dreamd reads by itself: no decoder gets them."""

_OPTIONS: dict[Kind, frozenset[str]] = {
    Kind.BACKBONE: frozenset({"weights"}),
    Kind.DECODER: frozenset({"extensions"}),
    Kind.FILM: frozenset({"extensions", "create"}),
    Kind.PARAMETERIZATION: frozenset({"decode"}),
    Kind.OPTIMIZER: frozenset({"pictures", "steady"}),
    Kind.TRANSFORM: frozenset({"differentiable"}),
}
"""The keyword arguments that `register` takes, by kind."""

_SECOND_FUNCTIONS = {Kind.PARAMETERIZATION: "decode", Kind.FILM: "create"}
"""The kinds of which `register` takes two functions, and the name of the second."""

_INSPECTORS: dict[Kind, Inspector] = {
    Kind.LOSS: one_value_a_picture,
    Kind.GRADIENT: like_the_gradient,
    Kind.SCHEDULE: pictures_like_the_first,
    Kind.DECODER: eight_bit_colours,
    Kind.FILM: open_film,
    Kind.PARAMETERIZATION: encoded_pictures,
    Kind.OPTIMIZER: like_the_gradient,
    Kind.TRANSFORM: views_of_pictures,
}


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A registered function with its catalogue entry.

    The function's errors name its plugin; it is the plugin's own in an executor.

    Attributes:
        entry: the entry.
        function: the function; a parameterization's is its encode, a film's its open.
        weights: where a backbone's default weights come from.
        decode: a parameterization's.
        create: what makes a film's writer.
        pictures: how many pictures an optimizer remembers, or a function of its parameters that says so.
    """

    entry: Entry
    function: Callable[..., Any]
    weights: Source | Callable[[str], Source] | None = None
    decode: Callable[..., Any] | None = None
    create: Callable[..., Any] | None = None
    pictures: int | Callable[..., int] = 0

    def source(self, name: str) -> Source | None:
        """Return the default weights of a backbone's name."""
        return self.weights(name) if callable(self.weights) else self.weights


class Plugins:
    """The plugins of one group, loaded."""

    def __init__(
        self,
        group: Group,
        *,
        folders: Sequence[Path] = (),
        disable: Collection[str] = (),
        only: Collection[str] | None = None,
        distrusted: Mapping[str, str] = MappingProxyType({}),
        on_load: Callable[[Candidate], None] = lambda _: None,
    ) -> None:
        """Load every plugin of a group.

        Args:
            group: the entry-point group.
            folders: folders of drop-ins.
            disable: names of plugins to leave out.
            only: names of the plugins to load beside dreamd's own, whatever else there is; None: what the environment
                variable DREAMD_LOAD_PLUGINS names, or all.
            distrusted: names of plugins that must not be loaded again, and why: loading them ended a process.
            on_load: called before each plugin is loaded, so that somebody knows which one ended the process.
        """
        self._group = group
        self._manager = pluggy.PluginManager("dreamd")
        self._manager.add_hookspecs(_SPECS[group])
        self._registered: list[Registered] = []
        self._problems: list[Problem] = []
        self._listeners: list[Listener] = []
        wanted = _named_in_environment() if only is None else only
        for candidate in find_plugins(group, folders):
            if candidate.name in disable:
                self._leave_out(candidate, "disabled by plugins.disable")
            elif candidate.name in distrusted:
                self._refuse(candidate, distrusted[candidate.name])
            elif candidate.own or wanted is None or candidate.name in wanted:
                on_load(candidate)
                self._load(candidate)
            elif only is None:
                self._leave_out(candidate, f"not among those that {LOAD_PLUGINS} names")

    @cached_property
    def catalogue(self) -> Catalogue:
        """What the loaded plugins bring, as data."""
        return Catalogue(entries=tuple(item.entry for item in self._registered), problems=tuple(self._problems))

    def fixed_sources(self) -> dict[str, Source]:
        """Return the default weights of the backbones of others than dreamd, where those need not be asked for."""
        return {
            each.entry.name: each.weights
            for each in self._registered
            if isinstance(each.weights, Source) and not each.entry.own
        }

    def get(self, kind: Kind, name: str) -> Registered:
        """Return the registered function of a name. Raises UnknownNameError as `Catalogue.find` does."""
        entry = self.catalogue.find(kind, name)
        return next(item for item in self._registered if item.entry == entry)

    def decoder(self, path: Path) -> Registered | None:
        """Return what decodes a picture's file by the ending of its name; None: dreamd does it itself."""
        return self._by_extension(Kind.DECODER, path.suffix.lower())

    def film(self, extension: str) -> Registered | None:
        """Return what reads and writes films of an ending, such as `.mp4`; None: nothing does."""
        return self._by_extension(Kind.FILM, extension.lower())

    def film_extensions(self) -> list[str]:
        """Return the endings of the films that can be read and written."""
        return [end for item in self._registered if item.entry.kind is Kind.FILM for end in item.entry.extensions]

    def _by_extension(self, kind: Kind, extension: str) -> Registered | None:
        of_kind = (item for item in self._registered if item.entry.kind is kind)
        return next((item for item in of_kind if extension in item.entry.extensions), None)

    def job_changed(self, job: Job) -> None:
        """Have every plugin that listens told that a job changed. Never waits for one."""
        for listener in self._listeners:
            listener.tell(job)

    def close(self, seconds: float = _LISTEN_SECONDS) -> None:
        """Let the plugins that listen hear what they have not heard yet; wait for that so many seconds at most."""
        end = time.monotonic() + seconds
        for listener in self._listeners:
            listener.close(max(0.0, end - time.monotonic()))

    def _load(self, candidate: Candidate) -> None:
        if self._manager.has_plugin(candidate.name):
            self._refuse(candidate, f"there is another plugin {candidate.name!r}; give the file another name")
            return
        count_before = len(self._registered)
        try:
            with time_limit(_LOAD_SECONDS[self._group]):
                plugin = candidate.load()
                _check_version(plugin)
                self._manager.register(plugin, candidate.name)
                self._check_hooks(plugin)
                self._call_hooks(candidate)
        except (Exception, SystemExit, TookTooLongError) as error:
            del self._registered[count_before:]
            if self._manager.has_plugin(candidate.name):
                self._manager.unregister(name=candidate.name)
            self._refuse(candidate, _describe_load_error(error))
            log.debug("plugin %s", candidate.name, exc_info=error)
        else:
            self._add_listeners(candidate)

    def _check_hooks(self, plugin: object) -> None:
        """Refuse a misspelt hook, and a module without any: pluggy takes both in silence."""
        known = [name for name in vars(_SPECS[self._group]) if name.startswith("dreamd_")]
        callers = self._manager.get_hookcallers(plugin) or []
        for hook in callers:
            if not hook.has_spec():
                raise PluginError(f"no hook {hook.name!r} in {self._group}; {suggestion(hook.name, known)}")
        if not callers:
            raise PluginError(f"has no hook of {self._group}: mark its functions with `@hookimpl` of dreamd.api")

    def _call_hooks(self, candidate: Candidate) -> None:
        for kind in Kind:
            if kind.group == self._group and kind is not Kind.NOTIFY:  # which registers nothing: it is told of jobs
                for function in self._implementations(candidate, kind):
                    function(self._registrar(candidate, kind))

    def _add_listeners(self, candidate: Candidate) -> None:
        if Kind.NOTIFY.group != self._group:
            return
        for function in self._implementations(candidate, Kind.NOTIFY):
            entry = _entry(Kind.NOTIFY, candidate.name, candidate, function)
            self._registered.append(Registered(entry=entry, function=function))
            takes_job = bool(inspect.signature(function).parameters)
            self._listeners.append(Listener(candidate.name, function, takes_job=takes_job))

    def _implementations(self, candidate: Candidate, kind: Kind) -> list[Callable[..., object]]:
        """Return a plugin's own functions for the hook of a kind."""
        found = getattr(self._manager.hook, kind.hook).get_hookimpls()
        return [implementation.function for implementation in found if implementation.plugin_name == candidate.name]

    def _registrar(self, candidate: Candidate, kind: Kind) -> Callable[..., None]:
        """Make the `register` that a plugin's hook is called with."""

        second = _SECOND_FUNCTIONS.get(kind, "decode")

        def register(name: str, function: Callable[..., Any], *others: Callable[..., Any], **options: Any) -> None:
            self._check_name(kind, name)
            options |= {second: others[0]} if others else {}
            for one in (function, *([options.get(second)] if kind in _SECOND_FUNCTIONS else [])):
                if not callable(one):
                    raise PluginError(f"{kind} {name!r}: {one!r} cannot be called")
            if unknown := options.keys() - _OPTIONS.get(kind, frozenset()):
                raise PluginError(f"{kind} {name!r}: register takes no {sorted(unknown)[0]!r}")
            extensions: tuple[str, ...] = ()
            if kind in (Kind.DECODER, Kind.FILM):
                extensions = self._checked_extensions(kind, name, options.get("extensions", ()))
            entry = _entry(kind, name, candidate, function, extensions, options)
            label = f"{kind} {name!r} of plugin {candidate.name!r}"
            made = function if kind is Kind.EXECUTOR else guarded(function, label, _INSPECTORS.get(kind))
            weights = options.get("weights")
            source = guarded(weights, f"the weights of {label}") if callable(weights) else weights
            self._registered.append(
                Registered(
                    entry=entry,
                    function=made,
                    weights=source,
                    decode=guarded(options["decode"], label, decoded_pictures) if "decode" in options else None,
                    create=guarded(options["create"], label, film_writer) if "create" in options else None,
                    pictures=options.get("pictures", 0),
                )
            )

        return register

    def _check_name(self, kind: Kind, name: str) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PluginError(f"{name!r} is no name: use letters, digits and _ . - /")
        if "*" in name and kind is not Kind.BACKBONE:
            raise PluginError(f"{kind} {name!r}: only a backbone is told the name it is asked for; leave out the `*`")
        for item in self._registered:
            if (item.entry.kind, item.entry.name) == (kind, name):
                raise PluginError(f"the {kind} {name!r} is taken by plugin {item.entry.plugin!r}; choose another name")

    def _checked_extensions(self, kind: Kind, name: str, extensions: Collection[str]) -> tuple[str, ...]:
        if isinstance(extensions, str) or not extensions:
            raise PluginError(f'{kind} {name!r} needs the endings of its files: `extensions=(".dng", ".cr2")`')
        for extension in extensions:
            if not isinstance(extension, str) or not _EXTENSION.fullmatch(extension):
                raise PluginError(f"{kind} {name!r}: {extension!r} is no ending such as '.dng', in small letters")
            if kind is Kind.DECODER and extension in _OWN_EXTENSIONS:
                raise PluginError(f"{kind} {name!r}: dreamd reads {extension} files by itself; leave that out")
            if (item := self._by_extension(kind, extension)) is not None:
                taken = f"is taken by {kind} {item.entry.name!r} of plugin {item.entry.plugin!r}"
                raise PluginError(f"{kind} {name!r}: {extension} {taken}; leave that out")
        return tuple(extensions)

    def _refuse(self, candidate: Candidate, reason: str) -> None:
        log.warning("plugin %s (%s) is not used: %s", candidate.name, candidate.origin, reason)
        self._problems.append(Problem(plugin=candidate.name, origin=candidate.origin, reason=reason))

    def _leave_out(self, candidate: Candidate, reason: str) -> None:
        problem = Problem(plugin=candidate.name, origin=candidate.origin, reason=reason, deliberate=True)
        self._problems.append(problem)


def _entry(
    kind: Kind,
    name: str,
    candidate: Candidate,
    function: Callable[..., Any],
    extensions: tuple[str, ...] = (),
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Entry:
    """Make the catalogue's entry of a function. Raises PluginError when a parameter of it can be no field."""
    try:
        supplied = SUPPLIED.get(kind, frozenset())
        parameters = parameters_of(function, supplied=supplied) if kind.has_parameters else ()
        for parameter in parameters:
            if parameter.file in ("seen", "vector") and kind is not Kind.LOSS:
                raise PluginError(f"parameter {parameter.name!r}: only a loss has a layer that sees; use Picture")
        if kind is Kind.PARAMETERIZATION:
            parameters = _with_those_of(options["decode"], parameters)
        takes = tuple(sorted(supplied_to(function, kind))) if kind.has_parameters else ()
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
        takes=takes,
        differentiable=bool(options.get("differentiable", False)),
        steady=bool(options.get("steady", False)),
    )


def _with_those_of(decode: Callable[..., Any], parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """Add the parameters of a parameterization's decode to those of its encode; some are both's."""
    known = {parameter.name: parameter for parameter in parameters}
    for parameter in parameters_of(decode):
        same = known.setdefault(parameter.name, parameter)
        if (same.schema_, same.required, same.default) != (parameter.schema_, parameter.required, parameter.default):
            problem = "is another for encode than for decode; both need the same annotation and default"
            raise PluginError(f"parameter {parameter.name!r} {problem}")
    return tuple(known.values())


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
    oldest = max(api.OLDEST, api.OLDEST_EXECUTOR if hasattr(plugin, "dreamd_executors") else 0)
    if wanted < oldest:
        raise PluginError(
            f"was written for version {wanted} of dreamd.api, and this dreamd works with {oldest} and newer; "
            "look for a newer version of the plugin"
        )


def _describe_load_error(error: BaseException) -> str:
    if isinstance(error, pluggy.PluginValidationError):
        return str(error).splitlines()[-1]
    if isinstance(error, ImportError) and error.name == "dreamd.api":
        return f"{describe_error(error)}; dreamd.api is version {api.VERSION} here, and a newer dreamd may have it"
    return describe_error(error)

"""What a shell completes: names of folders, jobs, recipes, and of what plugins bring.

Each name comes from where it is known without loading anything heavy: a shell waits for the answer while somebody
types. What dreamd's own plugins bring ships with it; what others bring is known once an earlier command found it out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from dreamd.errors import DreamdError
from dreamd.settings.whereabouts import find_config

if TYPE_CHECKING:
    from dreamd.settings.config import Config

_MOST = 500
"""The most names that a shell is given."""

_MOST_JOBS = 200
"""The most jobs whose ids a shell is given, the newest first."""

Names = Callable[[click.Context], "Iterator[tuple[str, str]]"]
"""Yields names, each with a word of help."""


def completing(
    names: Names, *, files: bool = False
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Make of names what click asks for; where nothing can be read, there is nothing to complete.

    Args:
        names: yields the names.
        files: whether the argument may also be a file, which the shell completes itself.
    """

    def complete(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        try:
            found = [CompletionItem(name, help=text) for name, text in names(context) if name.startswith(begun)]
        except (DreamdError, OSError, ValueError):  # a broken config is told by the command itself
            found = []
        return found[:_MOST] + ([CompletionItem(begun, type="file")] if files else [])

    return complete


def folder_names(context: click.Context) -> Iterator[tuple[str, str]]:
    """Yield the folders of the inbox."""
    inbox = _config(context).inbox
    for place, folders, _ in islice(os.walk(inbox), _MOST):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from ((os.path.relpath(os.path.join(place, name), inbox), "") for name in folders)  # noqa: PTH118


def job_ids(context: click.Context) -> Iterator[tuple[str, str]]:
    """Yield the ids of jobs, the newest first, with their state and picture."""
    from dreamd.tree.journal import Journal
    from dreamd.tree.layout import StateFolder
    from dreamd.tree.snapshot import state_folder_of

    journal = Journal.open_readonly(StateFolder(state_folder_of(_config_file(context))).journal)
    if journal is not None:
        with journal:
            jobs = journal.jobs(limit=_MOST_JOBS)
        yield from ((job.id, f"{job.state} {job.path}") for job in jobs)


def preset_names(_context: click.Context) -> Iterator[tuple[str, str]]:
    """Yield the presets, each with its first line."""
    for file in sorted((Path(__file__).parents[2] / "presets").glob("*.yaml")):
        with file.open(encoding="utf-8") as lines:
            yield file.stem, lines.readline().strip("# \n")


def recipe_names(context: click.Context) -> Iterator[tuple[str, str]]:
    """Yield the presets, and the named recipes beside the config."""
    yield from preset_names(context)
    file = _config_file(context)
    if file.exists():
        yield from ((named.stem, "") for named in sorted(_config(context).recipes.glob("*.yaml")))


def backbone_names(context: click.Context) -> Iterator[tuple[str, str]]:
    """Yield the backbones that are known."""
    yield from _known(context, "backbone")


def plugin_names(context: click.Context) -> Iterator[tuple[str, str]]:
    """Yield the plugins of engine and daemon; to know their names none is loaded."""
    from dreamd.plugin_host.finding.discovery import find_plugins

    config = _config_or_none(context)
    engine, daemon = (config.plugins.engine, config.plugins.daemon) if config else ((), ())
    yield from ((one.name, "") for one in find_plugins("dreamd.engine", engine))
    yield from ((one.name, "") for one in find_plugins("dreamd.daemon", daemon))


def layer_names(context: click.Context) -> Iterator[tuple[str, str]]:
    """Yield the layers of the backbone that the line names, if they are known."""
    from dreamd.commands.plugins.known_engine import KnownEngine
    from dreamd.settings.recipes.recipe import BackboneChoice

    # Behind an option that has no value yet click parses no arguments, and leaves them in `args`.
    name = context.params.get("backbone") or next(iter(context.args), None)
    if name:
        known = KnownEngine(_config_or_none(context)).known_layers(BackboneChoice(name=name))
        yield from ((layer, "") for layer in known)


def _known(context: click.Context, kind: str) -> Iterator[tuple[str, str]]:
    """Yield what the plugins bring of a kind, as it ships or as earlier commands found it out."""
    from dreamd.commands.plugins.known_engine import KnownEngine

    catalogue = KnownEngine(_config_or_none(context)).known_catalogue()
    for entry in catalogue.entries if catalogue else ():
        if entry.kind == kind and "*" not in entry.name:
            yield entry.name, entry.plugin


def _config_file(context: click.Context) -> Path:
    return Path(context.params.get("config_file") or os.environ.get("DREAMD_CONFIG") or find_config())


def _config(context: click.Context) -> Config:
    from dreamd.settings.config import load_config

    return load_config(_config_file(context))


def _config_or_none(context: click.Context) -> Config | None:
    return _config(context) if _config_file(context).exists() else None


complete_folder = completing(folder_names)
complete_job = completing(job_ids)
complete_recipe_name = completing(recipe_names)
complete_recipe = completing(recipe_names, files=True)
complete_backbone = completing(backbone_names)
complete_layer = completing(layer_names)
complete_plugin = completing(plugin_names)
complete_plugin_file = completing(plugin_names, files=True)

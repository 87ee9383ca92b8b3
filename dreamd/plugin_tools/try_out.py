"""`dreamd plugins try`: a dream with one plugin, at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dreamd.errors import RecipeError, UsageError
from dreamd.messages import Sidecar
from dreamd.plugin_host.catalogue import Entry
from dreamd.plugin_host.host import Registered
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_tools.recipes import fields_using
from dreamd.plugin_tools.target import find_target
from dreamd.settings.recipes.merging import set_fields
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.settings.yamlfile import Document
from dreamd.worker.display import OpenProgress
from dreamd.worker.single import dream_file

_QUICK: dict[str, Any] = {"schedule": {"num_octaves": 1}, "image": {"max_side": 256}}
"""The fields that go over the preset `animals`, whose network needs no download: a dream of seconds on a processor."""


def try_plugin(
    plugin: str,
    picture: Path,
    out: Path | None,
    *,
    assignments: Sequence[str],
    device: str | None,
    progress: OpenProgress,
) -> tuple[Path, Sidecar]:
    """Dream a picture, made small, with what a plugin brings first of each kind; returns the result's path and record.

    Args:
        plugin: a drop-in file, or the name of an installed plugin.
        picture: the picture.
        out: where the result goes; None: PICTURE-PLUGIN.png in the current folder.
        assignments: fields of the recipe, as `--set` takes them.
        device: as `dreamd dream` takes it.
        progress: opens the display of the dream's progress.

    Raises:
        UsageError: the plugin cannot be loaded, or brings nothing to dream with.
    """
    target = find_target(plugin)
    if target.group == "dreamd.daemon":
        raise UsageError(f"{plugin} brings nothing to dream with; `dreamd plugins check {plugin}` tries it")
    plugins = target.load()
    registered = target.registered(plugins)
    fields = {**_QUICK, **_choices(registered)}
    out = out or Path(f"{picture.stem}-{target.name}.png")
    book = RecipeBook(None)
    documents = [*book.documents_of_name("animals"), Document(f"the trial of {target.name}", fields, {})]
    try:
        resolved = book.resolve([*documents, set_fields(assignments)])
    except RecipeError as error:
        raise UsageError(str(error)) from error
    return out, dream_file(resolved, str(picture), out, device=device, plugins=plugins, progress=progress)


def _choices(registered: Sequence[Registered]) -> dict[str, Any]:
    """Make the recipe's fields that choose the first of each kind that a plugin brings."""
    firsts = {item.entry.kind: item for item in reversed(registered)}
    fields: dict[str, Any] = {}
    for kind, item in firsts.items():
        if kind is Kind.BACKBONE:
            fields["backbone"] = {"name": _single_name(item.entry), **_weights(item)}
        elif kind not in (Kind.DECODER, Kind.FILM):
            fields |= fields_using(item.entry, {"name": item.entry.name})
    return fields


def _single_name(entry: Entry) -> str:
    if "*" in entry.name:
        raise UsageError(f"{entry.name} is a family; choose with `dreamd dream --set backbone={entry.name[:-1]}NAME`")
    return entry.name


def _weights(item: Registered) -> dict[str, str]:
    """Choose random weights for a backbone that brings none."""
    return {} if item.source(item.entry.name) is not None else {"weights": "random"}

"""The fields of a recipe that can be swept, each with values that are worth a try.

Reads files: call it from a thread. Knows no torch: names are those of the catalogue, layers those that ship.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from dreamd.files.names import parts_of
from dreamd.page.posting.recipe_folders import text_of
from dreamd.page.recipes.editor import Recipes
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.plugin_host.finding.shipped import Shipped
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.config import Config
from dreamd.settings.recipes.explaining import ExplainedField, explain
from dreamd.settings.recipes.recipe import Recipe

_NOT_SWEPT = ("output.", "stages", "sequence", "backbone.weights", "image.size", "image.mask")
"""Fields that begin so change nothing that one could see side by side, or are recipes of their own."""

_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""A number is tried at so many times its value."""

_MOST_NAMES = 8
"""The most names that are proposed of those that there are."""

_PLUGINS = {"loss.name": Kind.LOSS, "schedule.name": Kind.SCHEDULE}
"""The fields that choose a plugin by name."""


@dataclass(frozen=True, kw_only=True)
class SweepField:
    """A field that can be swept.

    Attributes:
        name: its dotted name.
        value: its value, as YAML.
        is_number: whether a range of values can be given.
        proposed: values that are worth a try, as YAML.
        names: every name that it may have; () where it is no choice of names.
    """

    name: str
    value: str
    is_number: bool
    proposed: tuple[str, ...]
    names: tuple[str, ...]


class SweepFields:
    """Lists fields, for recipes of one tree."""

    def __init__(self, config: Config, recipes: Recipes) -> None:
        self._recipes = recipes
        self._shipped = Shipped("dreamd.engine", config.plugins.engine, config.plugins.disable)

    def fields(self, folder: str, recipe: str) -> list[SweepField]:
        """List the fields of a recipe, which goes over a folder's. Raises RecipeError where it is wrong."""
        resolved = self._recipes.book().for_draft(PurePosixPath(*parts_of(folder), "recipe"), text_of(recipe))
        catalogue = self._recipes.catalogue()
        found = explain(resolved, catalogue)
        return [
            self._field(field, resolved.recipe, catalogue)
            for field in found
            if not field.name.startswith(_NOT_SWEPT) and not isinstance(field.value, list | dict)
        ]

    def _field(self, field: ExplainedField, recipe: Recipe, catalogue: Catalogue | None) -> SweepField:
        is_number = isinstance(field.value, int | float) and not isinstance(field.value, bool)
        names = tuple(self._names(field.name, recipe, catalogue))
        proposed = _spread(names, field.value) if names else tuple(_proposed(field.name, field.value))
        return SweepField(name=field.name, value=field.text, is_number=is_number, proposed=proposed, names=names)

    def _names(self, field: str, recipe: Recipe, catalogue: Catalogue | None) -> Sequence[str]:
        if field in _PLUGINS:
            return [] if catalogue is None else catalogue.names(_PLUGINS[field])
        if field.startswith("layers[") and field.endswith("].name"):
            network = self._shipped.network(recipe.backbone.name) or {"layers": []}
            return [str(layer["name"]) for layer in network["layers"]]
        return []


def _spread(names: Sequence[str], value: object) -> tuple[str, ...]:
    """Choose some of many names, in their order and evenly, with the one that is chosen now."""
    step = max(1, len(names) // _MOST_NAMES)
    chosen = {*names[step // 2 :: step][: _MOST_NAMES - 1], value}
    return tuple(name for name in names if name in chosen)


def _proposed(name: str, value: Any) -> Iterator[str]:
    """Yield values around a field's own."""
    if isinstance(value, bool):
        yield from ("false", "true")
    elif name == "seed":
        yield from (str(value + step) for step in range(5))
    elif isinstance(value, int):
        yield from dict.fromkeys(str(round(value * factor)) for factor in _FACTORS if value)
    elif isinstance(value, float):
        yield from dict.fromkeys(f"{value * factor:.3g}" for factor in _FACTORS if value)

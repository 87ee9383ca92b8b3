"""What a recipe comes to: every effective field with its value and where that came from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dreamd.errors import FieldPath, dotted
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.merging import BUILT_IN, PLUGIN_FIELDS, Resolved
from dreamd.settings.recipe import STEPS, Recipe, is_before_optimizers


@dataclass(frozen=True)
class ExplainedField:
    """A field of an effective recipe.

    Attributes:
        name: its dotted name, such as `ascent.lr`.
        value: its value, as JSON has it.
        origin: where the value came from: a file with its line, a plugin's default, or dreamd itself.
    """

    name: str
    value: Any
    origin: str

    @property
    def text(self) -> str:
        """The value as JSON, which is YAML as well."""
        return json.dumps(self.value, ensure_ascii=False)


def explain(resolved: Resolved, catalogue: Catalogue | None) -> list[ExplainedField]:
    """Explain every field of an effective recipe.

    Args:
        resolved: the recipe.
        catalogue: names the parameters that the recipe leaves to their defaults; None before a worker has said what
            its plugins bring: then those are left out.

    Raises:
        UnknownNameError: the recipe chooses a plugin that the catalogue does not have.
    """
    rows = [row for key in Recipe.model_fields for row in _field_rows(resolved.recipe, key, catalogue)]
    return [ExplainedField(dotted(path), value, _origin(resolved, path)) for path, value in rows]


def _field_rows(recipe: Recipe, key: str, catalogue: Catalogue | None) -> Iterator[tuple[FieldPath, Any]]:
    value = recipe.model_dump(mode="json")[key]
    if isinstance(value, dict):
        yield from (((key, sub), inner) for sub, inner in _with_defaults(key, value, catalogue).items())
    elif isinstance(value, list) and value:
        for index, entry in enumerate(value):
            whole = _with_defaults(key, entry, catalogue)
            yield from (((key, index, sub), inner) for sub, inner in whole.items())
    else:
        yield (key,), value


def _with_defaults(key: str, value: Mapping[str, Any], catalogue: Catalogue | None) -> dict[str, Any]:
    """Add to a plugin's mapping the defaults of the parameters that it does not give; leave others as they are."""
    if catalogue is None:
        return dict(value)
    if key in (*PLUGIN_FIELDS, *STEPS):
        return _with_parameters(STEPS.get(key) or Kind(key), value, catalogue)
    inside = {"layers": ("loss", Kind.LOSS), "ascent": ("optimizer", Kind.OPTIMIZER)}.get(key)
    if inside is None or value[inside[0]] is None:
        return dict(value)
    field, kind = inside
    return {**value, field: _with_parameters(kind, value[field], catalogue)}


def _with_parameters(kind: Kind, value: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    if kind is Kind.OPTIMIZER and is_before_optimizers(catalogue):
        return dict(value)
    entry = catalogue.find(kind, value["name"])
    return {"name": value["name"]} | {parameter.name: parameter.default for parameter in entry.parameters} | dict(value)


def _origin(resolved: Resolved, path: FieldPath) -> str:
    """Say where a field's value came from: a file with its line, a plugin's default, or the model."""
    recipe, key = resolved.recipe, str(path[0])
    origin = resolved.origins.get(path)
    if origin is None and path[-1] == "name":  # `layers: relu4_1` names no `name`
        origin = resolved.origins.get(path[:-1]) or resolved.origins.get(path[:1])
    if origin is not None:
        return str(origin)
    if path == ("layers",):
        return f"default of backbone {recipe.backbone.name}"
    if len(path) == 1 or path[-1] in ("name", "weights"):
        return BUILT_IN
    if key in STEPS and isinstance(path[1], int):
        return f"default of {STEPS[key]} {recipe.steps(key)[path[1]].name}"
    return f"default of {key} {getattr(recipe, key).name}" if key in PLUGIN_FIELDS else BUILT_IN

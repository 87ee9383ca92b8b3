"""What a recipe comes to: every effective field with its value and where that came from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dreamd.errors import FieldPath, dotted
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.recipes.checking import is_before_optimizers
from dreamd.settings.recipes.layering import PLUGIN_FIELDS, Origin, Origins
from dreamd.settings.recipes.merging import BUILT_IN, Resolved
from dreamd.settings.recipes.recipe import PARTIAL_FIELDS, STEPS, Climb, Part, Recipe


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
    return list(_explained(resolved.recipe, resolved.origins, catalogue, (), list(Recipe.model_fields)))


def explain_partial(
    partial: Climb, origins: Mapping[FieldPath, Origin], catalogue: Catalogue | None
) -> list[ExplainedField]:
    """Explain every field of one part or stage, also those that are as in the recipe.

    Args:
        partial: the part or stage.
        origins: of its fields, by their path in it.
        catalogue: as of `explain`.

    Raises:
        UnknownNameError: it chooses a plugin that the catalogue does not have.
    """
    return list(_explained(partial, origins, catalogue, (), list(type(partial).model_fields)))


def inside(origins: Mapping[FieldPath, Origin], place: FieldPath) -> Origins:
    """Return the origins of what stands in a field, by the path in it."""
    return {path[len(place) :]: origin for path, origin in origins.items() if path[: len(place)] == place}


def _explained(
    holder: Climb,
    origins: Mapping[FieldPath, Origin],
    catalogue: Catalogue | None,
    place: FieldPath,
    keys: Iterable[str],
) -> Iterator[ExplainedField]:
    """Explain some fields of a recipe, or of a part or stage of it, which stands in a field of the whole.

    Of a stage, what is as in the recipe is left out; of a recipe with a sequence, what its parts have inherited.
    """
    for key in keys:
        if partials := _partials(holder, key):
            for index, partial in enumerate(partials):
                own = inside(origins, (key, index))
                yield from _explained(partial, own, catalogue, (*place, key, index), _telling(partial, holder))
        elif key not in Part.model_fields or not _partials(holder, "sequence"):
            for path, value in _field_rows(holder, key, catalogue):
                yield ExplainedField(dotted((*place, *path)), value, _origin(holder, origins, path))


def _partials(holder: Climb, key: str) -> Sequence[Climb]:
    """Return the stages or parts in a field, which other fields do not have."""
    partials: Sequence[Climb] = getattr(holder, key, ()) if key in PARTIAL_FIELDS else ()
    return partials


def _telling(partial: Climb, holder: Climb) -> list[str]:
    """Return the fields that a stage does not have in common with its recipe, or all of a part."""
    names = list(type(partial).model_fields)
    if isinstance(partial, Part):
        return names
    return [name for name in names if getattr(partial, name) != getattr(holder, name, None)]


def _field_rows(holder: Climb, key: str, catalogue: Catalogue | None) -> Iterator[tuple[FieldPath, Any]]:
    value = holder.model_dump(mode="json", include={key})[key]
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


def _origin(holder: Climb, origins: Mapping[FieldPath, Origin], path: FieldPath) -> str:
    """Say where a field's value came from: a file with its line, a plugin's default, or the model."""
    key = str(path[0])
    origin = origins.get(path)
    if origin is None and path[-1] == "name":  # `layers: relu4_1` names no `name`
        origin = origins.get(path[:-1]) or origins.get(path[:1])
    if origin is not None:
        return str(origin)
    if path == ("layers",) and isinstance(holder, Part):
        return f"default of backbone {holder.backbone.name}"
    if len(path) == 1 or path[-1] in ("name", "weights"):
        return BUILT_IN
    if key in STEPS and isinstance(path[1], int):
        return f"default of {STEPS[key]} {holder.steps(key)[path[1]].name}"
    return f"default of {key} {getattr(holder, key).name}" if key in PLUGIN_FIELDS else BUILT_IN

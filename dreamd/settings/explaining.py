"""What a recipe comes to: every field with its origin, and the schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dreamd.errors import FieldPath, dotted
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.merging import BUILT_IN, PLUGIN_FIELDS, Resolved
from dreamd.settings.recipe import Recipe
from dreamd.settings.recipe_book import preset_names


def explained(resolved: Resolved, catalogue: Catalogue) -> list[tuple[str, str, str]]:
    """Every effective field as (dotted name, value as JSON, origin), plugins' parameters included."""
    rows = [row for key in Recipe.model_fields for row in _field_rows(resolved.recipe, key, catalogue)]
    return [(dotted(path), json.dumps(value, ensure_ascii=False), _origin(resolved, path)) for path, value in rows]


def _field_rows(recipe: Recipe, key: str, catalogue: Catalogue) -> Iterator[tuple[FieldPath, Any]]:
    value = recipe.model_dump(mode="json")[key]
    if isinstance(value, dict):
        yield from (((key, sub), inner) for sub, inner in _with_defaults(key, value, catalogue).items())
    elif isinstance(value, list) and value:
        for index, entry in enumerate(value):
            whole = _with_defaults(key, entry, catalogue)
            yield from (((key, index, sub), inner) for sub, inner in whole.items())
    else:
        yield (key,), value


def _with_defaults(key: str, value: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """A mapping with the defaults of the parameters that it does not give, if it is a plugin."""
    if key not in (*PLUGIN_FIELDS, "gradient"):
        return dict(value)
    entry = catalogue.find(Kind(key), value["name"])
    return {"name": value["name"]} | {parameter.name: parameter.default for parameter in entry.parameters} | dict(value)


def recipe_schema(catalogue: Catalogue) -> dict[str, Any]:
    """A JSON Schema of recipe.yaml, with the plugins there are, for editors."""
    schema = Recipe.model_json_schema()
    properties = schema["properties"]
    for field, kind in (("backbone", Kind.BACKBONE), ("loss", Kind.LOSS), ("schedule", Kind.SCHEDULE)):
        properties[field] = {"anyOf": _plugin_schemas(catalogue, kind)}
    gradient = _plugin_schemas(catalogue, Kind.GRADIENT)
    steps = [step | ({"required": ["name"]} if "properties" in step else {}) for step in gradient]
    properties["gradient"] = {"type": "array", "items": {"anyOf": steps}}
    layer = [{"type": "string"}, {"type": "integer", "minimum": 1}, {"$ref": "#/$defs/LayerChoice"}]
    several = {"type": "array", "items": {"anyOf": layer}, "minItems": 1}
    properties["layers"] = {"anyOf": [*layer, several, {"type": "null"}]}
    properties["extends"] = {"type": "string", "description": "A preset or a named recipe.", "examples": preset_names()}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "A dreamd recipe"
    return schema


def _plugin_schemas(catalogue: Catalogue, kind: Kind) -> list[dict[str, Any]]:
    names = catalogue.names(kind)
    families = [{"pattern": f"^{name.replace('.', '[.]').replace('*', '.*')}$"} for name in names if "*" in name]
    single = [name for name in names if "*" not in name]
    schemas: list[dict[str, Any]] = [{"type": "string", "anyOf": [{"enum": single}, *families]}]
    for entry in (entry for entry in catalogue.entries if entry.kind == kind):
        name = {"const": entry.name} if "*" not in entry.name else {"type": "string"}
        properties: dict[str, Any] = {"name": name}
        if kind is Kind.BACKBONE:
            properties["weights"] = {"type": "string", "description": "default, random, or the path of a state dict"}
        for parameter in entry.parameters:
            properties[parameter.name] = {**parameter.schema_, "description": parameter.doc}
        schemas.append({"type": "object", "properties": properties, "additionalProperties": False})
    return schemas


def _origin(resolved: Resolved, path: FieldPath) -> str:
    """Where a field's value came from: a file with its line, a plugin's default, or the model."""
    recipe, key = resolved.recipe, path[0]
    origin = resolved.origins.get(path)
    if origin is None and path[-1] == "name":  # `layers: relu4_1` names no `name`
        origin = resolved.origins.get(path[:-1]) or resolved.origins.get(path[:1])
    if origin is not None:
        return str(origin)
    if path == ("layers",):
        return f"default of backbone {recipe.backbone.name}"
    if len(path) == 1 or path[-1] in ("name", "weights"):
        return BUILT_IN
    if key == "gradient" and isinstance(path[1], int):
        return f"default of gradient {recipe.gradient[path[1]].name}"
    return f"default of {key} {getattr(recipe, str(key)).name}" if key in PLUGIN_FIELDS else BUILT_IN

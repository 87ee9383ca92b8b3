"""The JSON Schema of recipe.yaml, by which editors complete and check it."""

from __future__ import annotations

from inspect import getdoc
from typing import Any

from pydantic import BaseModel

from dreamd.plugin_host.catalogue import Catalogue
from dreamd.plugin_host.docstrings import documented, summary
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.fields import FieldModel
from dreamd.settings.recipes.recipe import STEPS, Part, Recipe, Stage
from dreamd.settings.recipes.recipe_book import preset_names


def recipe_schema(catalogue: Catalogue) -> dict[str, Any]:
    """Make a JSON Schema of recipe.yaml, with the plugins there are, for editors."""
    schema = Recipe.model_json_schema()
    parts = schema["$defs"]
    for part in (schema, *parts.values()):
        _describe(part)
    for model, part in ((Recipe, schema), (Part, parts["Part"]), (Stage, parts["Stage"])):
        _describe_inherited(part, model)
        _restrict_plugins(part["properties"], catalogue)
    _restrict(parts["Ascent"]["properties"]["optimizer"], _named(catalogue, Kind.OPTIMIZER))
    _restrict(parts["Film"]["properties"]["step"]["items"], _named(catalogue, Kind.TRANSFORM))
    _restrict(parts["LayerChoice"]["properties"]["loss"], [*_named(catalogue, Kind.LOSS), {"type": "null"}])
    extends = {"type": "string", "description": "A preset or a named recipe.", "examples": preset_names()}
    schema["properties"]["extends"] = parts["Part"]["properties"]["extends"] = extends
    schema["properties"]["sequence"]["items"] = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Part"}]}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "A dreamd recipe"
    return schema


def _restrict_plugins(properties: dict[str, Any], catalogue: Catalogue) -> None:
    """Have the fields of a recipe, a part or a stage take the plugins that there are."""
    for field, kind in (("backbone", Kind.BACKBONE), ("loss", Kind.LOSS), ("schedule", Kind.SCHEDULE)):
        if field in properties:
            _restrict(properties[field], _plugin_schemas(catalogue, kind))
    for field, kind in STEPS.items():
        if field in properties:
            properties[field]["items"] = {"anyOf": _named(catalogue, kind)}
    layer: list[dict[str, Any]] = [
        {"type": "string"},
        {"type": "integer", "minimum": 1},
        {"$ref": "#/$defs/LayerChoice"},
    ]
    several = {"type": "array", "items": {"anyOf": layer}, "minItems": 1}
    _restrict(properties["layers"], [*layer, several, {"type": "null"}])


def _describe(part: dict[str, Any]) -> None:
    """Give each field of a model's schema what the model's docstring says of it."""
    docstring = part["description"]
    part["description"] = summary(docstring)
    for field, text in documented(docstring, "Attributes").items():
        part["properties"][field]["description"] = text


def _describe_inherited(part: dict[str, Any], model: type[BaseModel]) -> None:
    """Give the fields that a model has from others what the docstrings of those say."""
    for base in model.__mro__[1:]:
        own = documented(getdoc(base) or "", "Attributes") if issubclass(base, FieldModel) else {}
        for field, text in own.items():
            part["properties"][field]["description"] = text


def _restrict(field: dict[str, Any], schemas: list[dict[str, Any]]) -> None:
    """Have a field take what one of these schemas takes, and keep its description and default."""
    field.pop("$ref", None)
    field["anyOf"] = schemas


def _named(catalogue: Catalogue, kind: Kind) -> list[dict[str, Any]]:
    """Return the schemas of a plugin that must be named, as it has none to inherit from."""
    schemas = _plugin_schemas(catalogue, kind)
    return [schema | ({"required": ["name"]} if "properties" in schema else {}) for schema in schemas]


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

"""What the controls of a recipe stand at: the values, which of them its own text gives, and what it would inherit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dreamd.errors import FieldPath
from dreamd.settings.recipes.recipe import STEPS, LayerChoice, Recipe
from dreamd.settings.recipes.values.choices import PluginChoice


def lists_of(recipe: Recipe) -> dict[str, Any]:
    """Return the fields that are lists of layers or plugins, in their shortest form: a name alone where that says all.

    Null stands for the backbone's own default layer.
    """
    layers = None if recipe.layers is None else [_short_layer(layer) for layer in recipe.layers]
    return {"layers": layers, **{field: [_short_plugin(step) for step in recipe.steps(field)] for field in STEPS}}


def own_fields(data: Mapping[str, Any]) -> list[str]:
    """Return the fields, dotted, that a recipe's own text gives: of a mapping those in it, of a list its name alone.

    A plugin's field is given where its name is, and not where only parameters go over the inherited plugin.
    """
    own: list[str] = []
    for key, value in data.items():
        if not isinstance(value, dict) or "name" in value:
            own.append(key)
        if isinstance(value, dict):
            own += [f"{key}.{inner}" for inner in value]
    return own


def path_of(values: object) -> FieldPath | None:
    """Return the path of a field that a request names as a list of steps; None for what cannot be one."""
    if not isinstance(values, list) or not 0 < len(values) <= 4:
        return None
    if not all(isinstance(step, str | int) and not isinstance(step, bool) for step in values):
        return None
    return tuple(values) if isinstance(values[0], str) else None


def _short_plugin(choice: PluginChoice) -> Any:
    return {"name": choice.name, **choice.parameters} if choice.parameters else choice.name


def _short_layer(layer: LayerChoice) -> Any:
    said = layer.model_dump(mode="json", exclude_defaults=True)
    if layer.loss is not None:
        said["loss"] = _short_plugin(layer.loss)
    return said if len(said) > 1 else layer.name

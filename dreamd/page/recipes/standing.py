"""What the controls of a recipe stand at: the values, which of them its own text gives, and what it would inherit.

A part or a stage has controls of its own, which stand at what it comes to in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dreamd.errors import FieldPath
from dreamd.settings.recipes.recipe import STEPS, Climb, LayerChoice
from dreamd.settings.recipes.values.choices import PluginChoice

_MOST_STEPS = 6
"""The most steps of a field's path: `sequence`, 0, `stages`, 0, `loss`, `power`."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """What fields come to.

    Attributes:
        fields: each field's dotted name, its value as JSON, and where that is from.
        lists: the fields that are lists: of layers and plugins in their shortest form, of parts as they are written.
        origins: where each list of parts is from.
    """

    fields: Sequence[Mapping[str, str]] = ()
    lists: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Standing(Values):
    """What the controls of a recipe stand at, or those of one of its parts or stages.

    Attributes:
        extends: the preset or named recipe that it begins with; None for none.
        own: the fields, dotted, that its own text gives.
        inherited: what it would come to without them.
        parts: of each list of parts, what the controls of each stand at.
        is_shared: whether YAML's anchors and aliases make it one with another place of the text.
    """

    extends: Any
    own: Sequence[str]
    inherited: Values
    parts: Mapping[str, Sequence[Standing]] = field(default_factory=dict)
    is_shared: bool = False


def said_by(entry: Any) -> dict[str, Any]:
    """Return what an entry of a list of parts says: a name alone extends that recipe."""
    return {"extends": entry} if isinstance(entry, str) else dict(entry)


def lists_of(recipe: Climb) -> dict[str, Any]:
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
    if not isinstance(values, list) or not 0 < len(values) <= _MOST_STEPS:
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

"""A recipe as text: as the YAML of a recipe file, and as what a picture carries of it."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from dreamd import __version__
from dreamd.json_text import to_json, without_halves
from dreamd.settings.recipes.merging import repeating
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.yamlwriting import flow_text


def recipe_text(recipe: Recipe) -> str:
    """Write a recipe as the text of a recipe file, a line a field."""
    fields = recipe.model_dump(mode="json")
    return "".join(f"{name}: {flow_text(value)}\n" for name, value in fields.items())


def carried_text(recipe: Recipe, precision: str) -> str:
    """Write what a picture carries of its recipe, in ASCII: nothing of the machine, and of a path its last name.

    Args:
        recipe: the recipe.
        precision: that the network in fact computed in.
    """
    fields = {name: without_halves(_without_folders(value)) for name, value in recipe.model_dump(mode="json").items()}
    carried = {**fields, "precision": repeating(recipe.precision, precision)}
    return to_json({"dreamd": __version__, "precision": precision, "recipe": carried})


def _without_folders(value: Any) -> Any:
    """Leave the folders out of absolute paths: who gets a picture need not know whose home it is from."""
    if isinstance(value, dict):
        return {key: _without_folders(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_folders(inner) for inner in value]
    return PurePosixPath(value).name if isinstance(value, str) and value.startswith("/") else value

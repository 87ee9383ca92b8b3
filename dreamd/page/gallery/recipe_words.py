"""The words that a recipe is found by: the names of its network, layers, losses and so on, and of its preset."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache, lru_cache

from dreamd.settings.recipes.merging import resolve
from dreamd.settings.recipes.recipe_book import RecipeBook, preset_names

_SILENT = "output"
"""The field of a recipe whose name is none that anybody looks for: that of the result's file."""

_WHAT = (
    "backbone",
    "layers",
    "loss",
    "gradient",
    "parameterization",
    "transforms",
    "start",
    "finish",
    "stages",
    "sequence",
)
"""The fields of a recipe by which it is known to be a preset's."""


def holds_word(recipe: str, word: str) -> bool:
    """Tell whether a recipe, as the JSON that a job keeps, has a name that holds a word of small letters."""
    return any(word in name for name in _words_of(recipe))


@lru_cache(maxsize=4096)
def _words_of(recipe: str) -> frozenset[str]:
    try:
        values = json.loads(recipe)
    except (ValueError, RecursionError):  # "" until it could be read
        return frozenset()
    if not isinstance(values, dict):
        return frozenset()
    names = frozenset(name.casefold() for name in _names_in(values))
    return names | {name for name, dreams in _presets().items() if _dreams_of(values) == dreams}


def _names_in(value: object) -> Iterator[str]:
    """Yield what stands in the fields `name`, at any depth."""
    if isinstance(value, dict):
        if isinstance(value.get("name"), str):
            yield value["name"]
        for field, inner in value.items():
            if field != _SILENT:
                yield from _names_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names_in(inner)


@cache
def _presets() -> dict[str, dict[str, object]]:
    """Return what each preset dreams."""
    book = RecipeBook(None)
    recipes = {name: resolve(book.documents_of_name(name)).recipe for name in preset_names()}
    return {name: _dreams_of(recipe.model_dump(mode="json")) for name, recipe in recipes.items()}


def _dreams_of(recipe: dict[str, object]) -> dict[str, object]:
    """Return the fields that say what is dreamed; how long, how large and how fast may differ from folder to folder."""
    return {field: recipe.get(field) for field in _WHAT}

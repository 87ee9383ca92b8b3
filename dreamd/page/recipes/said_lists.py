"""Parts and stages as recipes say them, before they are made whole, and a place in the text to change them.

Knows texts and documents, no requests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dreamd.errors import FieldPath, RecipeError
from dreamd.settings.editing.changes import with_value
from dreamd.settings.editing.lines import with_lines
from dreamd.settings.editing.values import along
from dreamd.settings.recipes.layering import merged
from dreamd.settings.recipes.merging import from_sidecar
from dreamd.settings.recipes.recipe import PARTIAL_FIELDS
from dreamd.settings.yamlfile import Document, document_of_text

SaidLists = Mapping[FieldPath, list[Any]]
"""Of `stages`, of `sequence` and of the `stages` of each part: the entries as they are written."""


def said_lists(documents: Sequence[Document], parts: Sequence[Sequence[Document]]) -> SaidLists:
    """Return the lists of partial recipes that documents come to, as they are written.

    Args:
        documents: the files and presets, from the bottom.
        parts: for each part of the recipe's sequence, what that extends and then the part.
    """
    whole, _ = merged(documents)
    lists: dict[FieldPath, list[Any]] = {(field,): _as_list(whole.get(field)) for field in PARTIAL_FIELDS}
    for index, layers in enumerate(parts):
        part, _ = merged([*documents, *layers])
        lists["sequence", index, "stages"] = _as_list(part.get("stages"))
    return lists


def with_own_lists(text: str, above: FieldPath, path: FieldPath, inherited: Callable[[], SaidLists]) -> str:
    """Return a recipe's text in which a part or stage, or a field of one, has its place.

    A list that is inherited is written out, because a list replaces the one that it inherits; a part that is only a
    name becomes a mapping that extends it.

    Args:
        text: the recipe's text.
        above: the field in which the recipe stands, () for the text itself.
        path: what is going to be changed.
        inherited: the lists that the recipe comes to, asked for only where one has to be written out.

    Raises:
        RecipeError: the text cannot be read, or cannot be changed so without touching more of it.
    """
    for length in range(1, len(path)):
        place, step = path[:length], path[length]
        if place[-1] not in PARTIAL_FIELDS or not isinstance(step, int):
            continue
        if said_at(text, place) is None:
            text = with_lines(with_value(text, (*above, *place), inherited().get(place, [])), (*above, *place))
        name = said_at(text, (*place, step))
        if length + 1 < len(path) and isinstance(name, str):
            text = with_value(text, (*above, *place, step), {"extends": name})
    return text


def said_at(text: str, path: FieldPath) -> Any:
    """Return what a recipe's text says of a field; None where it says nothing. Raises RecipeError for no YAML."""
    *_, value = along(from_sidecar(document_of_text(text, "the recipe", RecipeError)).data, path) or [None]
    return value


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []

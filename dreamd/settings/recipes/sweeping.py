"""Sweeps: `FIELD=V1,V2,…` as an axis, and a recipe with values of axes over it.

Knows recipes and YAML. Knows no plugins: names and parameters are checked where the dreams are built.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamd.errors import RecipeError, UsageError, dotted
from dreamd.settings.recipes.merging import Resolved, set_fields, with_paths_below
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.settings.yamlfile import Document, parse_document
from dreamd.wording import suggestion

_ORIGIN = "sweep"
"""What errors call the place that a value came from."""

_FIELD = re.compile(r"\w+(\.\w+|\[\d+\])*")
"""A field's name: `loss`, `ascent.lr`, `gradient[0].sigma`."""

_PART = re.compile(r"\w+|\[\d+\]")
"""One step of a field's name."""

_OPENING = {"[": "]", "{": "}", "(": ")"}
"""The brackets inside which a comma does not part two values, each with the one that closes it."""


_BEFORE_QUOTE = ("", "[", "{", ",", ":")
"""What stands before a quote that opens: elsewhere it is an apostrophe."""


@dataclass(frozen=True)
class Axis:
    """What differs between the dreams of a sweep.

    Attributes:
        field: the field's name, dotted: `ascent.lr`, `gradient[0].sigma`.
        values: its values as they were written, which are YAML.
    """

    field: str
    values: tuple[str, ...]


def parse_axis(text: str) -> Axis:
    """Read `ascent.lr=0.02,0.05` as an axis. Raises UsageError for what is none."""
    field, equals, values = text.partition("=")
    field = field.strip()
    if not equals or _FIELD.fullmatch(field) is None:
        raise UsageError(f"{text!r} is no FIELD=V1,V2,…: write ascent.lr=0.02,0.05 or layers=[blocks.3.2],[blocks.4.2]")
    if field == "extends":
        raise UsageError("extends cannot be swept; sweep what differs, and choose what to start from with --recipe")
    found = tuple(dict.fromkeys(split_values(values, text)))
    if "" in found:
        raise UsageError(f"{text!r} has an empty value; write null, [] or '' for one that is meant to be empty")
    return Axis(field, found)


def split_values(text: str, whole: str) -> list[str]:
    """Split text at the commas outside of brackets and quotes.

    Args:
        text: the values.
        whole: what they are a part of, for the error.

    Raises:
        UsageError: a bracket or a quote is not closed.
    """
    values, closing, quote = [""], [], ""
    for sign in text:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"" and values[-1].rstrip()[-1:] in _BEFORE_QUOTE:
            quote = sign
        elif sign in _OPENING:
            closing.append(_OPENING[sign])
        elif closing and sign == closing[-1]:
            closing.pop()
        elif sign == "," and not closing:
            values.append("")
            continue
        values[-1] += sign
    if closing or quote:
        raise UsageError(f"{whole!r}: {(quote or closing[-1])!r} is missing")
    return [value.strip() for value in values]


def recipe_with(base: Sequence[Document], common: Resolved, values: Mapping[str, str], book: RecipeBook) -> Resolved:
    """Return a recipe with some fields set: a backbone first and what lies deeper last, which those would reset.

    Args:
        base: the recipe's documents.
        common: what they come to.
        values: by field, as YAML.
        book: where the parts of a sequence are looked up by name.

    Raises:
        RecipeError: a field or a value is wrong.
    """
    documents, resolved = list(base), common
    for field in sorted(values, key=lambda name: (name.partition(".")[0] != "backbone", len(_PART.findall(name)))):
        documents.append(_document(resolved.recipe, field, values[field]))
        resolved = book.resolve(documents)
    return resolved


def _document(recipe: Recipe, field: str, text: str) -> Document:
    """Return what sets a field, however deep it lies, of a recipe to a value."""
    parts = [int(part[1:-1]) if part.startswith("[") else part for part in _PART.findall(field)]
    if len(parts) <= 2 and all(isinstance(part, str) for part in parts):
        return set_fields([f"{field}={text}"], _ORIGIN)
    value = parse_document(f"value: {text}", f"{_ORIGIN} {field}={text}", RecipeError).data["value"]
    whole: Any = recipe.model_dump(mode="json")
    holder = whole
    for depth, part in enumerate(parts[:-1]):
        holder = _inside(holder, part, parts[: depth + 1])
    if isinstance(parts[-1], int) or not isinstance(holder, dict):
        _inside(holder, parts[-1], parts)
    holder[parts[-1]] = value
    return with_paths_below(Path(), Document(_ORIGIN, {str(parts[0]): whole[str(parts[0])]}))


def _inside(holder: Any, part: str | int, path: list[str | int]) -> Any:
    """Return what has a name or number in a mapping or list of a recipe. Raises RecipeError when there is nothing."""
    *above, _ = path
    if isinstance(part, str) and isinstance(holder, dict):
        if part in holder:
            return holder[part]
        raise RecipeError(f"is not a field here; {suggestion(part, holder)}", file=_ORIGIN, field=tuple(path))
    if isinstance(part, int) and isinstance(holder, list):
        if part < len(holder):
            return holder[part]
        raise RecipeError(f"has {len(holder)} entries, counted from 0", file=_ORIGIN, field=tuple(above))
    kind = "is no list" if isinstance(part, int) else "has no fields"
    raise RecipeError(f"{kind} in this recipe, so there is no {dotted(tuple(path))}", file=_ORIGIN, field=tuple(above))

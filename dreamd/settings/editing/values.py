"""The values that a YAML text has, and those along the path of a field. Knows YAML, no recipes."""

from __future__ import annotations

from typing import Any

from dreamd.errors import FieldPath, RecipeError
from dreamd.settings.yamlfile import document_of_text


def values_in(text: str) -> dict[str, Any]:
    """Read the values of a text of YAML. Raises RecipeError where it is none."""
    return document_of_text(text, "the recipe", RecipeError).data


def along(data: Any, path: FieldPath) -> list[Any] | None:
    """Return values and then, step by step, those that a path leads to; None where it leads to none."""
    found = [data]
    for step in path:
        holder = found[-1]
        keys = holder if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        if step not in keys:
            return None
        found.append(holder[step])
    return found

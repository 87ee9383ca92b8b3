"""Proving a change of a YAML text: it reads as it should, and has lost no comment. Knows YAML, no recipes."""

from __future__ import annotations

from collections import Counter
from typing import Any

from dreamd.errors import FieldPath, RecipeError, dotted
from dreamd.settings.editing.places import comments_of
from dreamd.settings.editing.values import values_in


def proved(old: str, new: str, expected: dict[str, Any], path: FieldPath) -> str:
    """Return the new text if it reads as expected and has lost no comment.

    Args:
        old: the text before the change.
        new: the text after it.
        expected: the values that the new text must have.
        path: the field that was changed, for the message.

    Raises:
        RecipeError: it does not read so, or a comment is lost.
    """
    try:
        is_right = values_in(new) == expected and not Counter(comments_of(old)) - Counter(comments_of(new))
    except RecipeError:
        is_right = False
    if not is_right:
        raise RecipeError(f"{dotted(path)} is written in a way that only a person should change; change it in the text")
    return new

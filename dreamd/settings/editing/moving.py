"""Moving an entry of a list in a YAML text, as a person would: with the comments that belong to it.

Neighbours change places until the entry is where it shall be. An entry with lines of its own takes along the comments
right above it, behind it, and those below it that stand deeper than its dash; empty lines, and comments between them,
stay where they are. Knows YAML, no recipes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import yaml

from dreamd.errors import FieldPath, RecipeError, dotted
from dreamd.settings.editing.places import (
    column_of,
    dash_of,
    end_of,
    end_with_comments,
    entry_spans,
    found,
    line_start,
    next_line,
)
from dreamd.settings.editing.proving import proved
from dreamd.settings.editing.values import along, values_in


def with_moved(text: str, path: FieldPath, to: int) -> str:
    """Return a text of YAML with an entry of a list at another place of the list, and all else as it was.

    Args:
        text: the text, a mapping.
        path: the entry, by its number in the list.
        to: the number that it shall have.

    Raises:
        RecipeError: the text is not YAML, has no such entry, or cannot be changed so without touching more of it.
    """
    expected = values_in(text)
    entries = _list_at(expected, path[:-1])
    index = path[-1]
    if entries is None or not isinstance(index, int) or not 0 <= index < len(entries) or not 0 <= to < len(entries):
        raise RecipeError(f"{dotted(path)} cannot be moved: there is no such place in the text")
    entries.insert(to, entries.pop(index))
    new = text
    for first in range(index, to) if index < to else reversed(range(to, index)):
        new = _with_swapped(new, path[:-1], first)
    return proved(text, new, expected, path)


def _list_at(data: Any, path: FieldPath) -> list[Any] | None:
    """Return the list that is a field's value; None where there is no list."""
    *_, value = along(data, path) or [None]
    return value if isinstance(value, list) else None


def _with_swapped(text: str, path: FieldPath, first: int) -> str:
    """Return a text with two neighbours of a list in each other's place."""
    _, node, _ = found(text, path)
    assert isinstance(node, yaml.SequenceNode)
    spans = _inline_spans(text, node, first) if node.flow_style else _line_spans(text, node, first)
    (start, end), (other_start, other_end) = spans
    return text[:start] + text[other_start:other_end] + text[end:other_start] + text[start:end] + text[other_end:]


def _inline_spans(text: str, node: yaml.SequenceNode, first: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return where an entry in brackets and the next one stand.

    Raises:
        RecipeError: a comment stands around them, and nobody can tell to which of them it belongs.
    """
    spans = [(node.start_mark.index + 1,) * 2, *entry_spans(node, text), (node.end_mark.index - 1,) * 2]
    around = spans[first : first + 4]
    if any("#" in text[end:start] for (_, end), (start, _) in pairwise(around)):
        raise RecipeError("a comment stands between the entries in brackets; move them in the text")
    return around[1], around[2]


def _line_spans(text: str, node: yaml.SequenceNode, first: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return where the lines of an entry and of the next one stand, without the last line's break."""
    entries = node.value[first : first + 2]
    dashes = [dash_of(text, entry) for entry in entries]
    if any(text[line_start(text, dash) : dash].strip() for dash in dashes):
        raise RecipeError("the list begins behind something else in its line; move its entries in the text")
    above = [0, *(next_line(text, _end_of_lines(text, entry)) for entry in node.value[: first + 1])]
    starts = [
        _with_comments_above(text, line_start(text, dash), least)
        for dash, least in zip(dashes, above[first:], strict=True)
    ]
    return (starts[0], _end_of_lines(text, entries[0])), (starts[1], _end_of_lines(text, entries[1]))


def _end_of_lines(text: str, entry: yaml.Node) -> int:
    """Return where the last line of an entry ends, with the comments below it that stand deeper than its dash."""
    return end_with_comments(text, end_of(entry, text), column_of(text, dash_of(text, entry)))


def _with_comments_above(text: str, start: int, least: int) -> int:
    """Return where the lines of comments right above a line begin, or that line; none that stand before `least`."""
    while start > least:
        above = line_start(text, start - 1)
        if not text[above:start].lstrip(" ").startswith("#"):
            break
        start = above
    return start

"""Giving each entry of a list in a YAML text a line of its own, so that a person can read it and comment on it."""

from __future__ import annotations

import yaml

from dreamd.errors import FieldPath
from dreamd.settings.editing.places import entry_spans, found, line_end, line_start, newline_of
from dreamd.settings.editing.proving import proved
from dreamd.settings.editing.values import values_in

_INDENT = 2
"""How much deeper than its key a list's dashes stand, in spaces."""


def with_lines(text: str, path: FieldPath) -> str:
    """Return a text of YAML in which a list in brackets has a line for each entry.

    The text comes back as it is where that list stands in brackets itself, goes over several lines or has an anchor.

    Args:
        text: the text, a mapping.
        path: the list.

    Raises:
        RecipeError: the text is not YAML.
    """
    values = values_in(text)
    holders = [found(text, path[:length])[1] for length in range(len(path))]
    holder, node, _ = found(text, path)
    if not isinstance(holder, yaml.MappingNode) or not isinstance(node, yaml.SequenceNode) or not node.value:
        return text
    start, end = node.start_mark.index, node.end_mark.index
    key = next(key for key, value in holder.value if value is node)
    is_in_brackets = any(isinstance(each, yaml.CollectionNode) and each.flow_style for each in holders)
    if is_in_brackets or text[start] != "[" or line_start(text, key.start_mark.index) != line_start(text, end):
        return text
    indent = " " * (key.start_mark.column + _INDENT)
    entries = "".join(f"{newline_of(text)}{indent}- {text[first:last]}" for first, last in entry_spans(node, text))
    below = line_end(text, end)
    new = text[:start].rstrip(" ") + text[end:below] + entries + text[below:]
    return proved(text, new, values, path)

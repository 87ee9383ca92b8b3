"""Changing one value of a YAML text in its place: every other character stays, comments above all.

A library that reads and writes YAML again (ruamel.yaml) keeps comments, but not quotes, spaces and line breaks. So the
text is cut where PyYAML's marks say that the value stands. Each change is proved: the new text must read as the old
values with that one changed, and must hold every comment of the old one; else it is refused. Knows YAML, no recipes.
"""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any

import yaml

from dreamd.errors import FieldPath, RecipeError
from dreamd.json_text import to_json
from dreamd.settings.editing.places import (
    child,
    column_of,
    dash_of,
    end_of,
    end_with_comments,
    ended,
    entry_spans,
    found,
    line_start,
    newline_of,
    spliced,
    value_of,
    without_lines,
)
from dreamd.settings.editing.proving import proved
from dreamd.settings.editing.values import along, values_in
from dreamd.settings.yamlwriting import flow_text

_NAME = "name"
"""The key that a name alone stands for: `loss: l2` is `loss: {name: l2}`."""

_FIRST = "extends"
"""The key that is written before all others, since they go over what it names."""


def with_value(text: str, path: FieldPath, value: Any) -> str:
    """Return a text of YAML with one field set: a value's characters are replaced, or a field is added.

    A mapping or list that is there already is changed entry by entry, so that the other entries keep their form.

    Args:
        text: the text, a mapping.
        path: the field; the last of a list may be one more than there are. Mappings that are missing are made.
        value: its value, as JSON has it.

    Raises:
        RecipeError: the text is not YAML, or cannot be changed so without touching more of it.
    """
    expected = values_in(text)
    _put(expected, path, value)
    return proved(text, _set(text, path, value), expected, path)


def without_value(text: str, path: FieldPath) -> str:
    """Return a text of YAML without a field; a mapping that it leaves empty goes too. Raises as `with_value` does."""
    expected = values_in(text)
    removal = _removal(expected, path)
    if removal is None:
        return text
    _drop(expected, removal)
    return proved(text, _remove(text, removal), expected, path)


# On values


def _put(data: Any, path: FieldPath, value: Any) -> None:
    """Put a value into values. Raises RecipeError where a list has no entry of that number."""
    holder = data
    for step, below in pairwise(path):
        inner = _inside(holder, step)
        if not isinstance(inner, dict | list):
            inner = holder[step] = _expanded(inner, below)
        holder = inner
    if isinstance(holder, list) and path[-1] == len(holder):
        holder.append(value)
        return
    _inside(holder, path[-1])
    holder[path[-1]] = value


def _inside(holder: Any, step: str | int) -> Any:
    """Return what stands at a step, None for a key that is not there. Raises RecipeError for no step of this holder."""
    if isinstance(holder, dict) and isinstance(step, str):
        return holder.get(step)
    if isinstance(holder, list) and isinstance(step, int) and 0 <= step < len(holder):
        return holder[step]
    raise RecipeError(f"there is no place for {step} in the text")


def _expanded(value: Any, below: str | int) -> dict[str, Any]:
    """Return the mapping that a name alone stands for, or an empty one. Raises RecipeError where none can be."""
    if isinstance(below, int) or not (value is None or isinstance(value, str | int)):
        raise RecipeError(f"there is no place for {below} in the text")
    return {} if value is None else {_NAME: value}


def _removal(data: Any, path: FieldPath) -> FieldPath | None:
    """Return what has to go for a field to be gone: itself, or the mapping that would be empty; None if it is gone."""
    holders = along(data, path)
    if holders is None:
        return None
    while len(path) > 1 and isinstance(holders[-2], dict) and len(holders[-2]) == 1 and isinstance(path[-2], str):
        path = path[:-1]
        holders.pop()
    return path


def _drop(data: Any, path: FieldPath) -> None:
    for step in path[:-1]:
        data = data[step]
    del data[path[-1]]


# On the text


def _set(text: str, path: FieldPath, value: Any) -> str:
    holder, node, depth = found(text, path)
    if depth < len(path):
        return _add(text, holder, path[depth], _nested(path[depth + 1 :], value))
    assert node is not None
    old = value_of(node)
    if to_json(old) == to_json(value):
        return text
    if isinstance(old, dict) and isinstance(value, dict) and old and value:
        for key in old.keys() - value.keys():
            text = _remove(text, (*path, key))
        for key, inner in value.items():
            text = _set(text, (*path, key), inner)
        return text
    if isinstance(old, list) and isinstance(value, list) and old and value:
        return _set_list(text, path, old, value)
    return _replace(text, holder, path[-1], value)


def _set_list(text: str, path: FieldPath, old: list[Any], new: list[Any]) -> str:
    """Change a list's entries, from the last one on, so that the numbers of those before stay."""
    pairs = SequenceMatcher(None, [*map(to_json, old)], [*map(to_json, new)], autojunk=False).get_opcodes()
    for tag, old_from, old_to, new_from, new_to in reversed(pairs):
        if tag == "equal":
            continue
        common = min(old_to - old_from, new_to - new_from)
        for index in reversed(range(old_from + common, old_to)):
            text = _remove(text, (*path, index))
        for index in reversed(range(new_from + common, new_to)):
            text = _insert(text, path, old_from + common, new[index])
        for index in range(common):
            text = _set(text, (*path, old_from + index), new[new_from + index])
    return text


def _insert(text: str, path: FieldPath, index: int, value: Any) -> str:
    """Insert an entry into a list before the one of a number, or at its end."""
    _, node, _ = found(text, path)
    assert isinstance(node, yaml.SequenceNode)
    if index == len(node.value):
        return _add(text, node, index, value)
    entry = node.value[index]
    if node.flow_style:
        return spliced(text, entry.start_mark.index, entry.start_mark.index, f"{flow_text(value)}, ")
    dash = dash_of(text, entry)
    indent = " " * column_of(text, dash)
    return spliced(text, dash, dash, f"- {flow_text(value)}{newline_of(text)}{indent}")


def _nested(path: FieldPath, value: Any) -> Any:
    for step in reversed(path):
        value = {step: value}
    return value


def _replace(text: str, holder: yaml.Node | None, step: str | int, value: Any) -> str:
    """Replace a value; a list or mapping of several lines becomes one line, behind its key."""
    assert holder is not None
    node = child(holder, step)
    assert node is not None
    start, end = node.start_mark.index, end_of(node, text)
    if isinstance(holder, yaml.MappingNode):
        key = next(key for key, inner in holder.value if inner is node)
        colon = text.index(":", key.end_mark.index) + 1
        if start < colon:
            raise RecipeError("an alias stands there; change it in the text")
        if "\n" in text[colon:start] or start == end:
            start = colon
    written = flow_text(value)
    return spliced(text, start, end, written if text[start - 1] in " [{(" else f" {written}")


def _add(text: str, holder: yaml.Node | None, step: str | int, value: Any) -> str:
    """Add an entry at the end of a mapping or list; a name alone becomes a mapping first."""
    if holder is None or (isinstance(holder, yaml.ScalarNode) and holder.start_mark.index == holder.end_mark.index):
        if holder is not None and text[: holder.start_mark.index].rstrip().endswith(":"):
            at = holder.start_mark.index
            return spliced(text, at, at, f" {flow_text({step: value})}")
        return f"{ended(text)}{_entry(step, value)}{newline_of(text)}"
    if isinstance(holder, yaml.ScalarNode):
        name = value_of(holder)
        whole = {step: value} if name is None else {_NAME: name, step: value}
        return spliced(text, holder.start_mark.index, end_of(holder, text), flow_text(whole))
    assert isinstance(holder, yaml.CollectionNode)
    entries = holder.value
    written = flow_text(value) if isinstance(holder, yaml.SequenceNode) else _entry(step, value)
    if not entries:
        at = holder.start_mark.index + 1
        return spliced(text, at, at, written)
    first = entries[0][0] if isinstance(holder, yaml.MappingNode) else entries[0]
    if step == _FIRST:
        at = first.start_mark.index
        return spliced(text, at, at, f"{written}, " if holder.flow_style else f"{written}{newline_of(text)}")
    last = end_of(entries[-1][1] if isinstance(holder, yaml.MappingNode) else entries[-1], text)
    if holder.flow_style:
        return spliced(text, last, last, f", {written}")
    if isinstance(holder, yaml.SequenceNode):
        start, written = dash_of(text, first), f"- {written}"
    else:
        start = first.start_mark.index
    column = column_of(text, start)
    below = end_with_comments(text, last, column)
    return spliced(text, below, below, f"{newline_of(text)}{' ' * column}{written}")


def _remove(text: str, path: FieldPath) -> str:
    """Remove an entry of a mapping or list; the last one of a list leaves []."""
    holder, node, _ = found(text, path)
    assert isinstance(holder, yaml.CollectionNode)
    assert node is not None
    spans = list(entry_spans(holder, text))
    children = [entry[1] if isinstance(entry, tuple) else entry for entry in holder.value]
    index = next(number for number, child in enumerate(children) if child is node)
    if len(spans) == 1:
        empty: list[Any] | dict[str, Any] = [] if isinstance(holder, yaml.SequenceNode) else {}
        if len(path) == 1:
            return without_lines(text, *spans[0]) if not holder.flow_style else spliced(text, *spans[0], "")
        above, _, _ = found(text, path[:-1])
        return _replace(text, above, path[-2], empty)
    start, end = spans[index]
    if not holder.flow_style and not text[line_start(text, start) : start].strip():
        return without_lines(text, start, end)
    if index + 1 < len(spans):
        return spliced(text, start, spans[index + 1][0], "")
    return spliced(text, spans[index - 1][1], end, "")


def _entry(key: str | int, value: Any) -> str:
    return f"{flow_text(key)}: {flow_text(value)}"

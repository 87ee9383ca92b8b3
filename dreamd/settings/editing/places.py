"""Where things stand in a YAML text, and cutting it there. Knows characters and PyYAML's marks, no fields."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from typing import Any

import yaml

from dreamd.errors import FieldPath
from dreamd.settings.yamlfile import YamlLoader

_COMMENT = re.compile(r"#[^\r\n]*")
"""A comment in what stands between two tokens, where nothing else but space can be."""


def comments_of(text: str) -> list[str]:
    """Return the comments of a text of YAML in their order."""
    return [text[start:end] for start, end in _comment_spans(text)]


def found(text: str, path: FieldPath) -> tuple[yaml.Node | None, yaml.Node | None, int]:
    """Follow a path as far as there are nodes: returns the holder of the last one, that one, and the steps taken.

    Where the path ends early, the holder is the node in which the next step is missing.
    """
    loader = YamlLoader(text)
    try:
        node = loader.get_single_node()
    finally:
        loader.dispose()
    holder: yaml.Node | None = None
    for depth, step in enumerate(path):
        inner = child(node, step)
        if inner is None:
            return node, None, depth
        holder, node = node, inner
    return holder, node, len(path)


def child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    """Return what stands under a key of a mapping or a number of a list; None for nothing."""
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        inner: yaml.Node = node.value[step]
        return inner
    return None


def shared_places(text: str) -> frozenset[FieldPath]:
    """Return the fields of a text of YAML that are one by an anchor and its aliases: a change of one changes all."""
    loader = YamlLoader(text)
    try:
        places = list(_node_places(loader.get_single_node(), ()))
    finally:
        loader.dispose()
    times = Counter(id(node) for _, node in places)
    return frozenset(place for place, node in places if times[id(node)] > 1)


def _node_places(node: yaml.Node | None, place: FieldPath) -> Iterator[tuple[FieldPath, yaml.Node]]:
    """Yield every mapping, list and value of a text that was read before, each with its field."""
    if node is None:
        return
    yield place, node
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _node_places(value, (*place, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _node_places(value, (*place, index))


def value_of(node: yaml.Node) -> Any:
    """Return the value that a node of a text that was read before stands for, as JSON has it."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: value_of(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [value_of(value) for value in node.value]
    return yaml.load(node.value, YamlLoader) if node.tag != "tag:yaml.org,2002:str" else node.value


def spliced(text: str, start: int, end: int, written: str) -> str:
    """Replace a part of a text; comments in it become lines before the line that it begins in."""
    kept = [text[first:last] for first, last in _comment_spans(text) if start <= first < end]
    at = line_start(text, start)
    indent = text[at : at + len(text[at:]) - len(text[at:].lstrip(" "))]
    lines = "".join(f"{indent}{comment}{newline_of(text)}" for comment in kept)
    return text[:at] + lines + text[at:start] + written + text[end:]


def without_lines(text: str, start: int, end: int) -> str:
    """Remove the lines from one place to another; a comment in them stays as a line."""
    first = line_start(text, start)
    last = line_end(text, end)
    last += len(newline_of(text)) if last < len(text) else 0
    return spliced(text, first, last, "")


def end_of(node: yaml.Node, text: str) -> int:
    """Return where a node's last character is: PyYAML ends a block where the next thing begins, behind comments."""
    if isinstance(node, yaml.ScalarNode):
        end: int = node.end_mark.index
        return len(text[:end].rstrip("\r\n")) if node.style in ("|", ">") else end
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return end_of(last[1] if isinstance(node, yaml.MappingNode) else last, text)


def dash_of(text: str, entry: yaml.Node) -> int:
    """Return where the dash of a list's entry is."""
    return text.rindex("-", 0, entry.start_mark.index)


def entry_spans(holder: yaml.CollectionNode, text: str) -> Iterator[tuple[int, int]]:
    """Yield where each entry of a mapping or list stands, with its key or dash."""
    for entry in holder.value:
        if isinstance(holder, yaml.MappingNode):
            yield entry[0].start_mark.index, end_of(entry[1], text)
        else:
            yield (entry.start_mark.index if holder.flow_style else dash_of(text, entry)), end_of(entry, text)


def line_start(text: str, at: int) -> int:
    """Return where the line of a place begins."""
    return text.rfind("\n", 0, at) + 1


def line_end(text: str, at: int) -> int:
    """Return where the line of a place ends, before its line break."""
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    return end - 1 if end > at and text[end - 1] == "\r" else end


def next_line(text: str, end: int) -> int:
    """Return where the line after the one that ends here begins."""
    return text.find("\n", end) + 1 or len(text)


def column_of(text: str, at: int) -> int:
    """Return how many characters stand before a place in its line."""
    return at - line_start(text, at)


def end_with_comments(text: str, end: int, column: int) -> int:
    """Return where the last line of an entry ends, with the comments below it that stand deeper than the entry.

    Args:
        text: the text.
        end: where the entry's last character is.
        column: where in its line the entry begins.
    """
    end = line_end(text, end)
    at = next_line(text, end)
    while at < len(text):
        line = text[at : line_end(text, at)]
        bare = line.lstrip(" ")
        if bare and not (bare.startswith("#") and len(line) - len(bare) > column):
            break
        end = at + len(line) if bare else end
        at = next_line(text, at + len(line))
    return end


def newline_of(text: str) -> str:
    """Return the line break that a text has."""
    return "\r\n" if "\r\n" in text else "\n"


def ended(text: str) -> str:
    """Return a text whose last line has its line break."""
    return text if not text or text.endswith("\n") else f"{text}{newline_of(text)}"


def _comment_spans(text: str) -> list[tuple[int, int]]:
    """Return where the comments of a text of YAML are: what is neither a token nor space."""
    tokens = _token_spans(text)
    starts = [start for start, _ in tokens]
    spans, at = [], 0
    while match := _COMMENT.search(text, at):
        before = bisect_right(starts, match.start()) - 1
        token_end = tokens[before][1] if before >= 0 else 0
        if token_end <= match.start():
            spans.append(match.span())
            at = match.end()
        else:
            at = token_end
    return spans


def _token_spans(text: str) -> list[tuple[int, int]]:
    """Return where the tokens of a text of YAML are, in their order; those that stand for no character are left out."""
    loader = YamlLoader(text)
    try:
        spans = []
        while loader.check_token():
            token: yaml.Token = loader.get_token()  # type: ignore[no-untyped-call]
            spans.append((token.start_mark.index, token.end_mark.index))
    finally:
        loader.dispose()
    return sorted((start, end) for start, end in spans if start < end)

"""Plugins as lines for a person. Pure text: prints nothing and looks nothing up."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from dreamd.commands.terminal.printing import wrap
from dreamd.plugin_host.catalogue import Catalogue, Entry
from dreamd.plugin_host.kinds import Kind

_ORDER = (*(kind for kind in Kind if kind is not Kind.BACKBONE), Kind.BACKBONE)
"""The order in which kinds are listed: backbones come last, because there are many."""


_KIND_WIDTH = max(map(len, Kind))
"""The width of the column of kinds, in characters."""


def plugin_lines(catalogue: Catalogue) -> Iterator[str]:
    """List everything there is to dream with. What is the same under many names is told once, before its names."""
    groups = sorted(_groups(catalogue.entries), key=lambda group: (_ORDER.index(group[0].kind), len(group) > 1))
    width = max((len(group[0].name) for group in groups if len(group) == 1), default=0)
    kind = None
    for group in groups:
        first = group[0]
        column = f"{'' if first.kind == kind else first.kind:<{_KIND_WIDTH}} "
        kind = first.kind
        summary = _summary(first) + ("" if first.plugin == first.name else f" (plugin {first.plugin})")
        if len(group) == 1:
            yield from wrap(f"{column}{first.name:<{width}}  ", summary)
        else:
            yield from wrap(column, summary)
            yield from wrap(" " * (_KIND_WIDTH + 3), ", ".join(entry.name for entry in group))
    for problem in catalogue.problems:
        yield f"not used  {problem.plugin} ({problem.origin}): {problem.reason}"


def entry_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """Show what a plugin brings: its documentation and its parameters."""
    for group in _groups(entries):
        first = group[0]
        names = ", ".join(entry.name for entry in group)
        yield from wrap(f"{first.kind} ", names)
        yield f"from {first.origin} {first.version}".rstrip()
        yield f"by hook {first.hook}" + (f", for {' '.join(first.extensions)}" if first.extensions else "")
        yield ""
        yield re.sub(r"\nArgs:\n(?:[ \t].*(?:\n|$)|\n)*", "\n", first.doc).strip() or "It has no documentation."
        yield ""
        for parameter in first.parameters:
            default = "required" if parameter.required else f"default {json.dumps(parameter.default)}"
            yield f"  {parameter.name}: {parameter.type}, {default}"
            yield f"      {parameter.doc}"
        if not first.parameters:
            yield "  It has no parameters."


def _groups(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Put entries together that say the same of themselves and come from one plugin."""

    def own(entry: Entry) -> tuple[str, str, str, str]:
        return entry.kind, entry.plugin, entry.doc, json.dumps([item.model_dump() for item in entry.parameters])

    by_name = sorted(entries, key=lambda entry: entry.name)
    groups = [list(group) for _, group in groupby(sorted(by_name, key=own), key=own)]
    return sorted(groups, key=lambda group: group[0].name)


def _summary(entry: Entry) -> str:
    return entry.doc.partition("\n")[0]

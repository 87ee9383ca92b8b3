"""What `introspect` finds out, as lines for a person. Pure text: prints nothing and looks nothing up."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from textwrap import wrap

from dreamd.commands.introspect import WeightsRow
from dreamd.engine.backbone import Layer
from dreamd.plugin_host.catalogue import Catalogue, Entry
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.explaining import ExplainedField

_ORDER = (Kind.LOSS, Kind.SCHEDULE, Kind.GRADIENT, Kind.DECODER, Kind.EXECUTOR, Kind.NOTIFY, Kind.BACKBONE)
"""Of kinds: backbones last, for they are many."""

_FALLBACK_SIZE = (100, 24)
_NARROWEST = 40


def plugin_lines(catalogue: Catalogue) -> Iterator[str]:
    """Everything there is to dream with. What one plugin brings under many names is told once, before its names."""
    groups = sorted(_groups(catalogue.entries), key=lambda group: (_ORDER.index(group[0].kind), len(group) > 1))
    width = max((len(group[0].name) for group in groups if len(group) == 1), default=0)
    kind = None
    for group in groups:
        first = group[0]
        column = f"{'' if first.kind == kind else first.kind:<9} "
        kind = first.kind
        summary = _summary(first) + ("" if first.plugin == first.name else f" (plugin {first.plugin})")
        if len(group) == 1:
            yield from _wrapped(f"{column}{first.name:<{width}}  ", summary)
        else:
            yield from _wrapped(column, summary)
            yield from _wrapped(" " * 12, ", ".join(entry.name for entry in group))
    for problem in catalogue.problems:
        yield f"not used  {problem.plugin} ({problem.origin}): {problem.reason}"


def entry_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """What a plugin brings: its documentation and its parameters."""
    for group in _groups(entries):
        first = group[0]
        names = ", ".join(entry.name for entry in group)
        yield from _wrapped(f"{first.kind} ", names)
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


def layer_lines(layers: Sequence[Layer], default: str | None) -> Iterator[str]:
    """A table of layers; the one that recipes look at which name none is marked."""
    width = max((len(layer.name) for layer in layers), default=0)
    yield f"{'#':>4}  {'layer':<{width}}  {'shape':<16} {'stride':>6} {'sees':>6}"
    for number, layer in enumerate(layers, 1):
        shape = "×".join(map(str, layer.shape))
        mark = "  default" if layer.name == default else ""
        field = layer.receptive_field or "all"
        yield f"{number:>4}  {layer.name:<{width}}  {shape:<16} {layer.stride or '-':>6} {field:>6}{mark}"


def weights_lines(rows: Sequence[WeightsRow], *, fold: bool) -> Iterator[str]:
    """A line for each backbone's weights; when folding, those that are missing are only named, at the end."""
    shown = [row for row in rows if not (fold and row.state == "missing")]
    width = max((len(row.backbone) for row in shown), default=0)
    for row in shown:
        size = f"{row.size / 1e6:.0f} MB" if row.size else ""
        yield f"{row.backbone:<{width}}  {row.state:<8}  {size:>7}  {row.path}"
    missing = [row.backbone for row in rows if row not in shown]
    if missing:
        yield f"missing, `dreamd weights fetch NAME` brings {'it' if len(missing) == 1 else 'them'}:"
        yield from _wrapped("  ", ", ".join(missing))


def field_lines(fields: Sequence[ExplainedField]) -> Iterator[str]:
    """`field: value  # where it came from`, which is YAML again."""
    width = max(len(f"{field.name}: {field.text}") for field in fields)
    for field in fields:
        yield f"{f'{field.name}: {field.text}':<{width}}  # {field.origin}"


def _groups(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Entries that say the same of themselves and come from one plugin, together."""

    def own(entry: Entry) -> tuple[str, str, str, str]:
        return entry.kind, entry.plugin, entry.doc, json.dumps([item.model_dump() for item in entry.parameters])

    by_name = sorted(entries, key=lambda entry: entry.name)
    groups = [list(group) for _, group in groupby(sorted(by_name, key=own), key=own)]
    return sorted(groups, key=lambda group: group[0].name)


def _summary(entry: Entry) -> str:
    return entry.doc.partition("\n")[0]


def _wrapped(start: str, text: str) -> list[str]:
    """Text as wide as the terminal, below each other after what it starts with."""
    columns = max(len(start) + _NARROWEST, shutil.get_terminal_size(_FALLBACK_SIZE).columns)
    margin = " " * len(start)
    return wrap(text, columns, initial_indent=start, subsequent_indent=margin, break_on_hyphens=False) or [start]

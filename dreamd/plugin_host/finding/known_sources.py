"""Where the weights of backbones come from, as far as that is known without loading a plugin."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dreamd.plugin_host.finding.memory import Memory, memory_of
from dreamd.plugin_host.finding.shipped import Shipped
from dreamd.weights.sources import Source

_SOURCES: TypeAdapter[dict[str, Source | None]] = TypeAdapter(dict[str, Source | None])

_NAME = "weights"
"""What is remembered of them is kept under this name."""


def known_sources(shipped: Shipped, memory: Memory) -> dict[str, Source | None]:
    """Return the default weights of backbones: what ships, and over it what was found out; None: they have none."""
    known = [shipped.sources, memory.recall(_NAME)]
    return {name: source for each in known for name, source in _sources_of(each).items()}


def sources_of_plugins(folders: Sequence[Path], disable: Collection[str]) -> dict[str, Source | None]:
    """Return the known default weights of the engine's backbones, for folders of drop-ins and without some plugins."""
    shipped = Shipped("dreamd.engine", folders, disable)
    return known_sources(shipped, memory_of("dreamd.engine", folders, disable))


def remember_sources(memory: Memory, sources: Mapping[str, Source | None]) -> None:
    """Remember where weights come from, beside what was remembered before."""
    before = _sources_of(memory.recall(_NAME))
    after = {**before, **sources}
    if after != before:
        memory.keep(_NAME, _SOURCES.dump_python(after, mode="json"))


def _sources_of(known: object) -> dict[str, Source | None]:
    """Return sources of JSON; nothing where this dreamd does not understand it."""
    try:
        return _SOURCES.validate_python(known)
    except ValidationError:
        return {}

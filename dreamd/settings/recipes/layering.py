"""How one document of a recipe goes over another, field by field. Knows no values and no files' places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamd.errors import FieldPath
from dreamd.settings.recipes.recipe import Ascent, Recipe
from dreamd.settings.yamlfile import Document

PLUGIN_FIELDS = ("backbone", "loss", "schedule")
"""The fields that choose one plugin each."""

_MERGED_FIELDS = (*PLUGIN_FIELDS, "ascent", "image", "output", "film")
"""The fields whose mapping goes over the inherited one field by field; the others replace it."""

_OF_A_BACKBONE = ("layers", "stages")
"""The fields that name a backbone's layers, and do not go with another one."""


@dataclass(frozen=True)
class Origin:
    """Where a field's value came from."""

    file: Path | str
    line: int | None

    def __str__(self) -> str:
        return str(self.file) if self.line is None else f"{self.file}:{self.line}"


Origins = dict[FieldPath, Origin]
"""The origin of each field that a file or preset gives."""


def merged(documents: Iterable[Document]) -> tuple[dict[str, Any], Origins]:
    """Merge documents, the later over the earlier; returns the values, and the origin of each.

    A mapping merges into the inherited one, unless it names another plugin, which starts from that plugin's defaults; a
    list replaces. Layers belong to their backbone: naming another backbone starts from that one's default layer. So
    does momentum to its optimizer: naming another starts from none.
    """
    data: dict[str, Any] = {}
    origins: Origins = {}
    for document in documents:
        for key, value in document.data.items():
            if key != "extends":
                _merge_field(data, origins, document, key, value)
    return data, origins


def _merge_field(data: dict[str, Any], origins: Origins, document: Document, key: str, value: Any) -> None:
    if key in PLUGIN_FIELDS and isinstance(value, str):
        value = {"name": value}
    path: FieldPath = (key,)
    if key not in _MERGED_FIELDS or not isinstance(value, dict):
        _forget(data, origins, key)
        data[key] = value
        _note(origins, document, path)
        return
    if key in PLUGIN_FIELDS:
        _choose_plugin(data, origins, document, key, value)
    if key == "ascent":
        _choose_optimizer(data, origins, value)
    inherited = data.get(key)
    data[key] = {**(inherited if isinstance(inherited, dict) else {}), **value}
    origins[path] = Origin(document.file, document.line(path))
    for sub in value:
        _note(origins, document, (key, sub))


def _choose_plugin(
    data: dict[str, Any], origins: Origins, document: Document, key: str, value: Mapping[str, Any]
) -> None:
    """Forget what is inherited where a mapping names another plugin than before: it starts from its own defaults."""
    inherited = data.setdefault(key, {"name": Recipe.model_fields[key].default.name})
    before = inherited["name"] if isinstance(inherited, dict) and "name" in inherited else None
    if value.get("name", before) == before:
        return
    _forget(data, origins, key)
    for dependent in _OF_A_BACKBONE if key == "backbone" else ():
        if dependent not in document.data:
            _forget(data, origins, dependent)


def _choose_optimizer(data: dict[str, Any], origins: Origins, value: Mapping[str, Any]) -> None:
    """Forget the inherited momentum where another optimizer is named than before: it was meant for that one."""
    inherited = data.get("ascent")
    if "optimizer" not in value or not isinstance(inherited, dict):
        return
    before = inherited.get("optimizer", Ascent().optimizer.name)
    if _name_of(value["optimizer"]) != _name_of(before):
        data["ascent"] = {name: inner for name, inner in inherited.items() if name != "momentum"}
        origins.pop(("ascent", "momentum"), None)


def _name_of(choice: object) -> object:
    return choice.get("name") if isinstance(choice, dict) else choice


def _forget(data: dict[str, Any], origins: Origins, key: str) -> None:
    data.pop(key, None)
    for path in [path for path in origins if path[0] == key]:
        del origins[path]


def _note(origins: Origins, document: Document, path: FieldPath) -> None:
    origins[path] = Origin(document.file, document.line(path))
    for inner, line in document.lines.items():
        if len(inner) > len(path) and inner[: len(path)] == path:
            origins[inner] = Origin(document.file, line)

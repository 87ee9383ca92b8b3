"""What docs/recipes.md says of fields, presets, plugins and example recipes, drawn from the code.

`python tests/recipe_docs.py` writes those parts into docs/recipes.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dreamd.plugin_host.catalogue import Catalogue, Entry
from dreamd.plugin_host.docstrings import summary
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_host.parameters import Parameter, in_words
from dreamd.settings.recipes.recipe import STEPS
from dreamd.settings.recipes.schema import recipe_schema

ROOT = Path(__file__).parents[1]
MANUAL = ROOT / "docs" / "recipes.md"
PRESETS = ROOT / "dreamd" / "presets"
EXAMPLES = ROOT / "examples" / "recipes"

_OFTEN = {
    "loss": Kind.LOSS, "schedule": Kind.SCHEDULE, "gradient": Kind.GRADIENT, "ascent.optimizer": Kind.OPTIMIZER,
    "parameterization": Kind.PARAMETERIZATION, "transforms": Kind.TRANSFORM, "backbone": Kind.BACKBONE,
}  # fmt: skip
"""The kinds of plugins that recipes name, by the field that names them, in the order of the manual."""

_PLURALS = {Kind.LOSS: "losses", Kind.GRADIENT: "gradient steps"}
"""The kinds whose plural has more than an s."""

_PICTURE_LOSSES = ("blur_distance", "boundary", "stay_near", "total_variation")
"""The losses that are made for the layer `picture`, where most of them are to become smaller."""

_PLACES = {
    "blend": "finish", "clamp": "settle", "magnify": "start", "match_histogram": "finish", "noise_start": "start",
    "original_colors": "finish", "stretch": "finish", "zoom": "start",
}  # fmt: skip
"""Where a transform is used most that is not used most before each gradient."""

_PICTURES = ROOT / "docs" / "images" / "recipes"
"""Pictures that tell more of a plugin than words: `KIND-NAME.jpg`."""


def drawn() -> dict[str, str]:
    """Return the text of each part of the manual that is drawn, by its name."""
    catalogue = Plugins("dreamd.engine").catalogue
    return {
        "presets": _table(("preset", "what it does"), _sentences(PRESETS)),
        "fields": "\n\n".join(_field_tables(recipe_schema(Catalogue()))),
        "plugins": "\n\n".join(_plugins(catalogue)),
        "examples": _table(("recipe", "what it does"), _sentences(EXAMPLES, link="../examples/recipes/")),
    }


def with_drawn(manual: str) -> str:
    """Return the manual with every part that is drawn as it is now. Raises ValueError when it lacks one."""
    for name, text in drawn().items():
        begin, end = f"<!-- {name}, drawn by tests/recipe_docs.py -->", f"<!-- end of {name} -->"
        before, _, rest = manual.partition(begin)
        _, mark, after = rest.partition(end)
        if not mark:
            raise ValueError(f"docs/recipes.md has no {begin} … {end}")
        manual = f"{before}{begin}\n\n{text}\n\n{end}{after}"
    return manual


# Presets and examples


def _sentences(folder: Path, link: str | None = None) -> Iterator[tuple[str, str]]:
    """Return the recipes of a folder with the comment that each begins with."""
    for file in sorted(folder.glob("*.yaml")):
        comment = re.match(r"(?:#.*\n)+", file.read_text(encoding="utf-8"))
        if comment is None:
            raise ValueError(f"{file}: begins with no comment that says what it makes")
        text = " ".join(line.removeprefix("#").strip() for line in comment[0].splitlines())
        yield (f"[`{file.stem}`]({link}{file.name})" if link else f"`{file.stem}`"), text


# Fields


def _field_tables(schema: Mapping[str, Any]) -> Iterator[str]:
    """Return a table of the recipe's own fields, and one for each mapping among them."""
    parts: dict[str, Any] = schema["$defs"]
    yield _fields(schema, parts)
    for name, part in parts.items():
        users = [f"`{field}`" for field, one in schema["properties"].items() if _mentions(one, name)]
        if name == "BackboneChoice":  # its place in the schema holds a schema for each backbone
            users = ["`backbone`"]
        if users:
            yield f"### {' and '.join(users)}\n\n{part['description']}\n\n{_own_fields(part, schema)}"


def _own_fields(part: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return the table of a mapping's fields, and in words those that are just like the recipe's own."""
    fields = part["properties"]
    alike = [name for name, field in fields.items() if schema["properties"].get(name) == field]
    own = {name: field for name, field in fields.items() if name not in alike}
    words = [f"Its fields are the recipe's own: {', '.join(f'`{name}`' for name in alike)}."] if alike else []
    return "\n\n".join([*words, *([_fields({"properties": own}, schema["$defs"])] if own else [])])


def _mentions(schema: object, name: str) -> bool:
    return f'"#/$defs/{name}"' in json.dumps(schema)


def _fields(part: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    rows = [
        (f"`{name}`", _values(name, field, parts), _default(field), _capitalised(field.get("description", "")))
        for name, field in part["properties"].items()
    ]
    return _table(("field", "value", "default", "meaning"), rows)


def _values(name: str, field: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    """Say what a field takes, with a link to the plugins where it takes one."""
    if name in STEPS:
        return f"a list of [{_plural(STEPS[name])}](#{_anchor(STEPS[name])})"
    if any("anyOf" in option for option in field.get("anyOf", ())):  # the names of plugins
        kind = next(kind for often, kind in _OFTEN.items() if often.rpartition(".")[2] == name)
        return f"a [{kind}](#{_anchor(kind)}){' or null' if {'type': 'null'} in field['anyOf'] else ''}"
    words = (
        in_words(_plain(field, parts)).replace(" of at least 1 entries", "").replace(" of at least 1 characters", "")
    )
    return _escaped(re.sub(r'"([\w-]+)"', r"`\1`", words))


def _plain(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema in which a model that is referred to is just a mapping."""
    if "$ref" in schema:
        return {"type": "object"} if "properties" in parts[schema["$ref"].rpartition("/")[2]] else {}
    inner = {"anyOf": [_plain(option, parts) for option in schema["anyOf"]]} if "anyOf" in schema else {}
    return {**schema, **inner}


def _default(field: Mapping[str, Any]) -> str:
    """Return a field's default; that of a mapping of fields stands in a table of its own."""
    default = field.get("default")
    if "default" not in field or (isinstance(default, dict) and not default.keys() <= {"name", "weights"}):
        return ""
    return f"`{_yaml(default)}`"


# Plugins


def _plugins(catalogue: Catalogue) -> Iterator[str]:
    for field, kind in _OFTEN.items():
        yield f"### {_plural(kind).capitalize()}"
        of_kind = [entry for entry in catalogue.entries if entry.kind is kind]
        for entries in _alike(of_kind):
            yield _plugin(entries, field)


def _alike(entries: list[Entry]) -> list[list[Entry]]:
    """Return entries in groups of those that say the same of themselves, as a library's networks do."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.plugin, entry.doc), []).append(entry)
    return list(groups.values())


def _plugin(entries: list[Entry], field: str) -> str:
    entry = entries[0]
    names = ", ".join(f"`{one.name}`" for one in entries)
    title = f"#### {names}" if len(entries) == 1 else f"#### of {entry.plugin}\n\n{names}"
    text = f"{title}\n\n{_as_markdown(summary(entry.doc))}\n\n```yaml\n{_example(entry, field)}\n```"
    if entry.parameters:
        text += "\n\n" + "\n".join(map(_parameter, entry.parameters))
    picture = _PICTURES / f"{entry.kind}-{entry.name}.jpg"
    return f"{text}\n\n![{entry.name}](images/recipes/{picture.name})" if picture.exists() else text


def _plural(kind: Kind) -> str:
    return _PLURALS.get(kind, f"{kind}s")


def _anchor(kind: Kind) -> str:
    return _plural(kind).replace(" ", "-")


def _example(entry: Entry, field: str) -> str:
    """Return the line of a recipe that names the plugin, with every parameter at its default."""
    values = {one.name: _sample(one) for one in entry.parameters}
    values = {name: value for name, value in values.items() if value is not None}
    name = entry.name.replace("*", "resnet50")
    choice = _yaml({"name": name, **values}) if values else name
    if field in STEPS:
        return f"{_PLACES.get(name, field)}: [{choice}]"
    if name in _PICTURE_LOSSES:
        return f"layers: [blocks.4.2, {{name: picture, loss: {choice}, weight: -0.01}}]"
    section, _, inner = field.partition(".")
    return f"{section}: {{{inner}: {choice}}}" if inner else f"{section}: {choice}"


def _sample(parameter: Parameter) -> object:
    """Return a parameter's default; a picture to compare with, which has none, is there as an example."""
    if parameter.file == "seen":
        return "flowers.jpg"
    return 1 if parameter.required else parameter.default


def _parameter(parameter: Parameter) -> str:
    default = "" if parameter.required else f", default `{_yaml(parameter.default)}`"
    return f"- `{parameter.name}` ({parameter.type}{default}): {parameter.doc}"


# Markdown


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _yaml(value: object) -> str:
    """Write a value on one line of YAML, without quotes where it needs none."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str) and re.fullmatch(r"[\w./-]+", value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _as_markdown(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines())


def _capitalised(text: str) -> str:
    return _escaped(text[:1].upper() + text[1:] if not text.startswith("`") else text)


def _escaped(text: str) -> str:
    """Return text for a cell of a table, in which a bar would end it."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    MANUAL.write_text(with_drawn(MANUAL.read_text(encoding="utf-8")), encoding="utf-8")

"""The controls of a recipe, made from its JSON Schema and from what the plugins bring.

A control is for one field. What people change first comes first; the other fields follow in groups, so that a field
that is new in the model has its control without a word here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from dreamd.plugin_host.catalogue import Catalogue, Entry
from dreamd.plugin_host.docstrings import summary
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_host.parameters import USUAL
from dreamd.settings.recipes.layering import PLUGIN_FIELDS
from dreamd.settings.recipes.recipe import STEPS
from dreamd.settings.recipes.schema import recipe_schema

ControlKind = Literal["number", "choice", "flag", "text", "plugin", "steps", "layers", "parts", "recipe", "other"]
"""What a control looks like; `other` is for values that are written as YAML only."""

_MAIN = {
    "extends": "Begins with",
    "octaves": "For how many octaves",
    "layers": "Layers",
    "ascent.iterations": "Iterations",
    "ascent.lr": "Step length",
    "schedule.num_octaves": "Octaves",
    "image.max_side": "Longest side",
    "seed": "Seed",
    "output.format": "File format",
    "stages": "Stages",
    "sequence": "Sequence",
}
"""The fields that people change first, each with its label, where there are such fields. Those of a plugin are there
where the plugin has them."""

_BY_CARD = "extends"
"""The field of a recipe that has no control there: the preset is chosen by its card."""

_TITLES = {
    "backbone": "Network",
    "loss": "What is to grow",
    "schedule": "Sizes",
    "ascent": "Steps",
    "gradient": "What is done to each gradient",
    "image": "Picture",
    "output": "Result",
    "film": "Film",
}
"""The titles of groups, by the field that they begin with."""

_WIDEST_SLIDER = 1000
"""The largest distance between two limits over which a slider is moved with sense when nobody says the usual values."""

_TIMES_DEFAULT = 4
"""A plugin's number without any limits has a slider to so many times its default."""

_SENTENCE = re.compile(r"(.+?[.:;])(?:\s|$)", re.DOTALL)
"""The first sentence of a text, or what comes before its colon or semicolon."""


@dataclass(frozen=True, kw_only=True)
class Control:
    """The control of one field.

    Attributes:
        path: the field's name, dotted; of a plugin's parameter, its own name alone.
        kind: what it looks like.
        label: its name for a person.
        doc: what it does, in a sentence.
        more: the rest of what is to be said of it.
        options: what there is to choose from.
        plugin: the kind of plugin that is chosen; "" where none is.
        whole: whether its number is a whole one.
        optional: whether it may be null.
        slider: the usual lowest and highest value; None for no slider.
        limits: the lowest and highest value that may be, or the fewest and most parts; None for no limit.
        default: what it is when nobody says; None for a field of the recipe, which is never asked for it.
        part: what one of its parts is called; "" where it has none.
        inside: the controls of each of its parts; None where it has none.
    """

    path: str
    kind: ControlKind
    label: str
    doc: str = ""
    more: str = ""
    options: tuple[str | int, ...] = ()
    plugin: str = ""
    whole: bool = False
    optional: bool = False
    slider: tuple[float, float] | None = None
    limits: tuple[float | None, float | None] = (None, None)
    default: Any = None
    part: str = ""
    inside: Fields | None = None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Controls that belong together."""

    title: str
    controls: tuple[Control, ...]


@dataclass(frozen=True, kw_only=True)
class Fields:
    """The controls of a recipe's fields, or of those that a part of it has.

    Attributes:
        main: the fields that people change first, in their order, each with its label.
        groups: every field, by what it belongs to.
    """

    main: dict[str, str]
    groups: tuple[Group, ...]


@dataclass(frozen=True, kw_only=True)
class PluginForm:
    """A plugin that can be chosen, with the controls of its parameters; `*` in its name stands for any text."""

    name: str
    doc: str
    controls: tuple[Control, ...]


@dataclass(frozen=True, kw_only=True)
class Form(Fields):
    """All controls.

    Attributes:
        plugins: what there is of each kind.
    """

    plugins: dict[str, tuple[PluginForm, ...]]


def recipe_form(catalogue: Catalogue, names: tuple[str, ...] = ()) -> Form:
    """Make the controls of a recipe, with the plugins that there are.

    Args:
        catalogue: the plugins.
        names: the presets and named recipes that a part can begin with.
    """
    schema = recipe_schema(catalogue)
    fields = {name: field for name, field in schema["properties"].items() if name != _BY_CARD}
    kinds = {*map(Kind, PLUGIN_FIELDS), *STEPS.values(), Kind.OPTIMIZER}
    return Form(
        **vars(_fields(fields, schema["$defs"], names)),
        plugins={str(kind): _plugins(catalogue, kind) for kind in sorted(kinds)},
    )


def _fields(fields: Mapping[str, Any], parts: Mapping[str, Any], names: tuple[str, ...]) -> Fields:
    """Make the controls of the fields of a recipe, or of a part of it, by their schemas."""
    groups: dict[str, list[Control]] = {}
    alone: list[Control] = []
    for name, field in fields.items():
        controls = list(_of_field(name, field, parts, names))
        if name in _TITLES or len(controls) > 1:
            groups[_TITLES.get(name, _label(name))] = controls
        else:
            alone += controls
    if alone:
        groups["All else"] = alone
    paths = {control.path for controls in groups.values() for control in controls}
    return Fields(
        main={path: label for path, label in _MAIN.items() if path in paths or path.partition(".")[0] in paths},
        groups=tuple(Group(title=title, controls=tuple(controls)) for title, controls in groups.items()),
    )


def _plugins(catalogue: Catalogue, kind: Kind) -> tuple[PluginForm, ...]:
    entries = sorted((entry for entry in catalogue.entries if entry.kind is kind), key=lambda entry: entry.name)
    return tuple(
        PluginForm(
            name=entry.name, doc=_words({"description": summary(entry.doc)})["doc"], controls=tuple(_of_plugin(entry))
        )
        for entry in entries
    )


def _of_plugin(entry: Entry) -> Iterator[Control]:
    for parameter in entry.parameters:
        yield _control(parameter.name, {**parameter.schema_, "description": parameter.doc}, parameter.default)


def _of_field(
    name: str, field: Mapping[str, Any], parts: Mapping[str, Any], names: tuple[str, ...]
) -> Iterator[Control]:
    """Yield the control of a field, or one for each field of a section such as `ascent`."""
    label, words = _label(name), _words(field)
    if name in PLUGIN_FIELDS:
        yield Control(path=name, kind="plugin", plugin=name, label=label, **words)
        if name == Kind.BACKBONE:
            text = "default: those that come with it, or are fetched; random: for tests; else the path of a file."
            yield Control(path="backbone.weights", kind="text", label="Weights", doc=text)
    elif name in STEPS:
        yield Control(path=name, kind="steps", plugin=str(STEPS[name]), label=label, **words)
    elif name == "layers":
        yield Control(path=name, kind="layers", label=label, **words)
    elif name == _BY_CARD:
        yield Control(path=name, kind="recipe", label=label, options=names, optional=True, **words)
    elif (part := _part(field, parts)) is not None:
        yield _control_of_parts(name, field, part, parts, names)
    elif (section := _section(field, parts)) is not None:
        for inner, its_field in section["properties"].items():
            if inner == Kind.OPTIMIZER:
                yield Control(
                    path=f"{name}.{inner}", kind="plugin", plugin=inner, label=_label(inner), **_words(its_field)
                )
            else:
                yield _control(f"{name}.{inner}", its_field)
    else:
        yield _control(name, field)


def _control_of_parts(
    name: str, field: Mapping[str, Any], part: str, parts: Mapping[str, Any], names: tuple[str, ...]
) -> Control:
    """Make the control of a list of partial recipes, each of which has controls of its own."""
    is_named = any(each.get("type") == "string" for each in field["items"].get("anyOf", ()))
    return Control(
        path=name,
        kind="parts",
        label=_label(name),
        options=names if is_named else (),
        limits=(field.get("minItems"), field.get("maxItems")),
        part=part.lower(),
        inside=_fields(parts[part]["properties"], parts, names),
        **_words(field),
    )


def _part(field: Mapping[str, Any], parts: Mapping[str, Any]) -> str | None:
    """Return the name of the schema of which a list holds mappings; None of another field."""
    items = field.get("items", {})
    references = [each["$ref"] for each in (items, *items.get("anyOf", ())) if "$ref" in each]
    name = references[0].rpartition("/")[2] if len(references) == 1 else None
    return name if name is not None and "properties" in parts[name] else None


def _section(field: Mapping[str, Any], parts: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema of a field that is a mapping of fields itself; None of another."""
    reference = field.get("$ref") or next((each["$ref"] for each in field.get("allOf", ()) if "$ref" in each), None)
    part: Mapping[str, Any] = parts[reference.rpartition("/")[2]] if reference else {}
    return part if "properties" in part else None


def _control(path: str, field: Mapping[str, Any], default: Any = None) -> Control:
    """Make the control of a plain value."""
    variants = field.get("anyOf", [field])
    plain = [each for each in variants if each.get("type") != "null"]
    shared: dict[str, Any] = {"path": path, "label": _label(path.rpartition(".")[2]), "default": default}
    shared |= {"optional": len(plain) < len(variants), **_words(field)}
    if options := _options(plain):
        return Control(kind="choice", options=options, **shared)
    if len(plain) != 1:
        return Control(kind="other", **shared)
    (value,) = plain
    match value.get("type"):
        case "boolean":
            return Control(kind="flag", **shared)
        case "string":
            return Control(kind="text", **shared)
        case "integer" | "number" as type_:
            limits = (
                value.get("minimum", value.get("exclusiveMinimum")),
                value.get("maximum", value.get("exclusiveMaximum")),
            )
            slider = _slider({**value, **field}, limits, default)
            return Control(kind="number", whole=type_ == "integer", limits=limits, slider=slider, **shared)
        case _:
            return Control(kind="other", **shared)


def _options(variants: Sequence[Mapping[str, Any]]) -> tuple[str | int, ...]:
    """Return the words and numbers that a field takes where it takes no others; () for any other field."""
    options: list[str | int] = []
    for variant in variants:
        values = variant.get("enum", [variant["const"]] if "const" in variant else [])
        if not values or not all(isinstance(value, str | int) for value in values):
            return ()
        options += values
    return tuple(options)


def _slider(
    field: Mapping[str, Any], limits: tuple[float | None, float | None], default: Any
) -> tuple[float, float] | None:
    """Return the ends of a number's slider: the usual values if they are told, else its limits if they are near."""
    if USUAL in field:
        low, high = field[USUAL]
        return low, high
    low, high = limits
    if low is not None and high is not None:
        return (low, high) if high - low <= _WIDEST_SLIDER else None
    if isinstance(default, bool) or not isinstance(default, int | float) or default == 0:
        return None
    far = abs(default) * _TIMES_DEFAULT
    return (0 if low is None else low, far) if default > 0 else (-far, 0)


class _Words(TypedDict):
    """What is said of a field."""

    doc: str
    more: str


def _words(field: Mapping[str, Any]) -> _Words:
    text = " ".join(str(field.get("description", "")).split())
    match = _SENTENCE.match(text)
    first = match[1] if match else text
    return {"doc": first.rstrip(":;."), "more": text[len(first) :].strip()}


def _label(name: str) -> str:
    """Return a field's name as people write it: `octave_scale` as "Octave scale"."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]

"""What there is to dream with, as plain data: names, parameters, where each comes from.

A worker loads the plugins, which need torch, and sends this to the daemon, which does not have it; so recipes are
checked by the same rules everywhere. A parameter is described by JSON Schema, drawn from a function's signature.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic.errors import PydanticUserError

from dreamd.errors import FieldPath, PluginError, RecipeError, UnknownNameError, suggestion

SUPPLIED = frozenset({"progress"})
"""Keyword parameters that the engine gives; they are no fields."""


class Kind(StrEnum):
    """The kinds of thing that a plugin brings."""

    BACKBONE = "backbone"
    LOSS = "loss"
    SCHEDULE = "schedule"
    GRADIENT = "gradient"
    EXECUTOR = "executor"


class Parameter(BaseModel):
    """A keyword parameter of a plugin's function, which is a field in YAML.

    Attributes:
        schema_: its JSON Schema.
        required: whether it has no default.
        default: its default, when it has one.
        doc: its line in the function's docstring.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    schema_: dict[str, Any]
    required: bool
    default: Any = None
    doc: str = ""

    @property
    def type(self) -> str:
        """Its type in a few words: `number`, `integer or null`, `"mean" or "std"`."""
        return _words(self.schema_)


class Entry(BaseModel):
    """One thing that a plugin brings."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    name: str
    plugin: str
    origin: str
    version: str = ""
    doc: str = ""
    parameters: tuple[Parameter, ...] = ()

    def check(self, values: Mapping[str, Any], field: FieldPath) -> None:
        """Check the values a recipe gives to this entry's parameters.

        Raises:
            RecipeError: one is unknown, missing, or not what its schema says; with its field.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name, value in values.items():
            if name not in known:
                raise RecipeError(
                    f"{self.kind} {self.name!r} has no parameter {name!r}; {suggestion(name, known)}",
                    field=(*field, name),
                )
            _check_value(known[name], value, (*field, name))
        for parameter in self.parameters:
            if parameter.required and parameter.name not in values:
                raise RecipeError(f"{self.kind} {self.name!r} needs the parameter {parameter.name!r}", field=field)


class Problem(BaseModel):
    """A plugin that is not used, and why."""

    model_config = ConfigDict(frozen=True)

    plugin: str
    origin: str
    reason: str


class Catalogue(BaseModel):
    """Everything the loaded plugins bring, and what of them could not be loaded."""

    model_config = ConfigDict(frozen=True)

    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()

    def names(self, kind: Kind) -> list[str]:
        """The names of a kind, in alphabetical order."""
        return sorted(entry.name for entry in self.entries if entry.kind == kind)

    def find(self, kind: Kind, name: str) -> Entry:
        """The entry of a name; a pattern such as `timm/*` answers for a whole family.

        Raises:
            UnknownNameError: nobody brings that name; says which plugins could not be loaded, if any.
        """
        of_kind = [entry for entry in self.entries if entry.kind == kind]
        exact = [entry for entry in of_kind if entry.name == name]
        family = [entry for entry in of_kind if "*" in entry.name and fnmatchcase(name, entry.name)]
        if found := exact or family:
            return found[0]
        error = UnknownNameError(kind, name, self.names(kind))
        if self.problems:
            error.args = (f"{error} (not loaded: {', '.join(problem.plugin for problem in self.problems)})",)
        raise error


def parameters_of(function: Callable[..., object]) -> tuple[Parameter, ...]:
    """The keyword-only parameters of a function, as fields.

    Raises:
        PluginError: a parameter has no annotation, or one that no YAML value could satisfy.
    """
    docs = _documented_arguments(inspect.getdoc(function) or "")
    keyword_only = (
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.name not in SUPPLIED
    )
    return tuple(_parameter(function, parameter, docs.get(parameter.name, "")) for parameter in keyword_only)


def supplied_to(function: Callable[..., object]) -> frozenset[str]:
    """Which of the engine's own values a function asks for by name."""
    return SUPPLIED & inspect.signature(function).parameters.keys()


def _parameter(function: Callable[..., object], parameter: inspect.Parameter, doc: str) -> Parameter:
    name = parameter.name
    if parameter.annotation is inspect.Parameter.empty:
        raise PluginError(f"parameter {name!r} needs an annotation, such as `{name}: float = 1.0`")
    try:
        annotation = parameter.annotation
        if isinstance(annotation, str):  # `from __future__ import annotations`
            annotation = eval(annotation, vars(inspect.getmodule(inspect.unwrap(function))))
        schema = TypeAdapter(annotation).json_schema()
    except (PydanticUserError, NameError, SyntaxError, AttributeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise PluginError(
            f"parameter {name!r} has the annotation {parameter.annotation!r}, which YAML cannot fill: {reason}"
        ) from error
    required = parameter.default is inspect.Parameter.empty
    default = None if required else TypeAdapter(Any).dump_python(parameter.default, mode="json")
    return Parameter(name=name, schema_=schema, required=required, default=default, doc=doc)


def _documented_arguments(docstring: str) -> dict[str, str]:
    """The `Args:` section of a docstring in Google's style, one sentence an argument."""
    _, _, section = docstring.partition("\nArgs:\n")
    section = re.split(r"\n\S", section, maxsplit=1)[0]
    found = re.findall(r"^ {4}(\w+)(?: \([^)]*\))?:\s*(.*(?:\n {5,}.*)*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _check_value(parameter: Parameter, value: object, field: FieldPath) -> None:
    import jsonschema  # on demand: the command line answers without it
    from jsonschema.exceptions import best_match

    error = best_match(jsonschema.Draft202012Validator(parameter.schema_).iter_errors(value))
    if error is None:
        return
    where = (*field, *error.absolute_path)
    if error.validator in ("type", "anyOf"):
        raise RecipeError(f"{value!r} is not {parameter.type}", field=where)
    raise RecipeError(error.message, field=where)


def _words(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_words(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f'"{word}"' if isinstance(word, str) else str(word) for word in schema["enum"])
    if "const" in schema:
        return f'"{schema["const"]}"'
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = " and ".join(f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema)
    return f"{schema.get('type', 'any value')} {limits}".strip()


def merged(catalogues: Iterable[Catalogue]) -> Catalogue:
    """Several catalogues as one: the engine's, which a worker sends, and the daemon's own."""
    parts = list(catalogues)
    return Catalogue(
        entries=tuple(entry for part in parts for entry in part.entries),
        problems=tuple(problem for part in parts for problem in part.problems),
    )

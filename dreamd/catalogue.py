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
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, computed_field
from pydantic.errors import PydanticUserError

from dreamd.errors import FieldPath, PluginError, RecipeError, UnknownNameError, suggestion
from dreamd.fields import nearest, shown

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

SUPPLIED = frozenset({"progress"})
"""Keyword parameters that the engine gives; they are no fields."""


CATALOGUE_FILE = "catalogue.json"
"""Where in the state folder the daemon leaves what its workers bring, for the page."""

_RESERVED = frozenset({"name", "weights"})
"""Fields of every plugin or backbone, which no parameter can be."""


class Kind(StrEnum):
    """The kinds of thing that a plugin brings."""

    BACKBONE = "backbone"
    LOSS = "loss"
    SCHEDULE = "schedule"
    GRADIENT = "gradient"
    DECODER = "decoder"
    EXECUTOR = "executor"
    NOTIFY = "notify"

    @property
    def hook(self) -> str:
        """The hook through which it is brought."""
        return _HOOKS[self]


_HOOKS = {
    Kind.BACKBONE: "dreamd_backbones",
    Kind.LOSS: "dreamd_losses",
    Kind.SCHEDULE: "dreamd_schedules",
    Kind.GRADIENT: "dreamd_gradients",
    Kind.DECODER: "dreamd_decoders",
    Kind.EXECUTOR: "dreamd_executors",
    Kind.NOTIFY: "dreamd_job_changed",
}


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
        """Its type in a few words: `a number ≥ 0`, `a whole number or null`, `"mean" or "std"`."""
        return _words(self.schema_)


class Entry(BaseModel):
    """One thing that a plugin brings.

    Attributes:
        plugin: the plugin's name.
        origin: the module of an installed plugin, or the drop-in file.
        version: of the installed package, or the beginning of the drop-in file's SHA-256.
        own: whether dreamd itself brings it.
        doc: the function's docstring.
        extensions: of the files that a decoder reads.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    name: str
    plugin: str
    origin: str
    version: str = ""
    own: bool = False
    doc: str = ""
    parameters: tuple[Parameter, ...] = ()
    extensions: tuple[str, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def hook(self) -> str:
        """The hook through which the plugin brings it."""
        return self.kind.hook

    def matches(self, name: str) -> bool:
        """Whether it answers to a name: its own, or one of its family `timm/*`."""
        return self.name == name or ("*" in self.name and fnmatchcase(name, self.name))

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
    """A plugin that is not used, and why.

    Attributes:
        deliberate: whether somebody wanted it so: then it is no trouble.
    """

    model_config = ConfigDict(frozen=True)

    plugin: str
    origin: str
    reason: str
    deliberate: bool = False


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
            error.args = (f"{error} (not loaded: {'; '.join(map(_in_brackets, self.problems))})",)
        raise error


def _in_brackets(problem: Problem) -> str:
    return problem.plugin if problem.deliberate else f"{problem.plugin}: {problem.reason}"


def parameters_of(function: Callable[..., object], *, supplied: frozenset[str] = frozenset()) -> tuple[Parameter, ...]:
    """The keyword-only parameters of a function, as fields.

    Args:
        function: what a plugin registers.
        supplied: parameters that the engine gives to functions of its kind; they are no fields.

    Raises:
        PluginError: a parameter has no annotation, one that no YAML value could satisfy, or a name that is taken.
    """
    docs = _documented_arguments(inspect.getdoc(function) or "")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise PluginError(f"its parameters cannot be told ({error}); wrap it in a function of your own") from error
    return tuple(
        _parameter(function, parameter, docs.get(parameter.name, ""))
        for parameter in signature.parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.name not in supplied
    )


def supplied_to(function: Callable[..., object]) -> frozenset[str]:
    """Which of the engine's own values a function asks for by name."""
    return SUPPLIED & inspect.signature(function).parameters.keys()


def _parameter(function: Callable[..., object], parameter: inspect.Parameter, doc: str) -> Parameter:
    name = parameter.name
    if name in _RESERVED:
        raise PluginError(f"parameter {name!r} needs another name: {name!r} is a field of its own")
    if parameter.annotation is inspect.Parameter.empty:
        raise PluginError(f"parameter {name!r} needs an annotation, such as `{name}: float = 1.0`")
    schema = _schema(function, parameter)
    if parameter.default is inspect.Parameter.empty:
        return Parameter(name=name, schema_=schema, required=True, doc=doc)
    return Parameter(name=name, schema_=schema, required=False, default=_default(parameter), doc=doc)


def _schema(function: Callable[..., object], parameter: inspect.Parameter) -> dict[str, Any]:
    """The JSON Schema of a parameter's annotation."""
    annotation = parameter.annotation
    cannot = f"parameter {parameter.name!r} has the annotation {annotation!r}, which YAML cannot fill"
    try:
        if isinstance(annotation, str):  # `from __future__ import annotations`
            annotation = eval(annotation, _globals_of(function))
        schema = TypeAdapter(annotation).json_schema()
    except PydanticUserError as error:
        raise PluginError(f"{cannot}; it gives bool, int, float, str, None, list and dict") from error
    except Exception as error:  # an annotation is the plugin's code: it may raise anything
        raise PluginError(f"{cannot}: {error}") from error
    if "format" in schema:  # a path or a date would come as the text that stands in the YAML
        raise PluginError(f"{cannot}; it gives bool, int, float, str, None, list and dict")
    return schema


def _default(parameter: inspect.Parameter) -> object:
    """A parameter's default as YAML could give it."""
    try:
        return TypeAdapter(Any).dump_python(parameter.default, mode="json")
    except ValueError as error:
        problem = f"parameter {parameter.name!r} has the default {parameter.default!r}, which no YAML value could be"
        raise PluginError(problem) from error


def _globals_of(function: Callable[..., object]) -> dict[str, Any]:
    """The names that a function's annotations are written with; of a partial or an object that is called, too."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    if not hasattr(function, "__globals__"):
        function = inspect.unwrap(type(function).__call__)
    names: dict[str, Any] = function.__globals__
    return names


def _documented_arguments(docstring: str) -> dict[str, str]:
    """The `Args:` section of a docstring in Google's style, one sentence an argument."""
    _, _, section = docstring.partition("\nArgs:\n")
    section = re.split(r"\n\S", section, maxsplit=1)[0]
    found = re.findall(r"^ {4}(\w+)(?: \([^)]*\))?:\s*(.*(?:\n {5,}.*)*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _check_value(parameter: Parameter, value: Any, field: FieldPath) -> None:
    from jsonschema.exceptions import best_match  # on demand: the command line answers without it

    error = best_match(_strict_validator()(parameter.schema_).iter_errors(value))
    if error is None:
        return
    where, schema = (*field, *error.absolute_path), parameter.schema_
    if error.absolute_path:
        value, schema = error.instance, error.schema
    choices = [str(choice) for choice in schema.get("enum", [])]
    raise RecipeError(f"must be {_words(schema)}, not {shown(value)}{nearest(value, choices)}", field=where)


@cache
def _strict_validator() -> type[Validator]:
    """Of JSON Schema, but for one thing: 2.0 is no integer, because a function that counts cannot take it."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    def is_integer(_: object, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer)
    strict: type[Validator] = extend(Draft202012Validator, type_checker=types)  # type: ignore[no-untyped-call]
    return strict


_TYPES = {
    "number": "a number",
    "integer": "a whole number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}
_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "multipleOf": "divisible by {}",
    "minLength": "of at least {} characters",
    "maxLength": "of at most {} characters",
    "pattern": "like {}",
    "minItems": "of at least {} entries",
    "maxItems": "of at most {} entries",
}


def _words(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_words(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f'"{word}"' if isinstance(word, str) else str(word) for word in schema["enum"])
    if "const" in schema:
        return f'"{schema["const"]}"'
    name = schema.get("type", "any value")
    limits = " and ".join(text.format(_plain(schema[key])) for key, text in _BOUNDS.items() if key in schema)
    return f"{_TYPES.get(name, name)} {limits}".strip()


def _plain(limit: object) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def merged(catalogues: Iterable[Catalogue]) -> Catalogue:
    """Several catalogues as one: the engine's, which a worker sends, and the daemon's own."""
    parts = list(catalogues)
    return Catalogue(
        entries=tuple(entry for part in parts for entry in part.entries),
        problems=tuple(problem for part in parts for problem in part.problems),
    )

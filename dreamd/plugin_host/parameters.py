"""A plugin's parameters, from its signature and docstring."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, WithJsonSchema
from pydantic.errors import PydanticUserError

from dreamd.errors import FieldPath, PluginError, RecipeError
from dreamd.plugin_host.docstrings import documented
from dreamd.plugin_host.kinds import Kind
from dreamd.wording import in_brief, nearest

if TYPE_CHECKING:
    from jsonschema.protocols import Validator


SUPPLIED: Mapping[Kind, frozenset[str]] = {
    Kind.LOSS: frozenset({"original"}),
    Kind.GRADIENT: frozenset({"progress"}),
    Kind.OPTIMIZER: frozenset({"momentum", "parameters", "progress"}),
    Kind.TRANSFORM: frozenset({"fps", "mask", "original", "progress", "random"}),
}
"""The keyword parameters that the engine gives to a function of a kind which names them; they are no fields."""

_FILE = "x-dreamd-file"
"""The key in a JSON Schema that marks the path of a file, and says what the function gets of it."""

USUAL = "x-dreamd-usual"
"""The key in a JSON Schema of a number for the values that people use, `[lowest, highest]`: the page's slider goes from
one to the other. What may be is said by `minimum` and `maximum`."""

_FILES = {"picture": "the path of a picture", "seen": "the path of a picture", "vector": "the path of a vector's file"}
"""What stands in the path of a file, in words, by what the function gets of it."""

if TYPE_CHECKING:
    from torch import Tensor

    Picture = Tensor
    Seen = Tensor
    Vector = Tensor
else:
    Picture = Annotated[Any, WithJsonSchema({"type": "string", "minLength": 1, _FILE: "picture"})]
    """Annotates a parameter that is the path of a picture in a recipe; the function gets `[1, 3, H, W]` in [0, 1]."""

    Seen = Annotated[Any, WithJsonSchema({"type": "string", "minLength": 1, _FILE: "seen"})]
    """Annotates a loss's parameter that is the path of a picture in a recipe; the function gets what the loss's layer
    sees in that picture, `[1, C, h, w]`, the chosen channels alone."""

    Vector = Annotated[Any, WithJsonSchema({"type": "string", "minLength": 1, _FILE: "vector"})]
    """Annotates a loss's parameter that is the path of a file of numbers in a recipe, one for each channel of the
    loss's layer; the function gets it as one cell, `[1, C, 1, 1]`, the chosen channels alone."""

_RESERVED = frozenset({"name", "weights"})
"""The fields that every plugin or backbone has; no parameter can have their names."""

_TYPES = {
    "number": "a number",
    "integer": "a whole number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}
"""The types of JSON Schema in words."""

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
"""The limits of JSON Schema in words, which follow the type's."""


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
        return in_words(self.schema_)

    @property
    def file(self) -> str | None:
        """What the function gets of the file whose path this is: `picture`, `seen`, `vector`; None for other values."""
        options = self.schema_.get("anyOf", [self.schema_])
        return next((option[_FILE] for option in options if _FILE in option), None)

    def check(self, value: Any, field: FieldPath) -> None:
        """Check a value from a recipe. Raises RecipeError, with the field, when it is not what the schema says."""
        if _plainly_fits(value, self.schema_):
            return
        from jsonschema.exceptions import best_match  # on demand: it takes as long to load as a small dream

        error = best_match(_strict_validator()(self.schema_).iter_errors(value))
        if error is None:
            return
        where, schema = (*field, *error.absolute_path), self.schema_
        if error.absolute_path:
            value, schema = error.instance, error.schema
        choices = [str(choice) for choice in schema.get("enum", [])]
        near = nearest(value, choices)
        raise RecipeError(f"must be {in_words(schema)}, not {in_brief(value)}{near}", field=where)


_PATH_NAMES = ("picture", "vector")
"""The names of parameters that are paths, which may have more before them: `guide_picture`."""


def is_path(name: str) -> bool:
    """Tell by its name whether a parameter is the path of a picture or of a vector's file.

    A recipe's paths are made absolute where its file is known, which is before its plugins are: so the name tells.
    """
    return name in _PATH_NAMES or name.endswith(tuple(f"_{each}" for each in _PATH_NAMES))


def parameters_of(function: Callable[..., object], *, supplied: frozenset[str] = frozenset()) -> tuple[Parameter, ...]:
    """Return the keyword-only parameters of a function, as fields.

    Args:
        function: what a plugin registers.
        supplied: parameters that the engine gives to functions of its kind; they are no fields.

    Raises:
        PluginError: a parameter has no annotation, one that no YAML value could satisfy, or a name that is taken.
    """
    docs = documented(inspect.getdoc(function) or "", "Args")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise PluginError(f"its parameters cannot be told ({error}); wrap it in a function of your own") from error
    return tuple(
        _parameter(function, parameter, docs.get(parameter.name, ""))
        for parameter in signature.parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.name not in supplied
    )


def supplied_to(function: Callable[..., object], kind: Kind) -> frozenset[str]:
    """Return which of the engine's own values a function of a kind asks for by name."""
    return SUPPLIED.get(kind, frozenset()) & inspect.signature(function).parameters.keys()


def _parameter(function: Callable[..., object], parameter: inspect.Parameter, doc: str) -> Parameter:
    name = parameter.name
    if name in _RESERVED:
        raise PluginError(f"parameter {name!r} needs another name: {name!r} is a field of its own")
    if parameter.annotation is inspect.Parameter.empty:
        raise PluginError(f"parameter {name!r} needs an annotation, such as `{name}: float = 1.0`")
    schema = _schema(function, parameter)
    if _FILE in str(schema) and not is_path(name):
        word = "vector" if f"'{_FILE}': 'vector'" in str(schema) else "picture"
        raise PluginError(f"parameter {name!r} is the path of a {word}: call it `{word}`, or `{name}_{word}`")
    if parameter.default is inspect.Parameter.empty:
        return Parameter(name=name, schema_=schema, required=True, doc=doc)
    return Parameter(name=name, schema_=schema, required=False, default=_default(parameter), doc=doc)


def _schema(function: Callable[..., object], parameter: inspect.Parameter) -> dict[str, Any]:
    """Return the JSON Schema of a parameter's annotation."""
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
    """Return a parameter's default as YAML could give it."""
    try:
        return TypeAdapter(Any).dump_python(parameter.default, mode="json")
    except ValueError as error:
        problem = f"parameter {parameter.name!r} has the default {parameter.default!r}, which no YAML value could be"
        raise PluginError(problem) from error


def _globals_of(function: Callable[..., object]) -> dict[str, Any]:
    """Return the names that a function's annotations use; a partial and an object that is called have them deeper."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function.__init__ if inspect.isclass(function) else function)
    if not hasattr(function, "__globals__"):
        function = inspect.unwrap(type(function).__call__)
    names: dict[str, Any] = function.__globals__
    return names


_PLAIN: dict[str, tuple[type, ...]] = {
    "number": (int, float), "integer": (int,), "string": (str,), "boolean": (bool,), "null": (type(None),)
}  # fmt: skip
"""The types of JSON Schema whose values are told at a look, with the types that those have here."""

_TELLING = frozenset({"type", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength"})
"""The keys of a JSON Schema that `_plainly_fits` understands."""


def _plainly_fits(value: object, schema: Mapping[str, Any]) -> bool:
    """Tell at a look that a value is what a JSON Schema says; False: it takes a validator to know."""
    if "anyOf" in schema:
        return any(_plainly_fits(value, option) for option in schema["anyOf"])
    types = _PLAIN.get(schema.get("type", ""))
    if types is None or not schema.keys() <= {*_TELLING, "title", _FILE, USUAL}:
        return False
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        return False
    if isinstance(value, str):
        return value in schema.get("enum", [value]) and len(value) >= schema.get("minLength", 0)
    if "enum" in schema:  # where True would be 1
        return False
    return not isinstance(value, int | float) or _is_within(value, schema)


def _is_within(value: float, schema: Mapping[str, Any]) -> bool:
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
    return bool(low <= value <= high and above < value < below)


@cache
def _strict_validator() -> type[Validator]:
    """Return JSON Schema's validator with one change: 2.0 is no integer, as a count must be one."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    def is_integer(_: object, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer)
    strict: type[Validator] = extend(Draft202012Validator, type_checker=types)  # type: ignore[no-untyped-call]
    return strict


def in_words(schema: Mapping[str, Any]) -> str:
    """Say in a few words what values a JSON Schema takes."""
    if options := schema.get("anyOf", schema.get("oneOf")):
        return " or ".join(in_words(option) for option in options)
    if "$ref" in schema:
        return "a mapping"
    if "enum" in schema:
        return " or ".join(f'"{word}"' if isinstance(word, str) else str(word) for word in schema["enum"])
    if "const" in schema:
        return f'"{schema["const"]}"'
    if _FILE in schema:
        return _FILES[schema[_FILE]]
    name = schema.get("type", "any value")
    limits = " and ".join(text.format(_plain(schema[key])) for key, text in _BOUNDS.items() if key in schema)
    return f"{_TYPES.get(name, name)} {limits}".strip()


def _plain(limit: object) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)

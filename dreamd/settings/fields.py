"""Models of the fields in a YAML file, and pydantic's complaints about them in a person's words.

Knows no particular file: `recipe.py` and `config.py` say which fields there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticKnownError

from dreamd.errors import FieldPath
from dreamd.wording import in_brief, nearest

_WANTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_unicode": "text in UTF-8, as are all the names in a path",
    "string_too_short": "text that is not empty",
    "tuple_type": "a list",
    "byte_size": "a size such as 512MB",
    "byte_size_unit": "a size such as 512MB",
}
"""What a field takes, in words, by the type of pydantic's complaint."""

_WANTED_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
"""The words before a limit, and the limit's name in the complaint, by the type of pydantic's complaint."""


class FieldModel(BaseModel):
    """A mapping of fields that are all known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _integer(value: object) -> object:
    if isinstance(value, bool | str):
        raise PydanticKnownError("int_type")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool | str):
        raise PydanticKnownError("float_type")
    return value


Integer = Annotated[int, BeforeValidator(_integer)]
"""A whole number; pydantic alone would also take `true` and "1", which the JSON Schema does not."""

# Bounds stand before the validator: behind it pydantic leaves them out of the JSON Schema of a union or a list.
Index = Annotated[int, Field(ge=0), BeforeValidator(_integer)]
"""A whole number that counts from 0."""

Count = Annotated[int, Field(ge=1), BeforeValidator(_integer)]
"""A whole number that counts from 1."""

Number = Annotated[float, BeforeValidator(_number)]
"""A number; pydantic alone would also take `true` and "1", which the JSON Schema does not."""

Share = Annotated[float, Field(ge=0, le=1), BeforeValidator(_number)]
"""A number from 0 to 1."""


def _flag(value: object) -> object:
    if not isinstance(value, bool):
        raise PydanticKnownError("bool_type")
    return value


Flag = Annotated[bool, BeforeValidator(_flag)]
"""True or false; pydantic alone would also take 1 and "yes", which the JSON Schema does not."""


def complaint(
    error: ValidationError, data: Mapping[str, Any], advice: Callable[[FieldPath], str]
) -> tuple[str, FieldPath]:
    """Return what is wrong first, in a sentence that follows the field's name, and the field.

    Args:
        error: pydantic's error.
        data: what was validated.
        advice: what to write instead of a field that is not known: "did you mean layers?".
    """
    # What is wrong in a list also counts as too few entries.
    details = [d for d in error.errors() if not (d["type"] == "too_short" and d["input"])]
    places = [_place(detail, data) for detail in details]
    # A union complains once for each variant; the one that got deepest into the value is the one that was meant.
    place = max((place for place in places if place[:1] == places[0][:1]), key=len)
    here = [detail for detail, its_place in zip(details, places, strict=True) if its_place == place]
    first = here[0]
    if first["type"] == "extra_forbidden":
        return f"is not a field; {advice(place)}", place
    if first["type"] == "missing":
        return "is missing", place
    if first["type"] == "value_error":
        return f"{in_brief(first['input'])}: {first['msg'].removeprefix('Value error, ')}", place
    return _expectation(here), place


def _expectation(details: list[ErrorDetails]) -> str:
    value = details[0]["input"]
    wanted = dict.fromkeys(_wanted(detail) for detail in details)
    choices = [choice for detail in details for choice in _choices(detail)]
    return f"must be {' or '.join(wanted)}, not {in_brief(value)}{nearest(value, choices)}"


def _wanted(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _WANTED:
        return _WANTED[kind]
    if kind in _WANTED_BOUNDS:
        words, key = _WANTED_BOUNDS[kind]
        return f"{words} {context[key]:g}" if isinstance(context[key], float) else f"{words} {context[key]}"
    if kind == "literal_error":
        *others, last = _choices(detail)
        return f"{', '.join(others)} or {last}" if others else last
    if kind == "too_short":
        return "a list that is not empty"
    if kind == "too_long":
        return f"a list of at most {context['max_length']} entries"
    if kind in ("model_type", "model_attributes_type"):
        return "a mapping of fields"
    return detail["msg"][:1].lower() + detail["msg"][1:]


def _choices(detail: ErrorDetails) -> list[str]:
    if detail["type"] != "literal_error":
        return []
    return re.findall(r"'([^']*)'", detail["ctx"]["expected"])


def _place(detail: ErrorDetails, data: Mapping[str, Any]) -> FieldPath:
    """Return the path of the field that a complaint is about; pydantic's own also holds the variants of unions."""
    place: FieldPath = ()
    value: object = data
    parts = detail["loc"]
    for index, part in enumerate(parts):
        is_missing = detail["type"] == "missing" and index == len(parts) - 1
        if isinstance(value, dict) and isinstance(part, str) and (part in value or is_missing):
            place, value = (*place, part), value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            place, value = (*place, part), value[part]
    return place

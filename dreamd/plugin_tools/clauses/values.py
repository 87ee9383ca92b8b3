"""The values of a parameter that a check tries: its default, every choice, and both ends of what is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from dreamd.errors import PluginError, RecipeError
from dreamd.plugin_host.calling.blame import describe_error
from dreamd.plugin_host.catalogue import Entry
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_tools.clauses.common import must, random_tensor

_TYPICAL: dict[str, Any] = {"number": 1.0, "integer": 1, "boolean": True, "string": "a", "array": [], "object": {}}
"""A value to try for a parameter without a default, by its type in JSON Schema."""

SAMPLE_PICTURE = "/the/picture/of/the/check"
"""The path of a picture in a check's recipe; where it is dreamed, that of a real one takes its place."""

SAMPLE_VECTOR = "/the/vector/of/the/check"
"""The path of a vector in a check's recipe; where it is dreamed, that of a real one takes its place."""

_OPEN_ENDS = (
    ("exclusiveMinimum", 0.01),
    ("exclusiveMinimum", 1),
    ("exclusiveMaximum", -0.01),
    ("exclusiveMaximum", -1),
)
"""The ends of a range that do not belong to it, and how far inside a value is tried."""


def check_documented(entry: Entry) -> None:
    """Raise PluginError unless there is a docstring, with a line for every parameter."""
    must(bool(entry.doc.strip()), "has no docstring: its first line is what `dreamd plugins list` shows")
    for parameter in entry.parameters:
        must(
            bool(parameter.doc),
            f"parameter {parameter.name!r} has no line in the docstring: below `Args:`, `{parameter.name}: what it is`",
        )


def default_values(entry: Entry) -> dict[str, Any]:
    """Guess values for the parameters that have no default. Raises PluginError when none can be guessed.

    A loss that may be given one of several files is given the first: it may need one.
    """
    values = {p.name: _candidates(entry, p.name)[0] for p in entry.parameters if p.required}
    files = _optional_files(entry)
    if entry.kind is Kind.LOSS and files:
        values.setdefault(files[0], _candidates(entry, files[0])[-1])
    return values


def _optional_files(entry: Entry) -> list[str]:
    return [p.name for p in entry.parameters if p.file is not None and not p.required]


def with_pictures(
    entry: Entry, values: Mapping[str, Any], device: torch.device, *, channels: int = 3
) -> dict[str, Any]:
    """Put tensors in the place of paths, as the engine does it; what a layer sees has so many channels."""
    shapes = {"picture": (1, 3, 24, 20), "seen": (1, channels, 5, 4), "vector": (1, channels, 1, 1)}
    files = {parameter.name: parameter.file for parameter in entry.parameters if parameter.file is not None}
    tensors = {
        name: random_tensor(*shapes[file], device=device, seed=1).sigmoid()
        for name, file in files.items()
        if values.get(name) is not None
    }
    return {**values, **tensors}


def variations(entry: Entry, *, most: float = float("inf")) -> Iterator[dict[str, Any]]:
    """Return the parameters' values to try, one change at a time: every choice, and both ends of what is allowed.

    Args:
        entry: what has the parameters.
        most: the largest number to try; a larger one would take too long.
    """
    base = default_values(entry)
    yield base
    for parameter in entry.parameters:
        for value in _candidates(entry, parameter.name):
            is_small = isinstance(value, bool) or not isinstance(value, int | float) or abs(value) <= most
            if is_small and (parameter.required or value != parameter.default):
                others = set(_optional_files(entry)) if parameter.file is not None else set()
                yield {name: given for name, given in base.items() if name not in others} | {parameter.name: value}


def _candidates(entry: Entry, name: str) -> list[Any]:
    (parameter,) = (one for one in entry.parameters if one.name == name)
    if parameter.file is not None:
        sample = SAMPLE_VECTOR if parameter.file == "vector" else SAMPLE_PICTURE
        return [sample] if parameter.required else [parameter.default, sample]
    options = parameter.schema_.get("anyOf", [parameter.schema_])
    values = [] if parameter.required else [parameter.default]
    for option in options:
        values += option.get("enum", [option["const"]] if "const" in option else [])
        values += [option[end] for end in ("minimum", "maximum") if end in option]
        values += [option[end] + step for end, step in _OPEN_ENDS if end in option]
        values += [True, False] if option.get("type") == "boolean" else []
        values += [_TYPICAL[option["type"]]] if parameter.required and option.get("type") in _TYPICAL else []
    right = [value for value in values if _is_allowed(entry, name, value)]
    must(bool(right), f"parameter {name!r} needs a default")
    return right


def _is_allowed(entry: Entry, name: str, value: object) -> bool:
    (parameter,) = (one for one in entry.parameters if one.name == name)
    try:
        entry.model_copy(update={"parameters": (parameter,)}).check({name: value}, ())
    except RecipeError:
        return False
    return True


def check_defaults(entry: Entry) -> None:
    """Raise PluginError unless every default is a value that its parameter takes."""
    for parameter in entry.parameters:
        if not parameter.required:
            must(
                _is_allowed(entry, parameter.name, parameter.default),
                f"parameter {parameter.name!r}: its own default {parameter.default!r} is not {parameter.type}",
            )


@contextmanager
def naming_values(values: Mapping[str, Any]) -> Iterator[None]:
    """Inside, add the parameters' values to the text of what goes wrong."""
    try:
        yield
    except Exception as error:  # of a plugin: it may be anything
        given = ", ".join(f"{name}={value!r}" for name, value in values.items())
        raise PluginError(f"{describe_error(error)}{f', with {given}' if given else ''}") from error

"""How one recipe goes over another, and which file each field of the result comes from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dreamd.errors import FieldPath, RecipeError
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.plugin_host.parameters import is_path
from dreamd.settings.fields import FieldModel, complaint
from dreamd.settings.recipes.checking import check_recipe
from dreamd.settings.recipes.expanding import expanded, sequence_parts
from dreamd.settings.recipes.layering import PLUGIN_FIELDS, Origin
from dreamd.settings.recipes.recipe import Ascent, LayerChoice, Output, Part, Recipe, Stage
from dreamd.settings.recipes.values.channels import ChannelChoice
from dreamd.settings.recipes.values.film import Film
from dreamd.settings.recipes.values.image import Image
from dreamd.settings.yamlfile import Document, parse_document
from dreamd.wording import suggestion

BUILT_IN = "built-in"
"""What `explain` calls the origin of a value that nothing but the model gives."""

NO_PATHS_OF_WEIGHTS = ("default", "random")
"""The words that may stand in the place of the path of a file of weights."""

_PATHS: Mapping[str, tuple[str, ...]] = {"backbone.weights": NO_PATHS_OF_WEIGHTS, "image.mask": ("alpha",)}
"""The fields that are paths, with the words that may stand in their place. Parameters of plugins are told by name."""

PACKAGED = "dreamd:"
"""What the name of a picture that ships with dreamd begins with, in the place of a path: `dreamd:fruit`. It is the same
wherever dreamd is installed, so that a sidecar can be dreamed elsewhere."""

_PARTIAL: Mapping[str, type[FieldModel]] = {"stages": Stage, "sequence": Part}
"""The fields that are lists of partial recipes, and what these may hold."""

_SECTIONS: dict[str, type[FieldModel]] = {
    "ascent": Ascent,
    "image": Image,
    "output": Output,
    "film": Film,
    "layers": LayerChoice,
}


@dataclass(frozen=True)
class Resolved:
    """An effective recipe and the origin of each of its fields (`("ascent", "lr")`) that a file or preset gives."""

    recipe: Recipe
    origins: Mapping[FieldPath, Origin]

    @cached_property
    def json(self) -> str:
        """The recipe as one line of JSON, one string for all the jobs that share it."""
        return self.recipe.to_json()

    def check(self, catalogue: Catalogue) -> None:
        """Check the names and parameters in the recipe against what the plugins bring.

        Raises:
            RecipeError: a name or parameter is unknown, or a value is not what its parameter takes; with file and line.
        """
        with self.locating():
            check_recipe(self.recipe, catalogue)

    @contextmanager
    def locating(self) -> Iterator[None]:
        """Inside, give every RecipeError the file and line that its field came from."""
        try:
            yield
        except RecipeError as error:
            raise self.located(error) from error

    def located(self, error: RecipeError) -> RecipeError:
        """Return the same error, with the file and line that its field came from."""
        return _located(error, self.origins)


def resolve(documents: Iterable[Document], parts: Sequence[Sequence[Document]] | None = None) -> Resolved:
    """Make documents, each of which goes over those before it, one effective recipe.

    Args:
        documents: the files and presets, from the bottom.
        parts: for each part of the recipe's sequence, what that extends and then the part, as `RecipeBook` looks it up;
            None where nothing can be looked up.

    Raises:
        RecipeError: a field is unknown or has a wrong value; with its file and line.
    """
    layers = list(documents)
    if parts is None:
        parts = [[_extending_nothing(part, index)] for index, part in enumerate(sequence_parts(layers))]
    data, origins = expanded(layers, parts)
    try:
        return Resolved(Recipe.model_validate(data), origins)
    except ValidationError as error:
        problem, field = complaint(error, data, _advice)
        raise _located(RecipeError(problem, field=field), origins) from error


def _extending_nothing(part: Document, index: int) -> Document:
    if "extends" in part.data:
        problem = "cannot name a recipe here; put the sequence into a recipe.yaml"
        raise RecipeError(problem, file=part.file, line=part.line(("extends",)), field=("sequence", index))
    return part


def repeating(wanted: str, used: str) -> str:
    """Return the precision that repeats a dream: the one that was in fact used.

    `auto` stays where it came to fp32: asked for by name, fp32 is the reference, which differs by rounding.
    """
    return wanted if (wanted, used) == ("auto", "fp32") else used


def from_sidecar(document: Document) -> Document:
    """Take the recipe out of a sidecar, or out of what a picture carries, so that a dream can be repeated.

    Any other document comes back as it is.
    """
    recipe = document.data.get("recipe")
    if not isinstance(recipe, dict) or not ("job" in document.data or "dreamd" in document.data):
        return document
    lines = {path[1:]: line for path, line in document.lines.items() if path[:1] == ("recipe",)}
    precision = repeating(recipe.get("precision", "auto"), document.data.get("precision", "auto"))
    return Document(document.file, {**recipe, "precision": precision}, lines)


def with_paths_below(folder: Path, document: Document) -> Document:
    """Make a document's paths, to weights and pictures, absolute: they are relative to the file that says them."""
    return Document(document.file, _with_paths_of_fields(folder, document.data), document.lines)


def _with_paths_of_fields(folder: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _with_paths(folder, key, value) for key, value in data.items()}


def _with_paths(folder: Path, key: str, value: Any) -> Any:
    """Make the paths in the value of a key absolute, however deep they lie."""
    if key in _PARTIAL and isinstance(value, list):
        return [_with_paths_of_fields(folder, part) if isinstance(part, dict) else part for part in value]
    if isinstance(value, dict):
        return {inner: _with_paths(folder, f"{key}.{inner}", below) for inner, below in value.items()}
    if isinstance(value, list):
        return [_with_paths(folder, key, below) for below in value]
    words = _PATHS.get(key, () if is_path(key.rpartition(".")[2]) else None)
    if words is None or not isinstance(value, str) or value in ("", *words) or value.startswith(PACKAGED):
        return value
    return str((folder / os.path.expanduser(value)).absolute())  # noqa: PTH111 (Path's raises for an unknown ~user)


def set_fields(assignments: Sequence[str], origin: str = "--set") -> Document:
    """Make a document of `--set layers=relu5_1 --set ascent.lr=0.1`.

    Args:
        assignments: each a `field=value`, whose value is YAML.
        origin: what errors call the place that they came from.

    Raises:
        RecipeError: one is no assignment.
    """
    data: dict[str, Any] = {}
    for assignment in assignments:
        names, value = _assigned(assignment, origin)
        if names[0] in PLUGIN_FIELDS and isinstance(value, str) and len(names) == 1:
            names = [*names, "name"]
        if len(names) == 1:
            data[names[0]] = value
        else:
            inner = data.get(names[0])
            data[names[0]] = {**(inner if isinstance(inner, dict) else {}), names[1]: value}
    return with_paths_below(Path(), Document(origin, data))


def _assigned(assignment: str, origin: str) -> tuple[list[str], Any]:
    """Read an assignment: the parts of a field's name, and its value, which is YAML."""
    dotted_name, equals, text = assignment.partition("=")
    names = dotted_name.strip().split(".")
    if not equals or not all(names) or len(names) > 2:
        raise RecipeError("is no `field=value` or `field.parameter=value`", file=f"{origin} {assignment}")
    if names[0] == "extends":
        raise RecipeError("cannot be set; choose what to start from with `--recipe`", file=f"{origin} {assignment}")
    return names, parse_document(f"value: {text}", f"{origin} {assignment}", RecipeError).data["value"]


def _advice(place: FieldPath) -> str:
    """Say which field was meant by one that does not exist; `lr` at the top belongs into `ascent`."""
    model: type[FieldModel] = Recipe
    while len(place) > 2 and place[0] in _PARTIAL:
        model, place = _PARTIAL[str(place[0])], place[2:]
    *holders, word = map(str, place)
    if holders:
        holder = ChannelChoice if holders[-1] == "channels" else _SECTIONS[holders[0]]
        return suggestion(word, holder.model_fields)
    if word in Recipe.model_fields and model is not Recipe:
        return f"{word} is the whole recipe's, and no {model.__name__.lower()} has its own"
    for section in ("ascent", "image", "output", "film"):
        if section in model.model_fields and word in _SECTIONS[section].model_fields:
            return f"did you mean {section}.{word}?"
    return suggestion(word, [*model.model_fields, *(["extends"] if model is not Stage else [])])


def _located(error: RecipeError, origins: Mapping[FieldPath, Origin]) -> RecipeError:
    path: FieldPath = (*error.field, "name")  # what is wrong with a plugin is best shown where it is named
    while path and path not in origins:
        path = path[:-1]
    origin = origins.get(path)
    if error.file is not None or origin is None:
        return error
    return RecipeError(error.problem, file=origin.file, line=origin.line, field=error.field)

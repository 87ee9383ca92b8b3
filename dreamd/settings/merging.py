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
from dreamd.settings.channels import ChannelChoice
from dreamd.settings.fields import FieldModel, complaint
from dreamd.settings.recipe import Ascent, Image, LayerChoice, Output, Recipe, check_recipe
from dreamd.settings.yamlfile import Document, parse_document
from dreamd.wording import suggestion

PLUGIN_FIELDS = ("backbone", "loss", "schedule")
"""The fields that choose one plugin each."""

BUILT_IN = "built-in"
"""What `explain` calls the origin of a value that nothing but the model gives."""

_MERGED_FIELDS = (*PLUGIN_FIELDS, "ascent", "image", "output")
"""The fields whose mapping goes over the inherited one field by field; the others replace it."""

_PATHS: Mapping[str, tuple[str, ...]] = {"backbone.weights": ("default", "random"), "image.mask": ("alpha",)}
"""The fields that are paths, with the words that may stand in their place. Parameters of plugins are told by name."""

PACKAGED = "dreamd:"
"""What the name of a picture that ships with dreamd begins with, in the place of a path: `dreamd:fruit`. It is the same
wherever dreamd is installed, so that a sidecar can be dreamed elsewhere."""

_SECTIONS: dict[str, type[FieldModel]] = {"ascent": Ascent, "image": Image, "output": Output, "layers": LayerChoice}


@dataclass(frozen=True)
class Origin:
    """Where a field's value came from."""

    file: Path | str
    line: int | None

    def __str__(self) -> str:
        return str(self.file) if self.line is None else f"{self.file}:{self.line}"


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


def resolve(documents: Iterable[Document]) -> Resolved:
    """Merge documents, the later over the earlier, into one effective recipe.

    A mapping merges into the inherited one, unless it names another plugin, which starts from that plugin's defaults; a
    list replaces. Layers belong to their backbone: naming another backbone starts from that one's default layer. So
    does momentum to its optimizer: naming another starts from none.

    Raises:
        RecipeError: a field is unknown or has a wrong value; with its file and line.
    """
    data: dict[str, Any] = {}
    origins: dict[FieldPath, Origin] = {}
    for document in documents:
        for key, value in document.data.items():
            if key != "extends":
                _merge_field(data, origins, document, key, value)
    try:
        return Resolved(Recipe.model_validate(data), origins)
    except ValidationError as error:
        problem, field = complaint(error, data, _advice)
        raise _located(RecipeError(problem, field=field), origins) from error


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
    data = {key: _with_paths(folder, key, value) for key, value in document.data.items()}
    return Document(document.file, data, document.lines)


def _with_paths(folder: Path, key: str, value: Any) -> Any:
    """Make the paths in the value of a key absolute, however deep they lie."""
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


def _merge_field(
    data: dict[str, Any], origins: dict[FieldPath, Origin], document: Document, key: str, value: Any
) -> None:
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
    data: dict[str, Any], origins: dict[FieldPath, Origin], document: Document, key: str, value: Mapping[str, Any]
) -> None:
    """Forget what is inherited where a mapping names another plugin than before: it starts from its own defaults."""
    inherited = data.setdefault(key, {"name": Recipe.model_fields[key].default.name})
    before = inherited["name"] if isinstance(inherited, dict) and "name" in inherited else None
    if value.get("name", before) == before:
        return
    _forget(data, origins, key)
    if key == "backbone" and "layers" not in document.data:
        _forget(data, origins, "layers")


def _choose_optimizer(data: dict[str, Any], origins: dict[FieldPath, Origin], value: Mapping[str, Any]) -> None:
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


def _forget(data: dict[str, Any], origins: dict[FieldPath, Origin], key: str) -> None:
    data.pop(key, None)
    for path in [path for path in origins if path[0] == key]:
        del origins[path]


def _note(origins: dict[FieldPath, Origin], document: Document, path: FieldPath) -> None:
    origins[path] = Origin(document.file, document.line(path))
    for inner, line in document.lines.items():
        if len(inner) > len(path) and inner[: len(path)] == path:
            origins[inner] = Origin(document.file, line)


def _advice(place: FieldPath) -> str:
    """Say which field was meant by one that does not exist; `lr` at the top belongs into `ascent`."""
    *holders, word = map(str, place)
    if holders:
        model = ChannelChoice if holders[-1] == "channels" else _SECTIONS[holders[0]]
        return suggestion(word, model.model_fields)
    for section in ("ascent", "image", "output"):
        if word in _SECTIONS[section].model_fields:
            return f"did you mean {section}.{word}?"
    return suggestion(word, [*Recipe.model_fields, "extends"])


def _located(error: RecipeError, origins: Mapping[FieldPath, Origin]) -> RecipeError:
    path: FieldPath = (*error.field, "name")  # what is wrong with a plugin is best shown where it is named
    while path and path not in origins:
        path = path[:-1]
    origin = origins.get(path)
    if error.file is not None or origin is None:
        return error
    return RecipeError(error.problem, file=origin.file, line=origin.line, field=error.field)

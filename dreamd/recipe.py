"""Recipes: the model, how one inherits from another, and where each field came from.

Knows YAML files and the words of a recipe. What the names in it stand for (is there a loss "l3"?) is the catalogue's to
say, in `check_recipe`; whether a network has a layer is known only where the network is.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dreamd.catalogue import Catalogue, Kind
from dreamd.errors import FieldPath, RecipeError, UnknownNameError, suggestion
from dreamd.yamlfile import Document, parse_document, read_document

RECIPE_FILES = ("recipe.yaml", "recipe.yml")
OutputFormat = Literal["same", "png", "jpeg", "webp", "avif", "tiff"]
PrecisionName = Literal["auto", "fp32", "bf16", "tf32"]

_TEMPLATE_FIELDS = ("stem", "job", "backbone", "loss", "schedule", "seed")
_PLUGIN_FIELDS = ("backbone", "loss", "schedule")
_MERGED_FIELDS = (*_PLUGIN_FIELDS, "ascent", "image", "output")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Plugin(BaseModel):
    """A plugin by name, with the values that the recipe gives to its parameters: `{name: l2, ...}` or just `l2`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @property
    def parameters(self) -> dict[str, Any]:
        """The values for the plugin's parameters."""
        return dict(self.model_extra or {})


class BackboneChoice(Plugin):
    """A backbone and its weights: `default`, `random` (drawn from the recipe's seed) or the path of a state dict."""

    weights: str = "default"


class LayerChoice(_Model):
    """A layer to look at.

    Attributes:
        name: its name, or its number in the order the layers run, from 1.
        weight: what its loss counts for; negative to see less of it.
        channels: the channels to look at, from 0; None for all.
    """

    name: str | int
    weight: float = 1.0
    channels: tuple[int, ...] | None = Field(default=None, min_length=1)

    @field_validator("name")
    @classmethod
    def _from_one(cls, value: str | int) -> str | int:
        if isinstance(value, int) and value < 1:
            raise ValueError("layers are counted from 1")
        return value


class Ascent(_Model):
    """The gradient ascent at one scale.

    Attributes:
        iterations: gradient steps.
        lr: how far a step goes, in units of the backbone's standard deviation of pixels, times the gradient.
        momentum: how much of the sum of the gradients so far is kept; 1 is the article's plain sum.
        jitter: the largest random circular shift before each step, in pixels.
    """

    iterations: int = Field(default=10, ge=1, le=10_000)
    lr: float = 0.05
    momentum: float = Field(default=0.0, ge=0.0, le=1.0)
    jitter: int = Field(default=32, ge=0, le=4096)


class Image(_Model):
    """What is done to the picture before the dream.

    Attributes:
        max_side: shrink it so that no side is longer, in pixels; None keeps its own size.
    """

    max_side: int | None = Field(default=None, ge=1)


class Output(_Model):
    """How the result is written.

    Attributes:
        format: a file format, or `same` as the picture's.
        quality: for formats that lose something, 1 to 100.
        name: the result's name without its extension; may hold {stem}, {job}, {backbone}, {loss}, {schedule}, {seed}.
    """

    format: OutputFormat = "same"
    quality: int = Field(default=92, ge=1, le=100)
    name: str = Field(default="{stem}", min_length=1)

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        try:
            fields = [name for _, name, _, _ in string.Formatter().parse(value) if name is not None]
        except ValueError as error:
            raise ValueError(f"is no template: {error}") from error
        for name in fields:
            if name not in _TEMPLATE_FIELDS:
                raise ValueError(f"{{{name}}} is not known; {suggestion(name, _TEMPLATE_FIELDS)}")
        if "/" in value or "\0" in value or value.startswith("."):
            raise ValueError("must be a file name: without /, and not hidden by a dot")
        return value


class Recipe(_Model):
    """An effective recipe: every field has its value.

    Attributes:
        layers: None for the backbone's own default layer.
        gradient: what is done to the gradient, in order; () leaves it bare.
        seed: of everything random: shifts, noise, random weights.
    """

    backbone: BackboneChoice = BackboneChoice(name="vgg19")
    layers: tuple[LayerChoice, ...] | None = Field(default=None, min_length=1)
    loss: Plugin = Plugin(name="l2")
    schedule: Plugin = Plugin(name="octaves")
    ascent: Ascent = Ascent()
    gradient: tuple[Plugin, ...] = (Plugin(name="smooth"), Plugin(name="normalize"))
    image: Image = Image()
    output: Output = Output()
    precision: PrecisionName = "auto"
    seed: int = Field(default=0, ge=0, lt=2**63)

    @field_validator("layers", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        if value is None:
            return None
        entries = value if isinstance(value, list | tuple) else [value]
        return [{"name": entry} if isinstance(entry, str | int) else entry for entry in entries]

    def to_json(self) -> str:
        """The recipe as one line of JSON; equal recipes give equal lines."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The recipe of `to_json`."""
        return cls.model_validate_json(text)


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

    def located(self, error: RecipeError) -> RecipeError:
        """The same error, with the file and line its field came from."""
        return _located(error, self.origins)


BUILT_IN = "built-in"
"""What `explain` calls the origin of a value that nothing but the model gives."""


class RecipeBook:
    """All the recipes of an inbox: its folders' files, named recipes, presets and the config's defaults."""

    def __init__(self, inbox: Path | None, *, named: Path | None = None, defaults: Document | None = None) -> None:
        """A book.

        Args:
            inbox: the root whose folders have recipes; None when there is none (`dreamd dream`).
            named: the folder of named recipes, for `extends`.
            defaults: the config's `defaults`, below everything else.
        """
        self._inbox = inbox
        self._named = named
        self._defaults = [defaults] if defaults else []
        self._read: dict[Path, tuple[tuple[int, int, int], Document]] = {}
        self._resolved: dict[tuple[Path, ...], tuple[list[Document], Resolved]] = {}

    def for_folder(self, folder: PurePosixPath) -> Resolved:
        """The effective recipe of an inbox folder, as its files are now.

        Raises:
            RecipeError: one of the files it comes from is wrong.
        """
        if self._inbox is None:
            return self.for_default()
        places = [
            self._inbox,
            *(self._inbox.joinpath(*folder.parts[:depth]) for depth in range(1, len(folder.parts) + 1)),
        ]
        return self._resolve([file for place in places if (file := recipe_file(place))])

    def for_default(self) -> Resolved:
        """What counts where no recipe file says otherwise."""
        return resolve(self._defaults)

    def for_file(self, file: Path) -> Resolved:
        """The effective recipe of one file, which inherits from the config's defaults alone."""
        return resolve([*self._defaults, *self.documents_of_file(file)])

    def for_name(self, name: str) -> Resolved:
        """The effective recipe of a preset or a named recipe. Raises RecipeError when there is none."""
        return resolve([*self._defaults, *self.documents_of_name(name)])

    def documents_of_file(self, file: Path) -> list[Document]:
        """What `resolve` makes the recipe of a file from: what it extends, then the file. Raises RecipeError."""
        return self._with_extended(self._document(file), ())

    def documents_of_name(self, name: str) -> list[Document]:
        """What `resolve` makes a preset or a named recipe from. Raises RecipeError."""
        return self._named_documents(name, ())

    def names(self) -> dict[str, Path | str]:
        """The names that `extends` knows, and where each stands."""
        named = sorted(self._named.glob("*.yaml")) if self._named else []
        return {name: f"preset {name}" for name in preset_names()} | {file.stem: file for file in named}

    def _resolve(self, recipe_files: list[Path]) -> Resolved:
        documents = [*self._defaults]
        for file in recipe_files:
            documents += self._with_extended(self._document(file), ())
        known = self._resolved.get(key := tuple(recipe_files))
        if known is None or any(new is not old for new, old in zip_longest(documents, known[0])):
            known = self._resolved[key] = (documents, resolve(documents))
        return known[1]

    def _with_extended(self, document: Document, seen: tuple[str, ...]) -> list[Document]:
        """A document below which the recipes that it extends lie."""
        name = document.data.get("extends")
        if name is None:
            return [document]
        line = document.line(("extends",))
        try:
            if not isinstance(name, str):
                raise RecipeError("must be the name of a preset or of a named recipe")
            return [*self._named_documents(name, seen), document]
        except RecipeError as error:
            if error.file is not None:
                raise
            raise RecipeError(error.problem, file=document.file, line=line, field=("extends",)) from error

    def _named_documents(self, name: str, seen: tuple[str, ...]) -> list[Document]:
        if name in seen:
            raise RecipeError(f"goes round in a circle: {' → '.join((*seen, name))}")
        file = self._named / f"{name}.yaml" if self._named and "/" not in name else None
        is_preset = name in preset_names()
        if file is not None and file.is_file():
            if is_preset:
                raise RecipeError("has the name of a preset; give it another", file=file)
            document = self._document(file)
        elif is_preset:
            document = preset(name)
        else:
            raise RecipeError(str(UnknownNameError("preset or named recipe", name, self.names())))
        return self._with_extended(document, (*seen, name))

    def _document(self, file: Path) -> Document:
        """A file's document, read again only when the file has changed."""
        try:
            status = file.stat()
        except OSError as problem:
            raise RecipeError(f"cannot be read: {problem.strerror}", file=file) from problem
        signature = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._read.get(file)
        if known is None or known[0] != signature:
            is_in_inbox = self._inbox is not None and self._inbox in file.parents
            document = read_document(file, RecipeError, follow_symlinks=not is_in_inbox)
            known = (signature, _prepared(document, file.parent))
            self._read[file] = known
        return known[1]


def recipe_file(folder: Path) -> Path | None:
    """The recipe file of a folder, if it has one. Raises RecipeError when it has two."""
    found = [file for name in RECIPE_FILES if (file := folder / name).exists() or file.is_symlink()]
    if len(found) > 1:
        raise RecipeError(f"stands beside {found[1].name}; keep one of them", file=found[0])
    return found[0] if found else None


@cache
def preset_names() -> list[str]:
    """The recipes that ship with dreamd."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _presets().iterdir() if entry.name.endswith(".yaml"))


@cache
def preset(name: str) -> Document:
    """The document of a preset."""
    text = (_presets() / f"{name}.yaml").read_text(encoding="utf-8")
    return parse_document(text, f"preset {name}", RecipeError)


def resolve(documents: Iterable[Document]) -> Resolved:
    """Merge documents, the later over the earlier, into one effective recipe.

    A mapping merges into the inherited one, unless it names another plugin, which starts from that plugin's defaults; a
    list replaces. Layers belong to their backbone: naming another backbone starts from that one's default layer.

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
        raise _located(_recipe_error(error), origins) from error


def check_recipe(recipe: Recipe, catalogue: Catalogue) -> None:
    """Check a recipe's names and parameters against what the plugins bring.

    Raises:
        RecipeError: a name or parameter is unknown, or a value is not what its parameter takes; with its field.
    """
    choices: list[tuple[Kind, Plugin, FieldPath]] = [
        (Kind.BACKBONE, recipe.backbone, ("backbone",)),
        (Kind.LOSS, recipe.loss, ("loss",)),
        (Kind.SCHEDULE, recipe.schedule, ("schedule",)),
        *((Kind.GRADIENT, step, ("gradient", index)) for index, step in enumerate(recipe.gradient)),
    ]
    for kind, choice, field in choices:
        try:
            entry = catalogue.find(kind, choice.name)
        except UnknownNameError as error:
            raise RecipeError(str(error), field=field) from error
        entry.check(choice.parameters, field)


def from_sidecar(document: Document) -> Document:
    """The recipe in a sidecar, with the precision that was in fact used, so that a dream can be repeated.

    A document that is no sidecar comes back as it is.
    """
    recipe = document.data.get("recipe")
    if not isinstance(recipe, dict) or "job" not in document.data:
        return document
    lines = {path[1:]: line for path, line in document.lines.items() if path[:1] == ("recipe",)}
    return Document(document.file, {**recipe, "precision": document.data.get("precision", "auto")}, lines)


def set_fields(assignments: Sequence[str]) -> Document:
    """The document of `--set layers=relu5_1 --set ascent.lr=0.1`. Raises RecipeError for what is no assignment."""
    data: dict[str, Any] = {}
    for assignment in assignments:
        dotted_name, equals, text = assignment.partition("=")
        names = dotted_name.strip().split(".")
        if not equals or not all(names) or len(names) > 2:
            raise RecipeError("is no `field=value` or `field.parameter=value`", file=f"--set {assignment}")
        value = parse_document(f"value: {text}", f"--set {assignment}", RecipeError).data["value"]
        if len(names) == 1:
            data[names[0]] = value
            continue
        inner = data.setdefault(names[0], {})
        if not isinstance(inner, dict):
            inner = data[names[0]] = {"name": inner}
        inner[names[1]] = value
    return Document("--set", data)


def explained(resolved: Resolved, catalogue: Catalogue) -> list[tuple[str, str, str]]:
    """Every effective field as (dotted name, value, origin), plugins' parameters included."""
    rows: list[tuple[str, Any, FieldPath]] = []
    for key, value in resolved.recipe.model_dump(mode="json").items():
        if isinstance(value, dict):
            defaults = _plugin_defaults(key, value, catalogue)
            rows += [(f"{key}.{sub}", inner, (key, sub)) for sub, inner in {**defaults, **value}.items()]
        else:
            rows.append((key, value, (key,)))
    return [(name, json.dumps(value, ensure_ascii=False), _origin_words(resolved, path)) for name, value, path in rows]


def recipe_schema(catalogue: Catalogue) -> dict[str, Any]:
    """A JSON Schema of recipe.yaml, with the plugins there are, for editors."""
    schema = Recipe.model_json_schema()
    properties = schema["properties"]
    for field, kind in (("backbone", Kind.BACKBONE), ("loss", Kind.LOSS), ("schedule", Kind.SCHEDULE)):
        properties[field] = {"anyOf": _plugin_schemas(catalogue, kind)}
    properties["gradient"] = {"type": "array", "items": {"anyOf": _plugin_schemas(catalogue, Kind.GRADIENT)}}
    layer = {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 1}, {"$ref": "#/$defs/LayerChoice"}]}
    properties["layers"] = {"anyOf": [*layer["anyOf"][:2], {"type": "array", "items": layer, "minItems": 1}]}
    properties["extends"] = {"type": "string", "description": "A preset or a named recipe.", "examples": preset_names()}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "A dreamd recipe"
    return schema


def _plugin_schemas(catalogue: Catalogue, kind: Kind) -> list[dict[str, Any]]:
    names = {"type": "string", "anyOf": [{"enum": catalogue.names(kind)}, {"pattern": "/"}]}
    schemas: list[dict[str, Any]] = [names]
    for entry in (entry for entry in catalogue.entries if entry.kind == kind):
        name = {"const": entry.name} if "*" not in entry.name else {"type": "string"}
        properties: dict[str, Any] = {"name": name}
        if kind is Kind.BACKBONE:
            properties["weights"] = {"type": "string", "description": "default, random, or the path of a state dict"}
        for parameter in entry.parameters:
            properties[parameter.name] = {**parameter.schema_, "description": parameter.doc}
        schemas.append({"type": "object", "properties": properties, "additionalProperties": False})
    return schemas


def _plugin_defaults(key: str, value: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    if key not in _PLUGIN_FIELDS:
        return {}
    entry = catalogue.find(Kind(key), value["name"])
    return {"name": value["name"]} | {parameter.name: parameter.default for parameter in entry.parameters}


def _origin_words(resolved: Resolved, path: FieldPath) -> str:
    origin = resolved.origins.get(path) or resolved.origins.get(path[:1])
    if origin is not None:
        return str(origin)
    if path == ("layers",):
        return f"default of backbone {resolved.recipe.backbone.name}"
    is_parameter = len(path) == 2 and path[0] in _PLUGIN_FIELDS and path[1] not in ("name", "weights")
    name = getattr(resolved.recipe, str(path[0])).name if is_parameter else ""
    return f"default of {path[0]} {name}" if is_parameter else BUILT_IN


def _merge_field(
    data: dict[str, Any], origins: dict[FieldPath, Origin], document: Document, key: str, value: Any
) -> None:
    if key in _PLUGIN_FIELDS and isinstance(value, str):
        value = {"name": value}
    path: FieldPath = (key,)
    if key not in _MERGED_FIELDS or not isinstance(value, dict):
        _forget(data, origins, key)
        data[key] = value
        _note(origins, document, path)
        return
    if _names_another(data.get(key), value, key):
        _forget(data, origins, key)
        if key == "backbone" and "layers" not in document.data:
            _forget(data, origins, "layers")
    inherited = data.get(key)
    data[key] = {**(inherited if isinstance(inherited, dict) else {}), **value}
    for sub in value:
        _note(origins, document, (key, sub))


def _names_another(inherited: object, value: Mapping[str, Any], key: str) -> bool:
    if key not in _PLUGIN_FIELDS or "name" not in value:
        return False
    default = Recipe.model_fields[key].default.name
    return bool(value["name"] != (inherited.get("name", default) if isinstance(inherited, dict) else default))


def _forget(data: dict[str, Any], origins: dict[FieldPath, Origin], key: str) -> None:
    data.pop(key, None)
    for path in [path for path in origins if path[0] == key]:
        del origins[path]


def _note(origins: dict[FieldPath, Origin], document: Document, path: FieldPath) -> None:
    origins[path] = Origin(document.file, document.line(path))
    for inner, line in document.lines.items():
        if len(inner) > len(path) and inner[: len(path)] == path:
            origins[inner] = Origin(document.file, line)


def _prepared(document: Document, folder: Path) -> Document:
    """A file's document, with a path to weights made absolute: it is relative to the file that says it."""
    document = from_sidecar(document)
    backbone = document.data.get("backbone")
    if not isinstance(backbone, dict) or not isinstance(weights := backbone.get("weights"), str):
        return document
    if weights in ("default", "random"):
        return document
    path = str((folder / Path(weights).expanduser()).absolute())
    return Document(document.file, {**document.data, "backbone": {**backbone, "weights": path}}, document.lines)


def _recipe_error(error: ValidationError) -> RecipeError:
    """The first of pydantic's complaints, in dreamd's words."""
    first = error.errors()[0]
    field: FieldPath = tuple(first["loc"])
    if first["type"] == "extra_forbidden":
        return RecipeError(f"is not a field; {suggestion(str(field[-1]), _known_fields(field[:-1]))}", field=field)
    value = first["input"]
    shown = f"{value!r}: " if isinstance(value, str | int | float | bool | None) else ""
    message = first["msg"].removeprefix("Value error, ")
    return RecipeError(f"{shown}{message[:1].lower()}{message[1:]}", field=field)


def _known_fields(path: FieldPath) -> list[str]:
    models: dict[str, type[BaseModel]] = {"ascent": Ascent, "image": Image, "output": Output, "layers": LayerChoice}
    if path:
        return list(models[str(path[0])].model_fields)
    return [*Recipe.model_fields, "extends"]


def _located(error: RecipeError, origins: Mapping[FieldPath, Origin]) -> RecipeError:
    path = error.field
    while path and path not in origins:
        path = path[:-1]
    origin = origins.get(path)
    if error.file is not None or origin is None:
        return error
    return RecipeError(error.problem, file=origin.file, line=origin.line, field=error.field)


def _presets() -> Any:
    return files("dreamd") / "presets"

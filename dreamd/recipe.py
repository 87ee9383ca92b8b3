"""Recipes: the model, how one inherits from another, and where each field came from.

Knows YAML files and the words of a recipe. What the names in it stand for (is there a loss "l3"?) is the catalogue's to
say, in `check_recipe`; whether a network has a layer is known only where the network is.
"""

from __future__ import annotations

import json
import os
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from dreamd.catalogue import Catalogue, Kind
from dreamd.errors import FieldPath, RecipeError, UnknownNameError, dotted, suggestion
from dreamd.fields import Count, FieldModel, Index, Integer, Number, complaint
from dreamd.yamlfile import Document, document_of_text, parse_document, read_document

RECIPE_FILES = ("recipe.yaml", "recipe.yml")
OutputFormat = Literal["same", "png", "jpeg", "webp", "avif", "tiff"]
PrecisionName = Literal["auto", "fp32", "bf16", "tf32"]

_TEMPLATE_FIELDS = ("stem", "job", "backbone", "loss", "schedule", "seed")
_PLUGIN_FIELDS = ("backbone", "loss", "schedule")
_MERGED_FIELDS = (*_PLUGIN_FIELDS, "ascent", "image", "output")


class Plugin(BaseModel):
    """A plugin by name, with the values that the recipe gives to its parameters: `{name: l2, ...}` or just `l2`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        if not isinstance(value, str | dict | Plugin):
            raise PydanticCustomError("a_plugin", "a name, or a mapping with a name and parameters")
        return {"name": value} if isinstance(value, str) else value

    @property
    def parameters(self) -> dict[str, Any]:
        """The values for the plugin's parameters."""
        return dict(self.model_extra or {})


class BackboneChoice(Plugin):
    """A backbone and its weights: `default`, `random` (drawn from the recipe's seed) or the path of a state dict."""

    weights: str = Field(default="default", min_length=1)


class LayerChoice(FieldModel):
    """A layer to look at.

    Attributes:
        name: its name, or its number in the order the layers run, from 1.
        weight: what its loss counts for; negative to see less of it.
        channels: the channels to look at, from 0; None for all.
    """

    name: str | Integer
    weight: Number = 1.0
    channels: Annotated[tuple[Index, ...], Field(min_length=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        if not isinstance(value, str | int | dict | LayerChoice):
            raise PydanticCustomError("a_layer", "a layer's name or number, or a mapping with its name")
        return {"name": value} if isinstance(value, str | int) else value

    @field_validator("name")
    @classmethod
    def _from_one(cls, value: str | int) -> str | int:
        if isinstance(value, int) and value < 1:
            raise ValueError("layers are counted from 1")
        return value


class Ascent(FieldModel):
    """The gradient ascent at one scale.

    Attributes:
        iterations: gradient steps.
        lr: how far a step goes, in units of the backbone's standard deviation of pixels, times the gradient.
        momentum: how much of the sum of the gradients so far is kept; 1 is the article's plain sum.
        jitter: the largest random circular shift before each step, in pixels.
    """

    iterations: Integer = Field(default=10, ge=1, le=10_000)
    lr: Number = 0.05
    momentum: Number = Field(default=0.0, ge=0.0, le=1.0)
    jitter: Integer = Field(default=32, ge=0, le=4096)


class Image(FieldModel):
    """What is done to the picture before the dream.

    Attributes:
        max_side: shrink it so that no side is longer, in pixels; None keeps its own size.
    """

    max_side: Count | None = None


class Output(FieldModel):
    """How the result is written.

    Attributes:
        format: a file format, or `same` as the picture's.
        quality: for formats that lose something, 1 to 100.
        name: the result's name without its extension; may hold {stem}, {job}, {backbone}, {loss}, {schedule}, {seed}.
    """

    format: OutputFormat = "same"
    quality: Integer = Field(default=92, ge=1, le=100)
    name: str = Field(default="{stem}", min_length=1)

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        try:
            fields = [part[1:] for part in string.Formatter().parse(value) if part[1] is not None]
        except ValueError as error:
            raise ValueError(f"is no template: {error}; a brace itself is written twice") from error
        for name, form, conversion in fields:
            if name not in _TEMPLATE_FIELDS:
                raise ValueError(f"{{{name}}} is not known; {suggestion(str(name), _TEMPLATE_FIELDS)}")
            if form or conversion:
                raise ValueError(f"takes no format: write {{{name}}}")
        if "/" in value or "\0" in value or value.startswith("."):
            raise ValueError("must be a file name: without /, and not hidden by a dot")
        return value


class Recipe(FieldModel):
    """An effective recipe: every field has its value.

    Attributes:
        layers: None for the backbone's own default layer.
        gradient: what is done to the gradient, in order; () leaves it bare.
        seed: of everything random: shifts, noise, random weights.
    """

    backbone: BackboneChoice = BackboneChoice(name="vgg19")
    layers: Annotated[tuple[LayerChoice, ...], Field(min_length=1)] | None = None
    loss: Plugin = Plugin(name="l2")
    schedule: Plugin = Plugin(name="octaves")
    ascent: Ascent = Ascent()
    gradient: tuple[Plugin, ...] = (Plugin(name="smooth"), Plugin(name="normalize"))
    image: Image = Image()
    output: Output = Output()
    precision: PrecisionName = "auto"
    seed: Integer = Field(default=0, ge=0, lt=2**63)

    @field_validator("layers", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        if value is None:
            return None
        return value if isinstance(value, list | tuple) else [value]

    def to_json(self) -> str:
        """The recipe as one line of JSON; equal recipes give equal lines."""
        return json.dumps(_canonical(self.model_dump(mode="json")), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The recipe of `to_json`."""
        return cls.model_validate_json(text)


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
        self._read: dict[Path, tuple[tuple[int, int, int], Document | RecipeError]] = {}
        self._resolved: dict[tuple[Path, ...], tuple[list[Document], Resolved]] = {}

    def for_folder(self, folder: PurePosixPath) -> Resolved:
        """The effective recipe of an inbox folder, as its files are now.

        Raises:
            RecipeError: one of the files it comes from is wrong.
        """
        if self._inbox is None:
            return self.for_default()
        return self._resolve([file for place in self._places(folder) if (file := recipe_file(place))])

    def for_draft(self, folder: PurePosixPath, text: str) -> Resolved:
        """The recipe that an inbox folder would have if this were the text of its own file. Raises RecipeError."""
        *outer, own = self._places(folder)
        file = recipe_file(own) or own / RECIPE_FILES[0]
        documents = [*self._defaults]
        for place in outer:
            if above := recipe_file(place):
                documents += self._with_extended(self._document(above), ())
        draft = from_sidecar(document_of_text(text, file, RecipeError))
        return resolve([*documents, *self._with_extended(with_weights_below(own, draft), ())])

    def _places(self, folder: PurePosixPath) -> list[Path]:
        """The inbox and its folders down to one of them, whose recipes it has."""
        assert self._inbox is not None
        return [self._inbox.joinpath(*folder.parts[:depth]) for depth in range(len(folder.parts) + 1)]

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
        if file is not None and os.path.isfile(file):  # noqa: PTH113 (Path's raises for a name that is too long)
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
            status = file.lstat() if self._is_in_inbox(file) else file.stat()
        except OSError as problem:
            raise RecipeError(f"cannot be read: {problem.strerror}", file=file) from problem
        signature = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._read.get(file)
        if known is None or known[0] != signature:
            known = self._read[file] = (signature, self._read_anew(file))
        if isinstance(known[1], RecipeError):
            raise known[1].with_traceback(None)
        return known[1]

    def _read_anew(self, file: Path) -> Document | RecipeError:
        try:
            document = read_document(file, RecipeError, follow_symlinks=not self._is_in_inbox(file))
        except RecipeError as error:
            if isinstance(error.__cause__, OSError):  # goes away without a change of the file
                raise
            return error
        return with_weights_below(file.parent, from_sidecar(document))

    def _is_in_inbox(self, file: Path) -> bool:
        return self._inbox is not None and self._inbox in file.parents


def recipe_file(folder: Path) -> Path | None:
    """The recipe file of a folder, if it has one. Raises RecipeError when it has two, or cannot be looked into."""
    found = [file for name in RECIPE_FILES if _is_there(file := folder / name)]
    if len(found) > 1:
        raise RecipeError(f"stands beside {found[1].name}; keep one of them", file=found[0])
    return found[0] if found else None


def _is_there(file: Path) -> bool:
    try:
        file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as problem:
        raise RecipeError(f"cannot be read: {problem.strerror}", file=file) from problem
    return True


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
        problem, field = complaint(error, data, _advice)
        raise _located(RecipeError(problem, field=field), origins) from error


def check_recipe(recipe: Recipe, catalogue: Catalogue) -> None:
    """Check a recipe's names and parameters against what the plugins bring.

    Raises:
        RecipeError: a name or parameter is unknown, or a value is not what its parameter takes; with its field.
    """
    for kind, choice, field in choices_of(recipe):
        try:
            entry = catalogue.find(kind, choice.name)
        except UnknownNameError as error:
            raise RecipeError(str(error), field=field) from error
        entry.check(choice.parameters, field)


def choices_of(recipe: Recipe) -> list[tuple[Kind, Plugin, FieldPath]]:
    """Every plugin that a recipe chooses, and the field that does."""
    return [
        (Kind.BACKBONE, recipe.backbone, ("backbone",)),
        (Kind.LOSS, recipe.loss, ("loss",)),
        (Kind.SCHEDULE, recipe.schedule, ("schedule",)),
        *((Kind.GRADIENT, step, ("gradient", index)) for index, step in enumerate(recipe.gradient)),
    ]


def from_sidecar(document: Document) -> Document:
    """The recipe in a sidecar, with the precision that was in fact used, so that a dream can be repeated.

    `auto` stays where it came to fp32: asked for by name, fp32 is the reference, which differs by rounding. A document
    that is no sidecar comes back as it is.
    """
    recipe = document.data.get("recipe")
    if not isinstance(recipe, dict) or "job" not in document.data:
        return document
    lines = {path[1:]: line for path, line in document.lines.items() if path[:1] == ("recipe",)}
    wanted, used = recipe.get("precision", "auto"), document.data.get("precision", "auto")
    precision = wanted if (wanted, used) == ("auto", "fp32") else used
    return Document(document.file, {**recipe, "precision": precision}, lines)


def with_weights_below(folder: Path, document: Document) -> Document:
    """The document with a path to weights made absolute: it is relative to the folder of the file that says it."""
    backbone = document.data.get("backbone")
    if not isinstance(backbone, dict) or not isinstance(weights := backbone.get("weights"), str):
        return document
    if weights in ("", "default", "random"):
        return document
    path = str((folder / os.path.expanduser(weights)).absolute())  # noqa: PTH111 (Path's raises for an unknown ~user)
    return Document(document.file, {**document.data, "backbone": {**backbone, "weights": path}}, document.lines)


def set_fields(assignments: Sequence[str]) -> Document:
    """The document of `--set layers=relu5_1 --set ascent.lr=0.1`. Raises RecipeError for what is no assignment."""
    data: dict[str, Any] = {}
    for assignment in assignments:
        names, value = _assigned(assignment)
        if names[0] in _PLUGIN_FIELDS and isinstance(value, str) and len(names) == 1:
            names = [*names, "name"]
        if len(names) == 1:
            data[names[0]] = value
        else:
            inner = data.get(names[0])
            data[names[0]] = {**(inner if isinstance(inner, dict) else {}), names[1]: value}
    return with_weights_below(Path(), Document("--set", data))


def _assigned(assignment: str) -> tuple[list[str], Any]:
    """The parts of a field's name, and its value, which is YAML."""
    dotted_name, equals, text = assignment.partition("=")
    names = dotted_name.strip().split(".")
    if not equals or not all(names) or len(names) > 2:
        raise RecipeError("is no `field=value` or `field.parameter=value`", file=f"--set {assignment}")
    if names[0] == "extends":
        raise RecipeError("cannot be set; choose what to start from with `--recipe`", file=f"--set {assignment}")
    return names, parse_document(f"value: {text}", f"--set {assignment}", RecipeError).data["value"]


def explained(resolved: Resolved, catalogue: Catalogue) -> list[tuple[str, str, str]]:
    """Every effective field as (dotted name, value as JSON, origin), plugins' parameters included."""
    rows = [row for key in Recipe.model_fields for row in _field_rows(resolved.recipe, key, catalogue)]
    return [(dotted(path), json.dumps(value, ensure_ascii=False), _origin(resolved, path)) for path, value in rows]


def _field_rows(recipe: Recipe, key: str, catalogue: Catalogue) -> Iterator[tuple[FieldPath, Any]]:
    value = recipe.model_dump(mode="json")[key]
    if isinstance(value, dict):
        yield from (((key, sub), inner) for sub, inner in _with_defaults(key, value, catalogue).items())
    elif isinstance(value, list) and value:
        for index, entry in enumerate(value):
            whole = _with_defaults(key, entry, catalogue)
            yield from (((key, index, sub), inner) for sub, inner in whole.items())
    else:
        yield (key,), value


def _with_defaults(key: str, value: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """A mapping with the defaults of the parameters that it does not give, if it is a plugin."""
    if key not in (*_PLUGIN_FIELDS, "gradient"):
        return dict(value)
    entry = catalogue.find(Kind(key), value["name"])
    return {"name": value["name"]} | {parameter.name: parameter.default for parameter in entry.parameters} | dict(value)


def recipe_schema(catalogue: Catalogue) -> dict[str, Any]:
    """A JSON Schema of recipe.yaml, with the plugins there are, for editors."""
    schema = Recipe.model_json_schema()
    properties = schema["properties"]
    for field, kind in (("backbone", Kind.BACKBONE), ("loss", Kind.LOSS), ("schedule", Kind.SCHEDULE)):
        properties[field] = {"anyOf": _plugin_schemas(catalogue, kind)}
    gradient = _plugin_schemas(catalogue, Kind.GRADIENT)
    steps = [step | ({"required": ["name"]} if "properties" in step else {}) for step in gradient]
    properties["gradient"] = {"type": "array", "items": {"anyOf": steps}}
    layer = [{"type": "string"}, {"type": "integer", "minimum": 1}, {"$ref": "#/$defs/LayerChoice"}]
    several = {"type": "array", "items": {"anyOf": layer}, "minItems": 1}
    properties["layers"] = {"anyOf": [*layer, several, {"type": "null"}]}
    properties["extends"] = {"type": "string", "description": "A preset or a named recipe.", "examples": preset_names()}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "A dreamd recipe"
    return schema


def _plugin_schemas(catalogue: Catalogue, kind: Kind) -> list[dict[str, Any]]:
    names = catalogue.names(kind)
    families = [{"pattern": f"^{name.replace('.', '[.]').replace('*', '.*')}$"} for name in names if "*" in name]
    single = [name for name in names if "*" not in name]
    schemas: list[dict[str, Any]] = [{"type": "string", "anyOf": [{"enum": single}, *families]}]
    for entry in (entry for entry in catalogue.entries if entry.kind == kind):
        name = {"const": entry.name} if "*" not in entry.name else {"type": "string"}
        properties: dict[str, Any] = {"name": name}
        if kind is Kind.BACKBONE:
            properties["weights"] = {"type": "string", "description": "default, random, or the path of a state dict"}
        for parameter in entry.parameters:
            properties[parameter.name] = {**parameter.schema_, "description": parameter.doc}
        schemas.append({"type": "object", "properties": properties, "additionalProperties": False})
    return schemas


def _origin(resolved: Resolved, path: FieldPath) -> str:
    """Where a field's value came from: a file with its line, a plugin's default, or the model."""
    recipe, key = resolved.recipe, path[0]
    origin = resolved.origins.get(path)
    if origin is None and path[-1] == "name":  # `layers: relu4_1` names no `name`
        origin = resolved.origins.get(path[:-1]) or resolved.origins.get(path[:1])
    if origin is not None:
        return str(origin)
    if path == ("layers",):
        return f"default of backbone {recipe.backbone.name}"
    if len(path) == 1 or path[-1] in ("name", "weights"):
        return BUILT_IN
    if key == "gradient" and isinstance(path[1], int):
        return f"default of gradient {recipe.gradient[path[1]].name}"
    return f"default of {key} {getattr(recipe, str(key)).name}" if key in _PLUGIN_FIELDS else BUILT_IN


def _canonical(value: Any) -> Any:
    """2.0 as 2, wherever it stands: equal numbers in one writing."""
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_canonical(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


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
    if key in _PLUGIN_FIELDS:
        _choose_plugin(data, origins, document, key, value)
    inherited = data.get(key)
    data[key] = {**(inherited if isinstance(inherited, dict) else {}), **value}
    origins[path] = Origin(document.file, document.line(path))
    for sub in value:
        _note(origins, document, (key, sub))


def _choose_plugin(
    data: dict[str, Any], origins: dict[FieldPath, Origin], document: Document, key: str, value: Mapping[str, Any]
) -> None:
    """Leave of what is inherited what goes with the plugin that a mapping names, if it names one."""
    inherited = data.setdefault(key, {"name": Recipe.model_fields[key].default.name})
    before = inherited["name"] if isinstance(inherited, dict) and "name" in inherited else None
    if value.get("name", before) == before:
        return
    _forget(data, origins, key)
    if key == "backbone" and "layers" not in document.data:
        _forget(data, origins, "layers")


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
    """The nearest right field to one that does not exist; `lr` at the top belongs into `ascent`."""
    *holders, word = map(str, place)
    if holders:
        return suggestion(word, _SECTIONS[holders[0]].model_fields)
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


def _presets() -> Any:
    return files("dreamd") / "presets"

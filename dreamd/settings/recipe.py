"""The recipe: its fields, their values, and what is checked of them without files.

Whether there is a loss "l3" is checked against the catalogue, in `check_recipe`. Whether a network has a layer is known
only where the network is.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from dreamd.errors import FieldPath, RecipeError, UnknownNameError
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.channels import Channels
from dreamd.settings.fields import Count, FieldModel, Flag, Integer, Number, Share
from dreamd.wording import suggestion

OutputFormat = Literal["same", "png", "jpeg", "webp", "avif", "tiff"]
"""The formats that a result may be written in; `same` is the picture's own."""

PrecisionName = Literal["auto", "fp32", "bf16", "tf32"]
"""The precisions that a recipe may ask for; `auto` is the fastest that the device has."""

STEPS: Mapping[str, Kind] = {
    "parameterization": Kind.PARAMETERIZATION,
    "gradient": Kind.GRADIENT,
    "start": Kind.TRANSFORM,
    "transforms": Kind.TRANSFORM,
    "settle": Kind.TRANSFORM,
    "finish": Kind.TRANSFORM,
}
"""The fields that are lists of plugins, and the kind of each."""

PICTURE_LAYER = "picture"
"""The layer that is the picture itself, and no module of the network."""

_COLOURS = 3
"""The channels of a picture."""

_TEMPLATE_FIELDS = ("stem", "job", "backbone", "loss", "schedule", "seed")
"""The words in braces that `output.name` may hold."""


class PluginChoice(BaseModel):
    """A plugin by name, with the values that the recipe gives to its parameters: `{name: l2, ...}` or just `l2`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        if not isinstance(value, str | dict | PluginChoice):
            raise PydanticCustomError("a_plugin", "a name, or a mapping with a name and parameters")
        return {"name": value} if isinstance(value, str) else value

    @property
    def parameters(self) -> dict[str, Any]:
        """The values for the plugin's parameters."""
        return dict(self.model_extra or {})


class BackboneChoice(PluginChoice):
    """A backbone and its weights.

    Attributes:
        name: a backbone by name, such as `vgg19`, or one of a family, such as `timm/resnet50`.
        weights: `default`: packaged or downloaded, and checked. `random`: drawn from the recipe's `seed`, for tests.
            Else the path of a state dict (`.pth`, `.safetensors`), relative to the file that says it.
    """

    weights: str = Field(default="default", min_length=1)


class LayerChoice(FieldModel):
    """A layer to look at.

    Attributes:
        name: its name, or its number in the order the layers run, from 1: `dreamd layers BACKBONE` lists both. The
            layer `picture` is the picture itself, in [0, 1].
        weight: what its loss counts for; negative to see less of it.
        channels: what of it to look at: a list of channels by number, from 0, or by label (`[peacock, 12]`), or how to
            choose them (`{strongest: 5}`); null for all. Labels are the classes of a network's scores, in any case,
            with spaces or underscores; one that several channels bear means all of them: `dreamd layers BACKBONE
            --labels WORD` finds them.
        center: look at the cell in the middle only: one neuron of each channel.
        place: look at the cell at one place only, `[x, y]` in shares of the sides, 0 to 1, from the upper left; null
            for all cells. `ascent.jitter` and `transforms` move the picture beneath it.
        activation: `after` looks at what the layer gives; `before` at what goes into the activation function at its
            end, where a neuron that is off still has a value to raise.
        loss: what of it is to grow; null for the recipe's own loss. For classes take `mean`: a score may be below zero.
    """

    name: str | Integer
    weight: Number = 1.0
    channels: Channels | None = None
    center: Flag = False
    place: tuple[Share, Share] | None = None
    activation: Literal["after", "before"] = "after"
    loss: PluginChoice | None = None

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

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.center and self.place is not None:
            raise ValueError("give center or place, not both")
        if self.is_picture:
            self._check_of_picture()
        return self

    def _check_of_picture(self) -> None:
        numbers = self.channels is None or isinstance(self.channels, tuple)
        if isinstance(self.channels, tuple):
            numbers = all(isinstance(channel, int) and channel < _COLOURS for channel in self.channels)
        if not numbers:
            raise ValueError("the channels of the picture are its colours: 0 is red, 1 green, 2 blue")
        if self.center or self.place is not None or self.activation == "before":
            raise ValueError("the picture has no neurons: center, place and activation are for layers of the network")

    @property
    def is_picture(self) -> bool:
        """Whether it is the picture itself, and no layer of the network."""
        return self.name == PICTURE_LAYER


class Ascent(FieldModel):
    """The gradient ascent at one scale.

    Attributes:
        iterations: how many gradient steps are made at each scale.
        lr: how far a step goes, in units of the backbone's standard deviation of pixels (about 0.23), times the move
            that the optimizer makes. With the gradient step `normalize` 0.05 moves a pixel by about 3 of 255. Where a
            parameterization moves, `lr` is in its units.
        momentum: how much of the sum of the gradients so far is kept; 1 is the article's plain sum. Only the optimizer
            `plain` takes it: a file that names another optimizer than it inherits does not inherit it.
        jitter: the largest random circular shift before each step, in pixels: it hides the grid of a network's cells.
        optimizer: what makes a move of each gradient.
        lr_end: `lr` at the end, towards which it goes in a straight line over the last quarter of the ascent; null
            keeps it.
    """

    iterations: Integer = Field(default=10, ge=1, le=10_000)
    lr: Number = 0.05
    momentum: Number = Field(default=0.0, ge=0.0, le=1.0)
    jitter: Integer = Field(default=32, ge=0, le=4096)
    optimizer: PluginChoice = PluginChoice(name="plain")
    lr_end: Number | None = None


_SIZE = re.compile(r"[1-9][0-9]{0,4}x[1-9][0-9]{0,4}")
"""A size in pixels: width and height, at most 99,999 each."""


class Image(FieldModel):
    """What is done to the picture before the dream.

    Attributes:
        max_side: the longest side in pixels, to which a larger picture is shrunk first; null keeps its own size.
        mask: where to dream: `alpha` for where the picture is opaque, or the path of a grey picture, white for where.
            Edges may be soft; what is black stays equal to the bit. null is everywhere.
        size: width and height in pixels, as 640x480, of a dream from nothing: of the noise that a dream file, or
            `dreamd dream noise`, begins with. A picture that is given keeps its own size.
    """

    max_side: Count | None = None
    mask: Annotated[str, Field(min_length=1)] | None = None
    size: str = Field(default="640x480", json_schema_extra={"pattern": f"^{_SIZE.pattern}$"})

    @field_validator("size")
    @classmethod
    def _is_a_size(cls, value: str) -> str:
        if _SIZE.fullmatch(value) is None:
            raise ValueError("must be WIDTHxHEIGHT in pixels, such as 640x480")
        return value

    @property
    def sides(self) -> tuple[int, int]:
        """The width and height of a dream from nothing, in pixels."""
        width, _, height = self.size.partition("x")
        return int(width), int(height)


class Output(FieldModel):
    """How the result is written.

    Attributes:
        format: the result's file format; `same` is the picture's own.
        quality: for formats that lose something.
        name: the result's name without its extension; may hold {stem}, {job}, {backbone}, {loss}, {schedule}, {seed}.
        embed: whether the recipe is written into the result, so that whoever has the picture can dream so too: into a
            text of PNG, into XMP of JPEG, WebP, AVIF and TIFF. Of paths only the last name is.
        steps: whether a film strip is kept beside the result, `NAME.steps.jpg`: a contact sheet of how it came about,
            with at most 60 pictures of octaves and iterations.
    """

    format: OutputFormat = "same"
    quality: Integer = Field(default=92, ge=1, le=100)
    name: str = Field(default="{stem}", min_length=1)
    embed: Flag = False
    steps: Flag = False

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
        backbone: the network that looks at the picture.
        layers: what is looked at in the network: a layer, or a list of layers, each by name, by number or as a mapping;
            null is the backbone's own default layer.
        loss: what is to grow in what a layer sees. It is maximised, always.
        schedule: at which sizes the picture is dreamed, and in which order.
        ascent: the gradient ascent at one size.
        gradient: what is done to each gradient, in order; [] leaves it bare.
        parameterization: what moves in place of pixels, from the picture inwards; [] moves pixels.
        transforms: what is done to the picture before each gradient, in order, so that only what is found again in
            every view is dreamed.
        start: what is done to the picture once, before the dream, in order.
        settle: what is done to the picture after each move, in order.
        finish: what is done to the picture once, after the dream, in order.
        image: what is done to the picture's size, and where it is dreamed.
        output: how the result is written.
        precision: what the network computes in. `auto` is the fastest that this device really has, by its
            instructions. `fp32` is the exact reference; where `auto` finds nothing faster, it computes in fp32 too, but
            arranged for speed.
        seed: where everything random starts from: shifts, noise, random weights.
    """

    backbone: BackboneChoice = BackboneChoice(name="vgg19")
    layers: Annotated[tuple[LayerChoice, ...], Field(min_length=1)] | None = None
    loss: PluginChoice = PluginChoice(name="l2")
    schedule: PluginChoice = PluginChoice(name="octaves")
    ascent: Ascent = Ascent()
    gradient: tuple[PluginChoice, ...] = (PluginChoice(name="smooth"), PluginChoice(name="normalize"))
    parameterization: tuple[PluginChoice, ...] = ()
    transforms: tuple[PluginChoice, ...] = ()
    start: tuple[PluginChoice, ...] = ()
    settle: tuple[PluginChoice, ...] = ()
    finish: tuple[PluginChoice, ...] = ()
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

    def steps(self, field: str) -> tuple[PluginChoice, ...]:
        """Return the plugins of one of the fields of `STEPS`, in order."""
        chosen: tuple[PluginChoice, ...] = getattr(self, field)
        return chosen

    def to_json(self) -> str:
        """Write the recipe as one line of JSON; equal recipes give equal lines."""
        return json.dumps(_canonical(self.model_dump(mode="json")), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a recipe that `to_json` wrote, of this version of dreamd or another.

        Raises:
            RecipeError: this version has no such fields or values.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            problem = "cannot be read: the recipe is of another version of dreamd"
            raise RecipeError(problem, field=error.errors()[0]["loc"]) from error


def check_recipe(recipe: Recipe, catalogue: Catalogue) -> None:
    """Check a recipe's names and parameters against what the plugins bring.

    Raises:
        RecipeError: a name or parameter is unknown, or a value is not what its parameter takes; with its field.
    """
    older = is_before_optimizers(catalogue)
    for kind, choice, field in choices_of(recipe):
        if kind is Kind.OPTIMIZER and older:
            continue
        try:
            entry = catalogue.find(kind, choice.name)
        except UnknownNameError as error:
            raise RecipeError(str(error), field=field) from error
        entry.check(choice.parameters, field)
        if field[0] == "transforms" and not entry.differentiable:
            problem = f"transform {choice.name!r} has no gradient; it may stand under start, settle or finish"
            raise RecipeError(problem, field=field)
    if not older:
        _check_ascent(recipe, catalogue)
    if recipe.layers is not None and all(layer.is_picture for layer in recipe.layers):
        raise RecipeError("needs a layer of the network beside the picture", field=("layers",))


def is_before_optimizers(catalogue: Catalogue) -> bool:
    """Return whether an older dreamd kept the catalogue, which cannot say what moves: a worker soon sends a new one."""
    return not any(catalogue.names(kind) for kind in (Kind.OPTIMIZER, Kind.PARAMETERIZATION, Kind.TRANSFORM))


def _check_ascent(recipe: Recipe, catalogue: Catalogue) -> None:
    """Check that the optimizer goes with the rest of the recipe. Raises RecipeError."""
    ascent = recipe.ascent
    entry = catalogue.find(Kind.OPTIMIZER, ascent.optimizer.name)
    if ascent.momentum and "momentum" not in entry.takes:
        raise RecipeError(f"is not for the optimizer {entry.name!r}; leave it out", field=("ascent", "momentum"))
    if entry.steady and ascent.jitter:
        raise RecipeError(f"the optimizer {entry.name!r} learns nothing from a picture that shifts; give 0",
                          field=("ascent", "jitter"))  # fmt: skip
    if entry.steady and recipe.transforms:
        raise RecipeError(f"the optimizer {entry.name!r} learns nothing from a picture that changes; give none",
                          field=("transforms",))  # fmt: skip


def choices_of(recipe: Recipe) -> list[tuple[Kind, PluginChoice, FieldPath]]:
    """Return every plugin that a recipe chooses, with its kind and the field that chooses it."""
    return [
        (Kind.BACKBONE, recipe.backbone, ("backbone",)),
        (Kind.LOSS, recipe.loss, ("loss",)),
        (Kind.SCHEDULE, recipe.schedule, ("schedule",)),
        *(
            (Kind.LOSS, layer.loss, ("layers", index, "loss"))
            for index, layer in enumerate(recipe.layers or ())
            if layer.loss is not None
        ),
        (Kind.OPTIMIZER, recipe.ascent.optimizer, ("ascent", "optimizer")),
        *(
            (kind, step, (field, index))
            for field, kind in STEPS.items()
            for index, step in enumerate(recipe.steps(field))
        ),
    ]


def _canonical(value: Any) -> Any:
    """Write 2.0 as 2, wherever it stands: equal numbers have one writing."""
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_canonical(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

"""The recipe: its fields, their values, and what is checked of them without files.

Whether there is a loss "l3" is checked against the catalogue, in `check_recipe`. Whether a network has a layer is known
only where the network is.
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from dreamd.errors import FieldPath, RecipeError
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_host.parameters import USUAL
from dreamd.settings.fields import Count, FieldModel, Flag, Integer, Number, Share
from dreamd.settings.recipes.values.channels import Channels
from dreamd.settings.recipes.values.choices import PluginChoice
from dreamd.settings.recipes.values.film import Codec, Film
from dreamd.settings.recipes.values.image import Image
from dreamd.wording import suggestion

OutputFormat = Literal["same", "png", "jpeg", "webp", "avif", "tiff", "heic"]
"""The formats that a result may be written in; `same` is the picture's own."""

OutputDepth = Literal["same", 8, 16]
"""The bits a channel that a result may have; `same` are the picture's own."""

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

    iterations: Integer = Field(default=10, ge=1, le=10_000, json_schema_extra={USUAL: [1, 50]})
    lr: Number = Field(default=0.05, json_schema_extra={USUAL: [0.005, 0.5]})
    momentum: Number = Field(default=0.0, ge=0.0, le=1.0)
    jitter: Integer = Field(default=32, ge=0, le=4096, json_schema_extra={USUAL: [0, 64]})
    optimizer: PluginChoice = PluginChoice(name="plain")
    lr_end: Number | None = Field(default=None, json_schema_extra={USUAL: [0, 0.1]})


class Output(FieldModel):
    """How the result is written.

    Attributes:
        format: the result's file format; `same` is the picture's own.
        quality: for formats that lose something.
        depth: bits a channel: `same` is the picture's own, as far as the format holds them. PNG and TIFF hold 8 and 16,
            AVIF 8, 10 and 12, HEIC 8 and 10, the others 8. What has more is dithered where it becomes 8, by `seed`.
        metadata: what authors and cameras wrote, EXIF, XMP, IPTC and texts: `keep` carries it over, `strip` leaves all
            of it out, `strip_location` leaves out where the picture was taken, in all of them. A profile stays.
        name: the result's name without its extension; may hold {stem}, {job}, {backbone}, {loss}, {schedule}, {seed}.
        embed: whether the recipe is written into the result, so that whoever has the picture can dream so too: into a
            text of PNG, into XMP of JPEG, WebP, AVIF, HEIC and TIFF. Of paths only the last name is.
        steps: whether a film strip is kept beside the result, `NAME.steps.jpg`: a contact sheet of how it came about,
            with at most 60 pictures of octaves and iterations.
        film: the format of a film or an animation, by the ending of its name, such as `mp4`, `webm`, `gif`; `same` is
            the film's own, and `mp4` of one that is made out of a picture.
        codec: what a film's frames are coded with; `auto` is h264, and vp9 in WebM.
        pixel_format: how a film's pixels are stored, by FFmpeg's name, such as `yuv444p`, which keeps the detail of
            colours, or `yuv420p10le`; `auto` is `yuv420p`, which every player shows.
    """

    format: OutputFormat = "same"
    quality: Integer = Field(default=92, ge=1, le=100, json_schema_extra={USUAL: [60, 100]})
    depth: OutputDepth = "same"
    metadata: Literal["keep", "strip", "strip_location"] = "keep"
    name: str = Field(default="{stem}", min_length=1)
    embed: Flag = False
    steps: Flag = False
    film: str = Field(default="same", pattern="^[a-z0-9]+$")
    codec: Codec = "auto"
    pixel_format: str = Field(default="auto", pattern="^[a-z0-9_]+$")

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


_MOST_STAGES = 32
"""The most stages of a recipe, of all its parts: a sidecar, which tells each whole, must stay short enough to read."""


class Network(FieldModel):
    """Which network looks.

    Attributes:
        backbone: the network that looks at the picture.
    """

    backbone: BackboneChoice = BackboneChoice(name="vgg19")


class Climb(FieldModel):
    """What an ascent makes larger, and how: all that a stage may change.

    Attributes:
        layers: what is looked at in the network: a layer, or a list of layers, each by name, by number or as a mapping;
            null is the backbone's own default layer.
        loss: what is to grow in what a layer sees. It is maximised, always.
        ascent: the gradient ascent at one size.
        gradient: what is done to each gradient, in order; [] leaves it bare.
        parameterization: what moves in place of pixels, from the picture inwards; [] moves pixels.
        transforms: what is done to the picture before each gradient, in order, so that only what is found again in
            every view is dreamed.
        settle: what is done to the picture after each move, in order.
    """

    layers: Annotated[tuple[LayerChoice, ...], Field(min_length=1)] | None = None
    loss: PluginChoice = PluginChoice(name="l2")
    ascent: Ascent = Ascent()
    gradient: tuple[PluginChoice, ...] = (PluginChoice(name="smooth"), PluginChoice(name="normalize"))
    parameterization: tuple[PluginChoice, ...] = ()
    transforms: tuple[PluginChoice, ...] = ()
    settle: tuple[PluginChoice, ...] = ()

    @field_validator("layers", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        if value is None:
            return None
        return value if isinstance(value, list | tuple) else [value]

    def steps(self, field: str) -> tuple[PluginChoice, ...]:
        """Return the plugins of one of the fields of `STEPS`, in order; () for one that it does not have."""
        chosen: tuple[PluginChoice, ...] = getattr(self, field, ())
        return chosen


class Stage(Climb):
    """Some octaves of a dream that climb in their own way. What a stage does not say is as in the recipe.

    Attributes:
        octaves: how many octaves (ascents of the schedule) the stage lasts; the last stage goes on for the rest.
    """

    octaves: Count = 1


class Part(Climb, Network):
    """One dream of a picture by one network: a part of a sequence. What it does not say is as in the recipe.

    Attributes:
        schedule: at which sizes the picture is dreamed, and in which order.
        start: what is done to the picture once, before the dream, in order.
        finish: what is done to the picture once, after the dream, in order.
        stages: recipes of the octaves, from the smallest on, each of which says what is different there: `layers`,
            `loss`, `ascent`, `gradient`, `transforms`, `settle`, `parameterization`, and `octaves` for how many it
            lasts, 1 if it does not say. [] dreams all octaves alike.
    """

    schedule: PluginChoice = PluginChoice(name="octaves")
    start: tuple[PluginChoice, ...] = ()
    finish: tuple[PluginChoice, ...] = ()
    stages: Annotated[tuple[Stage, ...], Field(max_length=_MOST_STAGES)] = ()

    @property
    def climbs(self) -> tuple[tuple[FieldPath, Climb], ...]:
        """How its octaves climb, one after the other, each with the field that says so."""
        stages = tuple((("stages", index), stage) for index, stage in enumerate(self.stages))
        return stages or (((), self),)


class Recipe(Part):
    """An effective recipe: every field has its value.

    Attributes:
        image: what is done to the picture's size, and where it is dreamed.
        output: how the result is written.
        precision: what the network computes in. `auto` is the fastest that this device really has, by its
            instructions. `fp32` is the exact reference; where `auto` finds nothing faster, it computes in fp32 too, but
            arranged for speed.
        seed: where everything random starts from: shifts, noise, random weights.
        film: how frames follow each other, in films and animations, and in a film that is made out of one picture.
        sequence: recipes that the picture goes through one after the other, each with its own backbone and schedule: a
            name, or a mapping that may say `extends`. What stands beside `sequence` is what each part inherits;
            `image`, `output`, `precision`, `seed` and `film` are those of the whole. [] is one dream, by the fields
            beside it.
    """

    image: Image = Image()
    output: Output = Output()
    precision: PrecisionName = "auto"
    seed: Integer = Field(default=0, ge=0, lt=2**63)
    film: Film = Film()
    sequence: Annotated[tuple[Part, ...], Field(max_length=8)] = ()

    @field_validator("sequence")
    @classmethod
    def _fits_a_sidecar(cls, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        if (stages := sum(len(part.stages) for part in parts)) > _MOST_STAGES:
            raise ValueError(f"its parts have {stages} stages in all, and at most {_MOST_STAGES} can be")
        return parts

    @property
    def dreams(self) -> tuple[tuple[FieldPath, Recipe], ...]:
        """The recipe of each dream that the picture goes through, each with the field that it stands in."""
        if not self.sequence:
            return (((), self),)
        whole = {field: getattr(self, field) for field in WHOLE_FIELDS}
        parts = ({field: getattr(part, field) for field in Part.model_fields} for part in self.sequence)
        return tuple((("sequence", index), Recipe.model_construct(**part, **whole)) for index, part in enumerate(parts))

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


WHOLE_FIELDS = ("image", "output", "precision", "seed", "film")
"""The fields that a sequence has once, whatever its parts."""

PARTIAL_FIELDS = ("stages", "sequence")
"""The fields that are lists of partial recipes."""


def _canonical(value: Any) -> Any:
    """Write 2.0 as 2, wherever it stands: equal numbers have one writing."""
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_canonical(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

"""From a recipe to a `Dreamer`: looks up the plugins and fills in their parameters.

Knows recipes and plugins. Knows no pictures and no files.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from dreamd.engine.ascents.ascent import AscentSettings, At, GradientStep, Optimizer
from dreamd.engine.ascents.chain import Chain, Parameterization, Transform
from dreamd.engine.ascents.trial import find_misplaced
from dreamd.engine.dreamer import Climb, Dreamer
from dreamd.engine.network.backbone import Backbone
from dreamd.engine.objectives.objective import Objective, Term
from dreamd.engine.objectives.references import ORIGINAL, Reference, Referring
from dreamd.engine.speed.card.graphs import Graphs, Recorder
from dreamd.engine.speed.precision import Precision, fastest
from dreamd.errors import FieldPath, RecipeError, within
from dreamd.plugin_host.host import Plugins, Registered
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_host.parameters import Parameter
from dreamd.settings.recipes.checking import check_recipe, choices_of
from dreamd.settings.recipes.recipe import PICTURE_LAYER, BackboneChoice, LayerChoice, Recipe, Stage
from dreamd.settings.recipes.recipe import Climb as RecipeClimb
from dreamd.settings.recipes.values.choices import PluginChoice
from dreamd.weights.transfer import OnBytes
from dreamd.worker.recipes.backbones import Backbones, climb_modules, wants_reference
from dreamd.worker.recipes.recipe_pictures import RecipePictures
from dreamd.worker.recipes.targets import Aim, aimed, check_loss_alone

_GRAPHS_SHARE = 1 / 16
"""The share of a GPU's memory that recordings may hold."""

_KEPT = 2
"""The recipes whose dreamers are kept: a film has one for frames that begin anew, and one for those that go on."""

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Built:
    """What a recipe dreams with, and what a sidecar says of it.

    Attributes:
        recipe: the effective recipe.
        dreamer: what the engine dreams with; first, where the recipe is a sequence.
        weights_sha256: the checksum of the network's file of weights; None for random ones. Of a sequence, one a part.
        plugins: the version of each plugin that the recipe uses.
        pictures: the checksum of each picture and vector that the recipe names, by its path.
        mask: where to dream, `[1, 3, H, W]`, grey, in [0, 1]; None where the recipe names no picture for that.
        later: what the engine dreams with afterwards, one dreamer for each further part of a sequence.
        film_steps: what is done to each frame of a film out of one picture before the next is dreamed out of it.
    """

    recipe: Recipe
    dreamer: Dreamer
    weights_sha256: str | tuple[str | None, ...] | None
    plugins: dict[str, str]
    pictures: dict[str, str]
    mask: Tensor | None = None
    later: tuple[Dreamer, ...] = ()
    film_steps: tuple[Transform, ...] = ()

    @property
    def dreamers(self) -> tuple[Dreamer, ...]:
        """Return what the engine dreams with, one part after the other."""
        return (self.dreamer, *self.later)


class Builder:
    """Builds dreamers for one device."""

    def __init__(
        self,
        plugins: Plugins,
        device: torch.device,
        memory: int | None = None,
        *,
        deterministic: bool = True,
        may_fetch: bool = True,
        pictures: RecipePictures | None = None,
    ) -> None:
        """Build nothing yet.

        Args:
            plugins: the engine's.
            device: what to dream on.
            memory: bytes that the process may hold; larger pictures are dreamed in tiles. None: never in tiles.
            deterministic: on a GPU, whether to take only algorithms that give the same bits each time.
            may_fetch: whether weights that are not here are fetched, which is waited for.
            pictures: reads the pictures that recipes name; None: from anywhere.
        """
        self._plugins = plugins
        self._memory = memory
        self._device = device
        self._backbones = Backbones(plugins, device, may_fetch=may_fetch)
        self._deterministic = deterministic
        self._graphs = _graphs(device, memory)
        self._pictures = pictures or RecipePictures(None)
        self._latest: list[Built] = []

    def build(self, recipe: Recipe, on_bytes: OnBytes | None = None) -> Built:
        """Return what the recipe dreams with; for the same recipe and pictures again, the same.

        Raises:
            RecipeError: a name, parameter or layer does not exist, or a picture that it names cannot be read.
            WeightsError: the weights cannot be had or do not fit.
            PluginError: a plugin breaks its contract.
        """
        check_recipe(recipe, self._plugins.catalogue)
        pictures = self._named_pictures(recipe)
        for built in self._latest:
            if built.recipe == recipe and built.pictures == pictures:
                return built
        self._latest = [self._build(recipe, pictures, on_bytes), *self._latest][:_KEPT]
        return self._latest[0]

    def _named_pictures(self, recipe: Recipe) -> dict[str, str]:
        """Read the pictures and vectors that the recipe names; returns the checksum of each by its path."""
        named = [
            (choice.parameters[parameter.name], (*field, parameter.name), parameter.file == "vector")
            for kind, choice, field in choices_of(recipe)
            for parameter in self._plugins.get(kind, choice.name).entry.parameters
            if parameter.file is not None and choice.parameters.get(parameter.name) is not None
        ]
        if recipe.image.mask not in (None, "alpha"):
            named.append((recipe.image.mask, ("image", "mask"), False))
        pictures = self._pictures
        return {
            path: (pictures.load_vector(path, field) if is_vector else pictures.load(path, field)).sha256
            for path, field, is_vector in named
        }

    def _build(self, recipe: Recipe, pictures: dict[str, str], on_bytes: OnBytes | None) -> Built:
        precision = fastest(self._device) if recipe.precision == "auto" else Precision(recipe.precision)
        loaded = []
        for place, dream in recipe.dreams:
            with within(place):
                loaded.append(self._backbones.get(dream, precision, on_bytes))
        networks = {id(each.backbone.network): _bytes_of(each.backbone.network) for each in loaded}
        dreamers = []
        for (place, dream), each in zip(recipe.dreams, loaded, strict=True):
            others = sum(networks.values()) - networks[id(each.backbone.network)]
            with within(place):
                dreamers.append(self._dreamer(dream, each.backbone, precision, others))
        checksums = tuple(each.weights_sha256 for each in loaded)
        return Built(
            recipe,
            dreamers[0],
            checksums if recipe.sequence else checksums[0],
            self._versions(recipe),
            pictures,
            self._mask(recipe),
            tuple(dreamers[1:]),
            self._film_steps(recipe),
        )

    def _dreamer(self, recipe: Recipe, backbone: Backbone, precision: Precision, others: int) -> Dreamer:
        """Return what one dream is dreamed with.

        Args:
            recipe: its recipe; of a part of a sequence, the part as a recipe of its own.
            backbone: its network.
            precision: what that computes in.
            others: the bytes of the sequence's other networks, which are held meanwhile.
        """
        first, *later = [self._climb(climb, recipe.backbone, backbone, place) for place, climb in recipe.climbs]
        ends = Chain(start=self._transforms(recipe, "start"), finish=self._transforms(recipe, "finish"))
        self._check_places(ends)
        return Dreamer(
            objective=first.objective,
            settings=first.settings,
            steps=first.steps,
            optimizer=first.optimizer,
            optimizer_pictures=first.optimizer_pictures,
            ascents=first.ascents,
            chain=replace(first.chain, start=ends.start, finish=ends.finish),
            backbone=backbone,
            schedule=self._filled_in(Kind.SCHEDULE, recipe.schedule, ("schedule",)),
            later=later,
            precision=precision,
            exact=wants_reference(recipe),
            device=self._device,
            deterministic=self._deterministic,
            memory=None if self._memory is None else self._memory - others,
            graphs=self._graphs,
        )

    def _climb(self, climb: RecipeClimb, choice: BackboneChoice, backbone: Backbone, place: FieldPath) -> Climb:
        """Return a stage of a recipe, or the recipe itself where it has none, as the engine climbs it."""
        with within(place):
            optimizer, optimizer_pictures = self._optimizer(climb)
            chain = self._chain(climb)
            self._check_places(chain)
            return Climb(
                objective=self._objective(climb, choice, backbone),
                settings=AscentSettings(**climb.ascent.model_dump(exclude={"optimizer"})),
                steps=[self._step(choice, ("gradient", index)) for index, choice in enumerate(climb.gradient)],
                optimizer=optimizer,
                optimizer_pictures=optimizer_pictures,
                chain=chain,
                ascents=climb.octaves if isinstance(climb, Stage) else 1,
            )

    def _objective(self, climb: RecipeClimb, choice: BackboneChoice, backbone: Backbone) -> Objective:
        modules = iter(climb_modules(climb, choice.name, backbone, ()))
        if climb.layers is None:
            term = Term(next(modules), self._loss(climb.loss, ("loss",)))
            layer = LayerChoice(name=str(backbone.default_layer))
            return Objective((aimed(term, Aim(layer, ("layers",), ("loss",), choice), backbone),))
        terms = []
        for index, layer in enumerate(climb.layers):
            if not layer.is_picture:
                field = ("layers", index)
                aim = Aim(layer, field, ("loss",) if layer.loss is None else (*field, "loss"), choice)
                terms.append(aimed(self._term(climb, index, next(modules)), aim, backbone))
        return Objective(tuple(terms))

    def _picture_term(self, climb: RecipeClimb, index: int) -> Term:
        """Return what a climb wants of the picture itself."""
        assert climb.layers is not None
        term, channels = self._term(climb, index, PICTURE_LAYER), climb.layers[index].channels
        if not isinstance(channels, tuple):
            return term
        return replace(term, channels=tuple(channel for channel in channels if isinstance(channel, int)))

    def _term(self, climb: RecipeClimb, index: int, module: str) -> Term:
        """Return the loss that a climb wants of one of its layers, of all of it."""
        assert climb.layers is not None
        layer = climb.layers[index]
        own = layer.loss is not None
        loss = self._loss(layer.loss or climb.loss, ("layers", index, "loss") if own else ("loss",))
        return Term(module, loss, layer.weight)

    def _loss(self, choice: PluginChoice, field: FieldPath) -> partial[Tensor] | Referring:
        """Return a loss as the engine calls it; what it is to compare with is looked at later, size by size."""
        registered = self._plugins.get(Kind.LOSS, choice.name)
        references = {}
        compares = [parameter for parameter in registered.entry.parameters if parameter.file in ("seen", "vector")]
        for parameter in compares:
            if (path := choice.parameters.get(parameter.name)) is not None:
                references[parameter.name] = self._reference(parameter, path, (*field, parameter.name))
        if ORIGINAL in registered.entry.takes:
            references[ORIGINAL] = Reference(key=ORIGINAL)
        values = {key: value for key, value in self._values(registered, choice, field).items() if key not in references}
        loss = partial(registered.function, **values)
        if references:
            return Referring(loss, references)
        if compares:
            check_loss_alone(loss, field)
        return loss

    def _reference(self, parameter: Parameter, path: str, field: FieldPath) -> Reference:
        """Return what a loss compares with: a picture that its layer is shown, or a vector."""
        if parameter.file == "vector":
            vector = self._pictures.load_vector(path, field)
            return Reference(key=vector.sha256, vector=vector.values.to(self._device))
        picture = self._pictures.load(path, field)
        return Reference(picture.image, picture.sha256)

    def _chain(self, climb: RecipeClimb) -> Chain:
        levels = enumerate(climb.parameterization)
        own = [index for index, layer in enumerate(climb.layers or ()) if layer.is_picture]
        return Chain(
            parameterization=tuple(self._level(choice, ("parameterization", index)) for index, choice in levels),
            transforms=self._transforms(climb, "transforms"),
            settle=self._transforms(climb, "settle"),
            picture_terms=tuple(self._picture_term(climb, index) for index in own),
        )

    def _check_places(self, chain: Chain) -> None:
        """Raise RecipeError when something stands in a field of the recipe that it cannot stand in."""
        if (misplaced := find_misplaced(chain, self._device)) is not None:
            raise RecipeError(misplaced.problem, field=(misplaced.where, misplaced.number))

    def _transforms(self, climb: RecipeClimb, field: str) -> tuple[Transform, ...]:
        return tuple(self._transform(choice, (field, index)) for index, choice in enumerate(climb.steps(field)))

    def _film_steps(self, recipe: Recipe) -> tuple[Transform, ...]:
        if recipe.film.frames is None:
            return ()
        return tuple(self._transform(choice, ("film", "step", index)) for index, choice in enumerate(recipe.film.step))

    def _level(self, choice: PluginChoice, field: FieldPath) -> Parameterization:
        registered = self._plugins.get(Kind.PARAMETERIZATION, choice.name)
        assert registered.decode is not None
        values = self._values(registered, choice, field)
        encode, decode = (_taking(function, values) for function in (registered.function, registered.decode))
        return Parameterization(encode, decode)

    def _transform(self, choice: PluginChoice, field: FieldPath) -> Transform:
        registered = self._plugins.get(Kind.TRANSFORM, choice.name)
        function = self._filled_in(Kind.TRANSFORM, choice, field)
        return Transform(function, frozenset(registered.entry.takes))

    def _step(self, choice: PluginChoice, field: FieldPath) -> GradientStep:
        """Return a gradient step as the ascent calls it, whether or not its function asks for the progress."""
        function = self._filled_in(Kind.GRADIENT, choice, field)
        if "progress" in self._plugins.get(Kind.GRADIENT, choice.name).entry.takes:
            return lambda gradient, progress: function(gradient, progress=progress)
        return lambda gradient, progress: function(gradient)  # noqa: ARG005

    def _optimizer(self, climb: RecipeClimb) -> tuple[Optimizer, int]:
        """Return a climb's optimizer as the ascent calls it, and how many pictures it remembers."""
        choice = climb.ascent.optimizer
        registered = self._plugins.get(Kind.OPTIMIZER, choice.name)
        function = self._filled_in(Kind.OPTIMIZER, choice, ("ascent", "optimizer"))
        takes = registered.entry.takes

        def optimizer(gradient: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
            return function(gradient, state, **{name: getattr(at, name) for name in takes})

        if "momentum" in takes and not climb.ascent.momentum:
            return optimizer, 0
        pictures = registered.pictures
        return optimizer, _taking(pictures, choice.parameters)() if callable(pictures) else pictures

    def _mask(self, recipe: Recipe) -> Tensor | None:
        if recipe.image.mask in (None, "alpha"):
            return None
        return self._pictures.load(recipe.image.mask, ("image", "mask")).image

    def _filled_in(self, kind: Kind, choice: PluginChoice, field: FieldPath) -> partial[Tensor]:
        """Return a plugin's function with the recipe's parameters."""
        registered = self._plugins.get(kind, choice.name)
        return partial(registered.function, **self._values(registered, choice, field))

    def _values(self, registered: Registered, choice: PluginChoice, field: FieldPath) -> dict[str, object]:
        """Return the recipe's parameters of a plugin, pictures in place of their paths."""
        values: dict[str, object] = dict(choice.parameters)
        for parameter in registered.entry.parameters:
            if parameter.file == "picture" and (path := choice.parameters.get(parameter.name)) is not None:
                image = self._pictures.load(path, (*field, parameter.name)).image
                values[parameter.name] = image.to(self._device)
        return values

    def _versions(self, recipe: Recipe) -> dict[str, str]:
        """Return the version of each plugin that the recipe uses; a drop-in's is the checksum of its content."""
        entries = [self._plugins.get(kind, choice.name).entry for kind, choice, _ in choices_of(recipe)]
        return {entry.plugin: entry.version or entry.origin for entry in entries}


def _bytes_of(network: nn.Module) -> int:
    """Count the bytes of a network's weights."""
    tensors = (*network.parameters(), *network.buffers())
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _graphs(device: torch.device, memory: int | None) -> Graphs | None:
    """Return where a GPU's recordings are kept, in a part of its memory."""
    if device.type != "cuda":
        return None
    recorder = Recorder(device)
    if memory is None:
        return Graphs(recorder, device=device)
    return Graphs(recorder, device=device, budget=int(_GRAPHS_SHARE * memory))


def _taking(function: Callable[..., _Result], values: Mapping[str, object]) -> partial[_Result]:
    """Return a function with those of some values that it has parameters for."""
    names = inspect.signature(function).parameters.keys()
    return partial(function, **{name: value for name, value in values.items() if name in names})

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
from torch import Tensor

from dreamd.engine.ascent import AscentSettings, At, GradientStep, Optimizer
from dreamd.engine.backbone import Backbone
from dreamd.engine.chain import Chain, Parameterization, Transform
from dreamd.engine.dreamer import Dreamer
from dreamd.engine.objective import Objective, Term
from dreamd.engine.references import ORIGINAL, Reference, Referring
from dreamd.engine.speed.graphs import Graphs, Recorder
from dreamd.engine.speed.precision import Precision, fastest
from dreamd.errors import FieldPath
from dreamd.plugin_host.host import Plugins, Registered
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_host.parameters import Parameter
from dreamd.settings.recipe import PICTURE_LAYER, STEPS, LayerChoice, PluginChoice, Recipe, check_recipe, choices_of
from dreamd.weights.transfer import OnBytes
from dreamd.worker.backbones import Backbones, wanted_modules, wants_reference
from dreamd.worker.fetches import Fetches
from dreamd.worker.recipe_pictures import RecipePictures
from dreamd.worker.targets import Aim, aimed, check_loss_alone

_GRAPHS_SHARE = 1 / 16
"""The share of a GPU's memory that recordings may hold."""

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Built:
    """What a recipe dreams with, and what a sidecar says of it.

    Attributes:
        recipe: the effective recipe.
        dreamer: what the engine dreams with.
        weights_sha256: the checksum of the network's file of weights; None for random ones.
        plugins: the version of each plugin that the recipe uses.
        pictures: the checksum of each picture and vector that the recipe names, by its path.
        mask: where to dream, `[1, 3, H, W]`, grey, in [0, 1]; None where the recipe names no picture for that.
    """

    recipe: Recipe
    dreamer: Dreamer
    weights_sha256: str | None
    plugins: dict[str, str]
    pictures: dict[str, str]
    mask: Tensor | None = None


class Builder:
    """Builds dreamers for one device."""

    def __init__(
        self,
        plugins: Plugins,
        device: torch.device,
        memory: int | None = None,
        *,
        deterministic: bool = True,
        fetches: Fetches | None = None,
        pictures: RecipePictures | None = None,
    ) -> None:
        """Build nothing yet.

        Args:
            plugins: the engine's.
            device: what to dream on.
            memory: bytes that the process may hold; larger pictures are dreamed in tiles. None: never in tiles.
            deterministic: on a GPU, whether to take only algorithms that give the same bits each time.
            fetches: fetches weights beside the dreams; None: a download is waited for.
            pictures: reads the pictures that recipes name; None: from anywhere.
        """
        self._plugins = plugins
        self._memory = memory
        self._device = device
        self._backbones = Backbones(plugins, device, fetches)
        self._deterministic = deterministic
        self._graphs = _graphs(device, memory)
        self._pictures = pictures or RecipePictures(None)
        self._last: Built | None = None

    def build(self, recipe: Recipe, on_bytes: OnBytes | None = None) -> Built:
        """Return what the recipe dreams with; for the same recipe and pictures again, the same.

        Raises:
            RecipeError: a name, parameter or layer does not exist, or a picture that it names cannot be read.
            WeightsError: the weights cannot be had or do not fit.
            PluginError: a plugin breaks its contract.
        """
        check_recipe(recipe, self._plugins.catalogue)
        pictures = self._named_pictures(recipe)
        if self._last is None or self._last.recipe != recipe or self._last.pictures != pictures:
            self._last = self._build(recipe, pictures, on_bytes)
        return self._last

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
        loaded = self._backbones.get(recipe, precision, on_bytes)
        optimizer, optimizer_pictures = self._optimizer(recipe)
        dreamer = Dreamer(
            backbone=loaded.backbone,
            objective=self._objective(recipe, loaded.backbone),
            settings=AscentSettings(**recipe.ascent.model_dump(exclude={"optimizer"})),
            schedule=self._filled_in(Kind.SCHEDULE, recipe.schedule, ("schedule",)),
            steps=[self._step(choice, ("gradient", index)) for index, choice in enumerate(recipe.gradient)],
            optimizer=optimizer,
            optimizer_pictures=optimizer_pictures,
            chain=self._chain(recipe),
            precision=precision,
            exact=wants_reference(recipe),
            device=self._device,
            deterministic=self._deterministic,
            memory=self._memory,
            graphs=self._graphs,
        )
        mask = self._mask(recipe)
        return Built(recipe, dreamer, loaded.weights_sha256, self._versions(recipe), pictures, mask)

    def _objective(self, recipe: Recipe, backbone: Backbone) -> Objective:
        modules = iter(wanted_modules(recipe, backbone))
        if recipe.layers is None:
            term = Term(next(modules), self._loss(recipe.loss, ("loss",)))
            layer = LayerChoice(name=str(backbone.default_layer))
            return Objective((aimed(term, Aim(layer, ("layers",), ("loss",), recipe.backbone), backbone),))
        network_layers = [index for index, layer in enumerate(recipe.layers) if not layer.is_picture]
        return Objective(tuple(self._aimed_term(recipe, index, next(modules), backbone) for index in network_layers))

    def _aimed_term(self, recipe: Recipe, index: int, module: str, backbone: Backbone) -> Term:
        """Return what the recipe wants of one of the network's layers."""
        assert recipe.layers is not None
        layer, field = recipe.layers[index], ("layers", index)
        aim = Aim(layer, field, ("loss",) if layer.loss is None else (*field, "loss"), recipe.backbone)
        return aimed(self._term(recipe, index, module), aim, backbone)

    def _picture_term(self, recipe: Recipe, index: int) -> Term:
        """Return what the recipe wants of the picture itself."""
        assert recipe.layers is not None
        term, channels = self._term(recipe, index, PICTURE_LAYER), recipe.layers[index].channels
        if not isinstance(channels, tuple):
            return term
        return replace(term, channels=tuple(channel for channel in channels if isinstance(channel, int)))

    def _term(self, recipe: Recipe, index: int, module: str) -> Term:
        """Return the loss that the recipe wants of one of its layers, of all of it."""
        assert recipe.layers is not None
        layer = recipe.layers[index]
        own = layer.loss is not None
        loss = self._loss(layer.loss or recipe.loss, ("layers", index, "loss") if own else ("loss",))
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

    def _chain(self, recipe: Recipe) -> Chain:
        transforms = {
            field: tuple(self._transform(choice, (field, index)) for index, choice in enumerate(recipe.steps(field)))
            for field, kind in STEPS.items()
            if kind is Kind.TRANSFORM
        }
        levels = enumerate(recipe.parameterization)
        own = [index for index, layer in enumerate(recipe.layers or ()) if layer.is_picture]
        return Chain(
            parameterization=tuple(self._level(choice, ("parameterization", index)) for index, choice in levels),
            picture_terms=tuple(self._picture_term(recipe, index) for index in own),
            **transforms,
        )

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

    def _optimizer(self, recipe: Recipe) -> tuple[Optimizer, int]:
        """Return the recipe's optimizer as the ascent calls it, and how many pictures it remembers."""
        choice = recipe.ascent.optimizer
        registered = self._plugins.get(Kind.OPTIMIZER, choice.name)
        function = self._filled_in(Kind.OPTIMIZER, choice, ("ascent", "optimizer"))
        takes = registered.entry.takes

        def optimizer(gradient: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
            return function(gradient, state, **{name: getattr(at, name) for name in takes})

        if "momentum" in takes and not recipe.ascent.momentum:
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

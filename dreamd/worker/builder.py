"""From a recipe to a `Dreamer`: looks up the plugins and fills in their parameters.

Knows recipes and plugins. Knows no pictures and no files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from dreamd.engine.ascent import AscentSettings, GradientStep
from dreamd.engine.backbone import Backbone
from dreamd.engine.dream import Dreamer
from dreamd.engine.graphs import Graphs, Recorder
from dreamd.engine.objective import Objective, Term
from dreamd.engine.precision import Precision, fastest
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_host.parameters import supplied_to
from dreamd.settings.recipe import PluginChoice, Recipe, check_recipe, choices_of
from dreamd.weights.transfer import OnBytes
from dreamd.worker.backbones import Backbones, wanted_modules, wants_reference
from dreamd.worker.fetches import Fetches

_GRAPHS_SHARE = 1 / 16
"""The share of a GPU's memory that recordings may hold."""


@dataclass(frozen=True)
class Built:
    """What a recipe dreams with, and what a sidecar says of it.

    Attributes:
        recipe: the effective recipe.
        dreamer: what the engine dreams with.
        weights_sha256: the checksum of the network's file of weights; None for random ones.
        plugins: the version of each plugin that the recipe uses.
    """

    recipe: Recipe
    dreamer: Dreamer
    weights_sha256: str | None
    plugins: dict[str, str]


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
    ) -> None:
        """Build nothing yet.

        Args:
            plugins: the engine's.
            device: what to dream on.
            memory: bytes that the process may hold; larger pictures are dreamed in tiles. None: never in tiles.
            deterministic: on a GPU, whether to take only algorithms that give the same bits each time.
            fetches: fetches weights beside the dreams; None: a download is waited for.
        """
        self._plugins = plugins
        self._memory = memory
        self._device = device
        self._backbones = Backbones(plugins, device, fetches)
        self._deterministic = deterministic
        self._graphs = _graphs(device, memory)
        self._last: Built | None = None

    def build(self, recipe: Recipe, on_bytes: OnBytes | None = None) -> Built:
        """Return what the recipe dreams with; for the same recipe again, the same.

        Raises:
            RecipeError: a name, parameter or layer does not exist.
            WeightsError: the weights cannot be had or do not fit.
            PluginError: a plugin breaks its contract.
        """
        if self._last is None or self._last.recipe != recipe:
            self._last = self._build(recipe, on_bytes)
        return self._last

    def _build(self, recipe: Recipe, on_bytes: OnBytes | None) -> Built:
        check_recipe(recipe, self._plugins.catalogue)
        precision = fastest(self._device) if recipe.precision == "auto" else Precision(recipe.precision)
        loaded = self._backbones.get(recipe, precision, on_bytes)
        dreamer = Dreamer(
            backbone=loaded.backbone,
            objective=self._objective(recipe, loaded.backbone),
            settings=AscentSettings(**recipe.ascent.model_dump()),
            schedule=self._filled_in(Kind.SCHEDULE, recipe.schedule),
            steps=[_step(self._filled_in(Kind.GRADIENT, choice)) for choice in recipe.gradient],
            precision=precision,
            exact=wants_reference(recipe),
            device=self._device,
            deterministic=self._deterministic,
            memory=self._memory,
            graphs=self._graphs,
        )
        return Built(recipe, dreamer, loaded.weights_sha256, self._versions(recipe))

    def _objective(self, recipe: Recipe, backbone: Backbone) -> Objective:
        loss = self._filled_in(Kind.LOSS, recipe.loss)
        modules = wanted_modules(recipe, backbone)
        if recipe.layers is None:
            return Objective((Term(modules[0], loss),))
        choices = zip(modules, recipe.layers, strict=True)
        return Objective(tuple(Term(module, loss, layer.weight, layer.channels) for module, layer in choices))

    def _filled_in(self, kind: Kind, choice: PluginChoice) -> partial[Tensor]:
        """Return a plugin's function with the recipe's parameters."""
        return partial(self._plugins.get(kind, choice.name).function, **choice.parameters)

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


def _step(function: partial[Tensor]) -> GradientStep:
    """Return a gradient step as the ascent calls it, whether or not its function asks for the progress."""
    if "progress" in supplied_to(function.func):
        return lambda gradient, progress: function(gradient, progress=progress)
    return lambda gradient, progress: function(gradient)  # noqa: ARG005

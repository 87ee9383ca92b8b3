"""From a recipe to a `Dreamer`: plugins looked up, weights loaded, the network frozen on its device.

Runs in workers, where torch is. Built backbones are kept, since building one takes seconds.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from dreamd.engine.ascent import AscentSettings, GradientStep
from dreamd.engine.backbone import Backbone, without_initialisation
from dreamd.engine.checkpoint import Checkpoint
from dreamd.engine.dream import Dreamed, Dreamer, Progress, dream
from dreamd.engine.folding import Pair, fold, foldable
from dreamd.engine.graphs import Graphs, Recorder
from dreamd.engine.objective import Objective, Term
from dreamd.engine.precision import Precision, fastest, prepared
from dreamd.errors import NotANumberError, PluginError, RecipeError, UnknownNameError, WeightsError
from dreamd.pictures.reading import Decode
from dreamd.plugin_host.host import Plugins, Registered
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_host.parameters import supplied_to
from dreamd.plugin_host.results import looking_for_nan
from dreamd.settings.recipe import BackboneChoice, PluginChoice, Recipe, check_recipe, choices_of
from dreamd.weights import digests, fetching, loading

log = logging.getLogger(__name__)

OnFetch = Callable[[int, int | None], None]
"""Told of a download's progress: bytes so far, and of how many if that is known."""

_BACKBONES_KEPT = 4
_ARRANGEMENTS_KEPT = 256
_SIDE_TO_FIND_PAIRS = 64


_Key = tuple[str, tuple[Pair, ...]]
"""Of a network that is kept: which it is, and what of it is folded."""


@dataclass(frozen=True)
class Loaded:
    """A backbone with its weights.

    Attributes:
        weights_sha256: of the file of weights; None for random ones.
    """

    backbone: Backbone
    weights_sha256: str | None


@dataclass(frozen=True)
class _Arrangement:
    """What is known of a backbone before it is loaded again: its layers, and what of it could be folded.

    Attributes:
        backbone: its description; the network is not kept.
        pairs: its convolutions with a batch norm behind them, in the order they run.
    """

    backbone: Backbone
    pairs: tuple[Pair, ...]

    def folded(self, recipe: Recipe) -> tuple[Pair, ...]:
        """The pairs to fold: a convolution that the recipe looks at must give what it gave."""
        wanted = set(wanted_modules(recipe, self.backbone))
        return tuple(pair for pair in self.pairs if pair.convolution not in wanted)


@dataclass(frozen=True)
class Built:
    """What a recipe dreams with, and what a sidecar should say of it."""

    dreamer: Dreamer
    weights_sha256: str | None
    plugins: dict[str, str]


class Workshop:
    """Builds dreamers for one device."""

    def __init__(self, plugins: Plugins, device: torch.device, memory: int | None = None) -> None:
        """A workshop.

        Args:
            plugins: the engine's.
            device: what to dream on.
            memory: bytes that the process may hold; larger pictures are dreamed in tiles. None: never in tiles.
        """
        self._plugins = plugins
        self._memory = memory
        self.device = device
        self._graphs = Graphs(Recorder(device)) if device.type == "cuda" else None
        self._kept: OrderedDict[_Key, Loaded] = OrderedDict()
        self._arrangements: dict[str, _Arrangement] = {}
        self._last: tuple[Recipe, Built] | None = None

    def build(self, recipe: Recipe, on_fetch: OnFetch | None = None) -> Built:
        """What the recipe dreams with.

        Raises:
            RecipeError: a name, parameter or layer does not exist.
            WeightsError: the weights cannot be had or do not fit.
            PluginError: a plugin breaks its contract.
        """
        if self._last is None or self._last[0] != recipe:
            self._last = (recipe, self._built(recipe, on_fetch))
        return self._last[1]

    def decoder(self, source: Path) -> Decode | None:
        """What a plugin decodes that picture's file with; None: dreamd itself does."""
        registered = self._plugins.decoder(source)
        return registered.function if registered else None

    def decoder_version(self, source: Path) -> dict[str, str]:
        """The plugin that decodes that picture's file, with its version, for its sidecar."""
        registered = self._plugins.decoder(source)
        return {registered.entry.plugin: registered.entry.version} if registered else {}

    def _built(self, recipe: Recipe, on_fetch: OnFetch | None) -> Built:
        check_recipe(recipe, self._plugins.catalogue)
        precision = self._precision(recipe)
        loaded = self._backbone(recipe, precision, on_fetch)
        dreamer = Dreamer(
            backbone=loaded.backbone,
            objective=self._objective(recipe, loaded.backbone),
            settings=AscentSettings(**recipe.ascent.model_dump()),
            schedule=self._filled_in(Kind.SCHEDULE, recipe.schedule),
            steps=[_step(self._filled_in(Kind.GRADIENT, choice)) for choice in recipe.gradient],
            precision=precision,
            exact=_is_exact(recipe),
            device=self.device,
            memory=self._memory,
            graphs=self._graphs,
        )
        return Built(dreamer, loaded.weights_sha256, self._versions(recipe))

    def _precision(self, recipe: Recipe) -> Precision:
        return fastest(self.device) if recipe.precision == "auto" else Precision(recipe.precision)

    def _backbone(self, recipe: Recipe, precision: Precision, on_fetch: OnFetch | None) -> Loaded:
        choice = recipe.backbone
        seed = recipe.seed if choice.weights == "random" else None
        name = f"{choice.model_dump_json()} {seed} {precision} {_is_exact(recipe)}"
        known = self._arrangements.get(name)
        key = (name, known.folded(recipe)) if known else None
        if key is None or key not in self._kept:
            loaded = load_backbone(self._plugins.get(Kind.BACKBONE, choice.name), choice, recipe.seed, on_fetch)
            key = (name, self._arranged(name, loaded.backbone, recipe, precision))
            self._kept[key] = loaded
        self._kept.move_to_end(key)
        while len(self._kept) > _BACKBONES_KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]

    def _arranged(self, name: str, backbone: Backbone, recipe: Recipe, precision: Precision) -> tuple[Pair, ...]:
        """Bring a network that has just been loaded to its device and precision; returns what of it was folded."""
        side = backbone.input_size or max(backbone.min_side, _SIDE_TO_FIND_PAIRS)
        pairs = () if _is_exact(recipe) else tuple(foldable(backbone.network, side))
        if len(self._arrangements) >= _ARRANGEMENTS_KEPT:
            self._arrangements.clear()
        known = self._arrangements[name] = _Arrangement(replace(backbone, network=nn.Identity(), adapt=dict), pairs)
        folded = known.folded(recipe)
        fold(backbone.network, folded)
        prepared(backbone.network, precision, self.device, exact=_is_exact(recipe))
        return folded

    def _objective(self, recipe: Recipe, backbone: Backbone) -> Objective:
        loss = self._filled_in(Kind.LOSS, recipe.loss)
        modules = wanted_modules(recipe, backbone)
        if recipe.layers is None:
            return Objective((Term(modules[0], loss),))
        choices = zip(modules, recipe.layers, strict=True)
        return Objective(tuple(Term(module, loss, layer.weight, layer.channels) for module, layer in choices))

    def _filled_in(self, kind: Kind, choice: PluginChoice) -> partial[torch.Tensor]:
        return partial(self._plugins.get(kind, choice.name).function, **choice.parameters)

    def _versions(self, recipe: Recipe) -> dict[str, str]:
        """Each plugin the recipe uses, with its version: of a drop-in file, what is in it."""
        entries = [self._plugins.get(kind, choice.name).entry for kind, choice, _ in choices_of(recipe)]
        return {entry.plugin: entry.version or entry.origin for entry in entries}


def _is_exact(recipe: Recipe) -> bool:
    """Whether the recipe asks for the reference; `auto` may compute the same in a faster order."""
    return recipe.precision == "fp32"


def wanted_modules(recipe: Recipe, backbone: Backbone) -> list[str]:
    """The modules that the recipe looks at: its layers', or the default layer's. Raises RecipeError."""
    if recipe.layers is None:
        return [backbone.module_name(str(backbone.default_layer))]
    return layer_modules(recipe, backbone)


def dreamed(
    images: Callable[[], Tensor],
    built: Built,
    *,
    seeds: Sequence[int],
    on_progress: Callable[[Progress], None],
    checkpoint: Checkpoint | None = None,
    on_frame: Callable[[Tensor], None] = lambda _images: None,
) -> Dreamed:
    """Dream as `dreamd.engine.dream.dream` does; of what comes out as not-a-number, find out whose doing it is.

    Args:
        images: makes the pictures `[N, 3, H, W]`, which nobody then keeps.
        built: what to dream with.
        seeds: as there.
        on_progress: as there.
        checkpoint: as there.
        on_frame: as there.

    Raises:
        BatchTooLargeError: as there.
        PluginError: a plugin breaks its contract; names it where that can be told.
    """
    try:
        return dream(
            images(),
            built.dreamer,
            seeds=seeds,
            on_progress=on_progress,
            checkpoint=checkpoint,
            on_frame=on_frame,
        )
    except NotANumberError:
        with looking_for_nan():
            dream(images(), built.dreamer, seeds=seeds, on_progress=on_progress)
        raise


def layer_modules(recipe: Recipe, backbone: Backbone) -> list[str]:
    """The modules of the recipe's layers. Raises RecipeError with the field of a layer that does not exist."""
    modules = []
    for index, layer in enumerate(recipe.layers or ()):
        try:
            modules.append(backbone.module_name(layer.name))
        except UnknownNameError as error:
            problem = f"{recipe.backbone.name}: {error} (`dreamd layers {recipe.backbone.name}` lists them)"
            raise RecipeError(problem, field=("layers", index)) from error
    return modules


def build_network(registered: Registered, name: str, parameters: Mapping[str, object]) -> Backbone:
    """A frozen backbone whose parameters are whatever the memory held: to look at its layers. Raises PluginError."""
    with without_initialisation():
        return _built(registered, name, parameters).frozen()


def load_backbone(registered: Registered, choice: BackboneChoice, seed: int, on_fetch: OnFetch | None = None) -> Loaded:
    """Build a backbone, load its weights into it and freeze it.

    Raises:
        WeightsError: there are no default weights, they cannot be had, or a file does not fit the network.
        PluginError: the plugin's function failed or returned something else.
    """
    if choice.weights == "random":
        torch.manual_seed(seed)
        return Loaded(_built(registered, choice.name, choice.parameters).frozen(), None)
    file = _weights_file(registered, choice, on_fetch)
    with without_initialisation():
        backbone = _built(registered, choice.name, choice.parameters)
    state = loading.load_state_dict(file)
    try:
        backbone.network.load_state_dict(dict(backbone.adapt(state)))
    except (RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"{file} does not fit {choice.name}: {reason}") from error
    return Loaded(backbone.frozen(), digests.sha256_of(file))


def _weights_file(registered: Registered, choice: BackboneChoice, on_fetch: OnFetch | None) -> Path:
    if choice.weights != "default":
        return Path(choice.weights)
    source = registered.source(choice.name)
    if source is None:
        raise WeightsError(
            f"{choice.name} has no default weights; give `backbone: {{name: {choice.name}, weights: PATH}}`"
        )
    return fetching.ready(source, backbone=choice.name, on_bytes=on_fetch)


def _built(registered: Registered, name: str, parameters: Mapping[str, object]) -> Backbone:
    try:
        backbone = registered.function(name, **parameters)
    except PluginError as error:  # names the family, `timm/*`, where there is one
        raise PluginError(f"backbone {name!r} cannot be built: {error}") from error
    if not isinstance(backbone, Backbone):
        whose = f"backbone {name!r} of plugin {registered.entry.plugin!r}"
        raise PluginError(f"{whose}: build returned a {type(backbone).__name__}, not a dreamd.api.Backbone")
    return backbone


def _step(function: partial[torch.Tensor]) -> GradientStep:
    """A gradient step as the ascent calls it, whether or not its function asks for the progress."""
    if "progress" in supplied_to(function.func):
        return lambda gradient, progress: function(gradient, progress=progress)
    return lambda gradient, progress: function(gradient)  # noqa: ARG005

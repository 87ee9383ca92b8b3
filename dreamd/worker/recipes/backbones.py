"""Backbones with their weights: builds them, brings them to a device, and keeps the last few.

Knows plugins, weights and the recipe's choice of both. Knows no pictures and no losses.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from dreamd.engine.network.backbone import Backbone, without_initialisation
from dreamd.engine.speed.flow import Flow, Pair, flow_of
from dreamd.engine.speed.folding import fold
from dreamd.engine.speed.precision import Precision, arrange_network
from dreamd.errors import FieldPath, PluginError, UnknownLayerError, WeightsError
from dreamd.plugin_host.host import Plugins, Registered
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.recipes.layer_names import wrong_layer
from dreamd.settings.recipes.recipe import BackboneChoice, Climb, Recipe
from dreamd.weights import fetching, loading
from dreamd.weights.cache import cached_path
from dreamd.weights.known import known_sha256
from dreamd.weights.sources import Download, MissingWeightsError
from dreamd.weights.transfer import OnBytes

_MOST_KEPT = 4
"""The most networks that a worker keeps. Building one takes seconds."""
_MOST_KNOWN = 256
"""The most networks whose layers and flow are remembered after the network itself is gone."""
_SIDE_TO_FIND_FLOW = 64
"""The side in pixels of the picture that shows how tensors go through a network."""


@dataclass(frozen=True)
class Loaded:
    """A backbone with its weights.

    Attributes:
        backbone: the frozen backbone.
        weights_sha256: the checksum of its file of weights; None for random ones.
    """

    backbone: Backbone
    weights_sha256: str | None


@dataclass(frozen=True)
class _Outline:
    """What is remembered of a network, so that a recipe's needs are known before it is loaded again.

    Attributes:
        backbone: its description, without the network.
        flow: how tensors go through it; nothing of a reference's.
    """

    backbone: Backbone
    flow: Flow

    def pairs_to_fold(self, recipe: Recipe) -> tuple[Pair, ...]:
        """Return all pairs, or none where a stage of the recipe looks into one, which folding would change.

        A network is so kept twice at most, and not loaded anew for each of its convolutions that is looked at.
        """
        wanted = set(wanted_modules(recipe, self.backbone))
        looks_into_one = any(not wanted.isdisjoint(pair.shown_by) for pair in self.flow.pairs)
        return () if looks_into_one else self.flow.pairs


class Backbones:
    """The networks of one device, the least recently used dropped first."""

    def __init__(self, plugins: Plugins, device: torch.device, *, may_fetch: bool = True) -> None:
        """Keep nothing yet.

        Args:
            plugins: where backbones come from.
            device: where they are brought to.
            may_fetch: whether weights that are not here are fetched, which is waited for.
        """
        self._may_fetch = may_fetch
        self._plugins = plugins
        self._device = device
        self._kept: OrderedDict[tuple[str, tuple[Pair, ...]], Loaded] = OrderedDict()
        self._outlines: dict[str, _Outline] = {}

    def get(self, recipe: Recipe, precision: Precision, on_bytes: OnBytes | None = None) -> Loaded:
        """Return the recipe's network on its device, in that precision, with all folded that the recipe allows.

        Raises:
            RecipeError: a layer does not exist.
            WeightsError: the weights cannot be had or do not fit.
            PluginError: the plugin's function failed or returned something else.
        """
        name = _name(recipe, precision)
        outline = self._outlines.get(name)
        key = (name, outline.pairs_to_fold(recipe)) if outline else None
        if key is None or key not in self._kept:
            key = (name, self._load(name, recipe, precision, on_bytes))
        self._kept.move_to_end(key)
        return self._kept[key]

    def _load(self, name: str, recipe: Recipe, precision: Precision, on_bytes: OnBytes | None) -> tuple[Pair, ...]:
        """Load a network and keep it; returns the pairs that were folded."""
        registered = self._plugins.get(Kind.BACKBONE, recipe.backbone.name)
        loaded = load_backbone(registered, recipe.backbone, recipe.seed, on_bytes, may_fetch=self._may_fetch)
        outline = self._remember(name, recipe, loaded.backbone)
        network, exact, pairs = loaded.backbone.network, wants_reference(recipe), outline.pairs_to_fold(recipe)
        fold(network, pairs)
        arrange_network(network, precision, self._device, exact=exact, flow=outline.flow)
        self._kept[name, pairs] = loaded
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return pairs

    def _remember(self, name: str, recipe: Recipe, backbone: Backbone) -> _Outline:
        side = backbone.input_size or max(backbone.min_side, _SIDE_TO_FIND_FLOW)
        flow = Flow() if wants_reference(recipe) else flow_of(backbone.network, side)
        if len(self._outlines) >= _MOST_KNOWN:
            self._outlines.clear()
        self._outlines[name] = _Outline(replace(backbone, network=nn.Identity(), adapt=dict), flow)
        return self._outlines[name]


def _name(recipe: Recipe, precision: Precision) -> str:
    """Return what tells a network from every other, but for what of it is folded."""
    choice = recipe.backbone
    seed = recipe.seed if choice.weights == "random" else None
    return f"{choice.model_dump_json()} {seed} {precision} {wants_reference(recipe)}"


def wants_reference(recipe: Recipe) -> bool:
    """Return whether the recipe asks for the reference; `auto` may compute the same in a faster order."""
    return recipe.precision == "fp32"


def wanted_modules(recipe: Recipe, backbone: Backbone) -> list[str]:
    """Return the modules that a dream looks at in any of its stages. Raises RecipeError."""
    name = recipe.backbone.name
    return [module for place, climb in recipe.climbs for module in climb_modules(climb, name, backbone, place)]


def climb_modules(climb: Climb, name: str, backbone: Backbone, place: FieldPath) -> list[str]:
    """Return the modules of a climb's layers but the picture's own, or of the default layer.

    Args:
        climb: the climb.
        name: the backbone's.
        backbone: the backbone.
        place: the field that the climb stands in.

    Raises:
        RecipeError: a layer does not exist; with its field.
    """
    if climb.layers is None:
        return [backbone.module_name(str(backbone.default_layer))]
    modules = []
    for index, layer in enumerate(climb.layers):
        if layer.is_picture:
            continue
        try:
            modules.append(backbone.module_name(layer.name))
        except UnknownLayerError as error:
            raise wrong_layer(name, error, (*place, "layers", index)) from error
    return modules


def build_network(registered: Registered, name: str, parameters: Mapping[str, object]) -> Backbone:
    """Build a frozen backbone whose parameters are whatever the memory held: to look at its layers.

    Raises:
        PluginError: the plugin's function failed or returned something else.
    """
    with without_initialisation():
        return _build(registered, name, parameters).frozen()


def load_backbone(
    registered: Registered,
    choice: BackboneChoice,
    seed: int,
    on_bytes: OnBytes | None = None,
    *,
    may_fetch: bool = True,
) -> Loaded:
    """Build a backbone, load its weights into it and freeze it.

    Raises:
        WeightsError: there are no default weights, they cannot be had, or a file does not fit the network.
        MissingWeightsError: they are not here, and may not be fetched.
        PluginError: the plugin's function failed or returned something else.
    """
    if choice.weights == "random":
        torch.manual_seed(seed)
        return Loaded(_build(registered, choice.name, choice.parameters).frozen(), None)
    file = _weights_file(registered, choice, on_bytes, may_fetch=may_fetch)
    with without_initialisation():
        backbone = _build(registered, choice.name, choice.parameters)
    state = loading.load_state_dict(file)
    try:
        backbone.network.load_state_dict(dict(backbone.adapt(state)))
    except (RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"{file} does not fit {choice.name}: {reason}") from error
    return Loaded(backbone.frozen(), known_sha256(file))


def _weights_file(registered: Registered, choice: BackboneChoice, on_bytes: OnBytes | None, *, may_fetch: bool) -> Path:
    """Return the file of weights, fetched if need be. Raises WeightsError; MissingWeightsError when it may not be."""
    if choice.weights != "default":
        return Path(choice.weights)
    source = registered.source(choice.name)
    if source is None:
        raise WeightsError(
            f"{choice.name} has no default weights; give `backbone: {{name: {choice.name}, weights: PATH}}`"
        )
    if not may_fetch and isinstance(source, Download) and not cached_path(source).is_file():
        raise MissingWeightsError(choice.name, source)
    return fetching.ready(source, backbone=choice.name, on_bytes=on_bytes)


def _build(registered: Registered, name: str, parameters: Mapping[str, object]) -> Backbone:
    try:
        backbone = registered.function(name, **parameters)
    except PluginError as error:  # names the family, `timm/*`, where there is one
        raise PluginError(f"backbone {name!r} cannot be built: {error}") from error
    if not isinstance(backbone, Backbone):
        whose = f"backbone {name!r} of plugin {registered.entry.plugin!r}"
        raise PluginError(f"{whose}: build returned a {type(backbone).__name__}, not a dreamd.api.Backbone")
    return backbone

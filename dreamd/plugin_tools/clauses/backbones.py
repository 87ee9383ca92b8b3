"""What a backbone must keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch

from dreamd.engine.network.backbone import Backbone
from dreamd.engine.objectives.objective import Objective, Term, WholeGradient
from dreamd.errors import PluginError
from dreamd.plugin_host.host import Registered
from dreamd.plugin_tools.clauses.common import (
    Clause,
    check_leaves_no_state,
    must,
    must_be_finite,
    must_equal,
    random_tensor,
)
from dreamd.plugin_tools.clauses.values import (
    check_defaults,
    default_values,
    naming_values,
    variations,
)
from dreamd.plugin_tools.tiny import mean_square
from dreamd.settings.recipes.recipe import BackboneChoice
from dreamd.weights import cache
from dreamd.worker.recipes.backbones import load_backbone


def backbone_clauses(item: Registered, name: str, device: torch.device) -> Iterator[Clause]:
    """Return what a backbone must keep; `name` is one of its family's, where it is a family."""
    entry = item.entry

    def built(values: Mapping[str, Any] | None = None) -> Backbone:
        choice = BackboneChoice(name=name, weights="random", **(default_values(entry) if values is None else values))
        with torch.random.fork_rng(devices=[]):
            backbone = load_backbone(item, choice, 0).backbone
        backbone.network.to(device)
        return backbone

    def dreams() -> None:
        for values in variations(entry, most=256):
            with naming_values(values):
                _check_dreams(built(values), device)

    def repeats() -> None:
        first, second = (built().network.state_dict() for _ in range(2))
        must(first.keys() == second.keys(), "it builds other networks each time")
        same = all(torch.equal(value, second[key]) for key, value in first.items())
        must(same, "with the same seed it has other random weights: draw them from torch's random numbers alone")

    def takes_batches() -> None:
        backbone = built()
        side = backbone.input_size or max(backbone.min_side, 32)
        pictures = random_tensor(2, 3, side, side, device=device)
        with _gradient_of(backbone) as gradient:
            parts = torch.cat([gradient(pictures[index : index + 1])[0] for index in range(2)])
            must_equal(gradient(pictures)[0], parts, "the gradient of a batch differs from that of its pictures", 1e-2)

    yield "lists layers that run, its default among them", lambda: _check_layers(built())
    yield "dreams finitely at its smallest size", dreams
    yield "has the same random weights for the same seed", repeats
    yield "takes a batch as its pictures one by one", takes_batches
    yield "loads its default weights, where they are here", lambda: _check_weights(item, name)
    yield "takes its own defaults", partial(check_defaults, entry)
    yield "leaves no state behind", lambda: check_leaves_no_state(built)


def _check_layers(backbone: Backbone) -> None:
    default = str(backbone.default_layer)
    must(default in (backbone.layers or {}), f"its default layer {default!r} is none of its layers")
    for layer, module in (backbone.layers or {}).items():
        try:
            backbone.network.get_submodule(module)
        except AttributeError as error:
            raise PluginError(f"layer {layer!r}: the network has no module {module!r}") from error


def _check_dreams(backbone: Backbone, device: torch.device) -> None:
    side = backbone.input_size or backbone.min_side
    x = random_tensor(1, 3, side, side, device=device)
    with _gradient_of(backbone) as gradient:
        try:
            (activation,) = gradient.lookout(x)
        except KeyError as error:
            raise PluginError(f"its default layer {backbone.default_layer!r} does not run") from error
        must_be_finite(activation, f"what layer {backbone.default_layer!r} gives")
        must_be_finite(gradient(x)[0], "its gradient at the picture")
    frozen = not any(parameter.requires_grad for parameter in backbone.network.parameters())
    must(frozen, "its network changes: parameters take gradients although it is frozen")


def _gradient_of(backbone: Backbone) -> WholeGradient:
    """Open the gradient of the mean square of what its default layer sees."""
    module = backbone.module_name(str(backbone.default_layer))
    return WholeGradient(backbone.network, Objective((Term(module, mean_square),)))


def _check_weights(item: Registered, name: str) -> None:
    source = item.source(name)
    if source is None or cache.find(source).state not in ("cached", "packaged"):
        return
    load_backbone(item, BackboneChoice(name=name, **default_values(item.entry)), 0)

"""Atlases: which layers of a network, or which channels of one layer, are dreamed, and by which recipe.

Knows networks by their layers. Knows no weights and dreams nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dreamd.engine.network.backbone import Backbone, distinct_layers
from dreamd.errors import UnknownNameError, UsageError
from dreamd.settings.recipes.labels import channels_of
from dreamd.settings.recipes.merging import resolve
from dreamd.settings.recipes.sweeping import Axis
from dreamd.settings.yamlfile import Document
from dreamd.sheets.plan import Cell, Plan

_QUICK: dict[str, Any] = {
    "schedule": {"num_octaves": 3},
    "gradient": [{"name": "smooth", "sigma": 0.8}, {"name": "natural", "amount": 0.6}, "normalize"],
}
"""The fields over the preset `classic` when no recipe is given: a dream of a second or two, in natural colours."""

_GOOD_NUMBER = 38
"""The most layers of a sheet that one looks through gladly; VGG19 has 37."""

_MOST_CHANNELS = 64
"""The number of channels that are dreamed when nobody says which."""

_RANGE = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")
"""A channel, or a range with both ends: `7`, `0-63`."""


def over_for_atlas(backbone: str, *, quick: bool) -> list[Document]:
    """Return what goes over the recipe of an atlas, which is of one network, and no sequence of several.

    Args:
        backbone: the network's name.
        quick: whether nobody has given a recipe, so that the dreams are to be quick ones.
    """
    return [Document("atlas", {**(_QUICK if quick else {}), "backbone": backbone, "sequence": []})]


def plan_layers(base: Sequence[Document], name: str, backbone: Backbone, *, every: bool) -> Plan:
    """Plan a dream of each layer of a network.

    Args:
        base: the recipe that the layers go over.
        name: the network's name.
        backbone: the network, which is looked at and not dreamed with: it needs no weights.
        every: take every layer, and not only those that stand for the others.

    Raises:
        RecipeError: the recipe is wrong.
    """
    shapes = backbone.shapes()
    names = list(shapes) if every else choose_layers(backbone)
    cells = [_layer_cell(base, layer, shapes[layer]) for layer in names]
    title = f"{name}: every layer" if every or len(names) == len(shapes) else f"{name}: {len(names)} layers"
    return Plan(
        kind="atlas",
        title=title,
        base=resolve(base).recipe.to_json(),
        axes=(Axis("layers", tuple(names)),),
        cells=cells,
    )


def plan_channels(
    base: Sequence[Document], name: str, backbone: Backbone, *, layer: str | int, channels: str | None
) -> Plan:
    """Plan a dream of each of some channels of a layer.

    Args:
        base: the recipe that the channels go over.
        name: the network's name.
        backbone: the network, which is looked at and not dreamed with: it needs no weights.
        layer: the layer's name or number.
        channels: which ones, as `parse_channels` takes them; None: the first `_MOST_CHANNELS`.

    Raises:
        UsageError: there is no such layer or channel.
    """
    module, shapes = backbone.module_name(layer), backbone.shapes()
    own_name = next(found for found in shapes if backbone.module_name(found) == module)
    count, *cells_in_picture = shapes[own_name]
    labels = backbone.class_labels()
    labels = labels if len(labels) == count and not cells_in_picture else ()
    numbers = parse_channels(channels, count, labels) if channels else list(range(min(count, _MOST_CHANNELS)))
    # A class's score may be below zero, where a norm would push it further down.
    common: dict[str, object] = {"name": own_name} if cells_in_picture else {"name": own_name, "loss": "mean"}
    cells = [
        Cell(
            values=(str(number),),
            recipe=resolve([*base, _looking_at({**common, "channels": [number]})]),
            note=labels[number] if labels else "",
        )
        for number in numbers
    ]
    return Plan(
        kind="atlas",
        title=f"{name} {own_name}: {len(cells)} of {count} channels",
        base=resolve([*base, _looking_at(common)]).recipe.to_json(),
        axes=(Axis("channels", tuple(str(number) for number in numbers)),),
        cells=cells,
    )


def parse_channels(text: str, count: int, labels: Sequence[str] = ()) -> list[int]:
    """Read `0-63`, `3,17,40-47` or `peacock,macaw` as channels of a layer that has so many.

    Raises:
        UsageError: the layer has no such channel, or no channel of that label.
    """
    found: dict[int, None] = {}
    for part in map(str.strip, text.split(",")):
        match = _RANGE.fullmatch(part)
        if match is not None:
            first, last = int(match[1]), int(match[2] or match[1])
            if first > last or last >= count:
                raise UnknownNameError("channels", part, [f"0 to {count - 1}"])
            found.update(dict.fromkeys(range(first, last + 1)))
        elif labels and part:
            found.update(dict.fromkeys(channels_of(part, labels)))
        else:
            raise UsageError(f"--channels {text!r}: write numbers from 0 and ranges, such as 0-63 or 3,17,40-47")
    return list(found)


def choose_layers(backbone: Backbone) -> list[str]:
    """Return the names of the layers that stand for all: as deep in the network's tree of modules as a sheet has room.

    So they are the outputs of the blocks. What gives the same activation as another is left out.
    """
    layers = backbone.layers or {}
    best: list[str] = []
    for depth in range(max((name.count(".") for name in layers), default=0) + 1):
        shallow = {name: module for name, module in layers.items() if name.count(".") <= depth}
        names = list(distinct_layers(backbone.network, shallow))
        if best and len(names) > _GOOD_NUMBER:
            break
        best = names
    return best


def _layer_cell(base: Sequence[Document], layer: str, shape: tuple[int, ...]) -> Cell:
    size = " x ".join(map(str, shape))
    if len(shape) == 1 or shape[1:] == (1, 1):
        return Cell(values=(layer,), recipe=None, note=f"{size}: has no place in the picture")
    return Cell(values=(layer,), recipe=resolve([*base, _looking_at({"name": layer})]), note=size)


def _looking_at(layer: dict[str, object]) -> Document:
    """Return what goes over the recipe: stages would look at layers of their own."""
    return Document("atlas", {"layers": [layer], "stages": []})

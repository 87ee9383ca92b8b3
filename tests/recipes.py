"""Recipes at random out of everything that the plugins bring, valid, by what their catalogue says of the parameters.

A recipe follows from a `random.Random` alone, so that a seed repeats it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch

from dreamd.engine.ascents.chance import Random as Numbers
from dreamd.plugin_host.catalogue import Catalogue, Entry
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind

_TINY_STRENGTH = 1e-3


@dataclass(frozen=True, kw_only=True, repr=False)
class Makings:
    """What recipes are made of. Told in full it is so long that hypothesis warns of it in place of what failed.

    Attributes:
        catalogue: of the plugins.
        backbone: the recipe's backbone.
        layers: the names of layers, each with the number of its channels.
        pictures: the paths of pictures for guides, histograms and the like.
        masks: what `image.mask` may be.
        schedules: the names of schedules; those of other plugins are left out.
        innermost: the names of parameterizations whose parameters are no pictures, so that they stand last.
        views: the names of transforms that make views of another size, so that they stand last under `transforms`.
        most: how far a whole number is above the least that it may be, unless its default is larger: time is short.
    """

    catalogue: Catalogue
    backbone: dict[str, Any]
    layers: dict[str, int]
    pictures: Sequence[str]
    masks: Sequence[str | None] = (None, None, "alpha")
    schedules: Sequence[str] = ("octaves", "rescale", "single")
    innermost: frozenset[str]
    views: frozenset[str]
    most: int = 3

    @classmethod
    def of(cls, plugins: Plugins, **others: Any) -> Makings:
        """Return what all the plugins make possible; what keeps a picture's shape is found out by trying."""
        image = torch.rand(1, 3, 40, 37)
        given = {"random": Numbers([torch.Generator()], image.device), "original": image, "progress": 0.0, "fps": 30.0}
        odd: dict[Kind, frozenset[str]] = {}
        for kind in (Kind.PARAMETERIZATION, Kind.TRANSFORM):
            own = [entry for entry in plugins.catalogue.entries if entry.kind is kind and entry.own]
            made = {
                entry.name: plugins.get(kind, entry.name).function(image, **{name: given[name] for name in entry.takes})
                for entry in own
                if not any(parameter.required for parameter in entry.parameters)
            }
            odd[kind] = frozenset(name for name, value in made.items() if value.shape != image.shape)
        return cls(
            catalogue=plugins.catalogue, innermost=odd[Kind.PARAMETERIZATION], views=odd[Kind.TRANSFORM], **others
        )

    def entries(self, kind: Kind) -> list[Entry]:
        """Return the entries of a kind that dreamd itself brings."""
        return [entry for entry in self.catalogue.entries if entry.kind is kind and entry.own]


def any_recipe(random: Random, makings: Makings) -> dict[str, Any]:
    """Return the fields of a recipe that is valid."""
    optimizer = random.choice(makings.entries(Kind.OPTIMIZER))
    still = optimizer.steady
    return {
        "backbone": makings.backbone,
        "layers": _layers(random, makings),
        "loss": _choice(random, makings, random.choice(makings.entries(Kind.LOSS))),
        "schedule": _schedule(random, makings),
        "ascent": _ascent(random, makings, optimizer),
        "gradient": _steps(random, makings, Kind.GRADIENT),
        "parameterization": _levels(random, makings),
        "transforms": [] if still else _transforms(random, makings),
        "start": _steps(random, makings, Kind.TRANSFORM),
        "settle": _steps(random, makings, Kind.TRANSFORM),
        "finish": _steps(random, makings, Kind.TRANSFORM),
        "image": {"mask": random.choice(makings.masks)},
        "precision": random.choice(["fp32", "auto"]),
        "seed": random.randint(0, 1000),
    }


def _layers(random: Random, makings: Makings) -> list[dict[str, Any]]:
    names = [random.choice(list(makings.layers)) for _ in range(random.randint(1, 2))]
    layers = [_layer(random, makings, name, makings.layers[name], 1.0) for name in names]
    if random.random() < 0.5:
        layers.append(_layer(random, makings, "picture", 3, _TINY_STRENGTH))
    return layers


def _layer(random: Random, makings: Makings, name: str, channels: int, strength: float) -> dict[str, Any]:
    """Return a layer. Its channels are chosen only where no picture is compared with them, which is dreamed alone."""
    layer: dict[str, Any] = {"name": name, "weight": strength * random.choice([1.0, 0.3, -0.5])}
    if random.random() < 0.7:
        layer["loss"] = _choice(random, makings, random.choice(makings.entries(Kind.LOSS)))
    if random.random() < 0.3:
        layer["channels"] = sorted(random.sample(range(channels), random.randint(1, channels)))
    compares = "picture" in (layer.get("loss") or ["picture"])
    if name != "picture" and not compares and random.random() < 0.3:
        by = random.choice(["strongest", "weakest", "random"])
        layer["channels"] = {by: random.randint(1, channels), "when": random.choice(["once", "octave"])}
    return layer


def _schedule(random: Random, makings: Makings) -> dict[str, Any]:
    of_name = {entry.name: entry for entry in makings.entries(Kind.SCHEDULE)}
    return _choice(random, makings, of_name[random.choice(makings.schedules)])


def _ascent(random: Random, makings: Makings, optimizer: Entry) -> dict[str, Any]:
    return {
        "iterations": random.randint(1, 3),
        "lr": random.choice([0.01, 0.05, 0.2]),
        "lr_end": random.choice([None, 0.0, 0.02]),
        "momentum": random.choice([0.0, 0.5, 1.0]) if "momentum" in optimizer.takes else 0.0,
        "jitter": 0 if optimizer.steady else random.randint(0, 9),
        "optimizer": _choice(random, makings, optimizer),
    }


def _levels(random: Random, makings: Makings) -> list[dict[str, Any]]:
    entries = makings.entries(Kind.PARAMETERIZATION)
    innermost = [entry for entry in entries if entry.name in makings.innermost]
    others = [entry for entry in entries if entry.name not in makings.innermost]
    levels = random.sample(others, random.randint(0, min(2, len(others))))
    if random.random() < 0.5:
        levels.append(random.choice(innermost))
    return [_choice(random, makings, level) for level in levels]


def _transforms(random: Random, makings: Makings) -> list[dict[str, Any]]:
    entries = [entry for entry in makings.entries(Kind.TRANSFORM) if entry.differentiable]
    chosen = [random.choice(entries) for _ in range(random.randint(0, 3))]
    # What asks for the original or the mask cannot have it in several views.
    chosen.sort(key=lambda entry: (entry.name in makings.views) - bool({"original", "mask"} & set(entry.takes)))
    return [_choice(random, makings, entry) for entry in chosen]


def _steps(random: Random, makings: Makings, kind: Kind) -> list[dict[str, Any]]:
    entries = [entry for entry in makings.entries(kind) if entry.name not in makings.views]
    return [_choice(random, makings, random.choice(entries)) for _ in range(random.randint(0, 2))]


def _choice(random: Random, makings: Makings, entry: Entry) -> dict[str, Any]:
    """Return an entry with some of its parameters."""
    chosen: dict[str, Any] = {"name": entry.name}
    for parameter in entry.parameters:
        if parameter.file == "seen":
            chosen[parameter.name] = random.choice(makings.pictures)
        elif parameter.file == "vector":
            continue  # a loss that takes either is given a picture
        elif parameter.required or entry.kind is Kind.SCHEDULE or random.random() < 0.5:
            chosen[parameter.name] = _value(random, makings, parameter.schema_, parameter.default)
    return chosen


def _value(random: Random, makings: Makings, schema: dict[str, Any], default: Any) -> Any:
    """Return a value that a JSON Schema takes, not far from a default: what is far costs too much time."""
    if "anyOf" in schema:
        return _value(random, makings, random.choice(schema["anyOf"]), default)
    if "enum" in schema or "const" in schema:
        return random.choice(schema.get("enum", [schema.get("const")]))
    kind = schema["type"]
    if kind == "string":
        return random.choice(makings.pictures)
    if kind == "array" and "prefixItems" in schema:
        defaults = default or [None] * len(schema["prefixItems"])
        return sorted(_value(random, makings, item, own)
                      for item, own in zip(schema["prefixItems"], defaults, strict=True))  # fmt: skip
    if kind == "array":
        values = [_value(random, makings, schema["items"], default[0] if default else None) for _ in range(2)]
        return list(dict.fromkeys(values)) if schema.get("uniqueItems") else values
    if kind == "integer":
        return _whole_number(random, makings, schema, default)
    if kind == "number":
        return _number(random, schema, default)
    return random.choice([True, False]) if kind == "boolean" else None


def _whole_number(random: Random, makings: Makings, schema: dict[str, Any], default: Any) -> int:
    low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    high = max(low + makings.most, default or 0)
    return random.randint(low, min(schema.get("maximum", high), high))


def _number(random: Random, schema: dict[str, Any], default: Any) -> float:
    usual = abs(default) if default else 1.0
    low, high = schema.get("minimum"), schema.get("maximum")
    bounds = [bound for bound in (low, high) if bound is not None and abs(bound) <= 4 * usual]
    if bounds and random.random() < 0.3:
        return float(random.choice(bounds))
    lowest, highest = (schema.get(key, far) for key, far in (("exclusiveMinimum", low), ("exclusiveMaximum", high)))
    lowest = -2 * usual if lowest is None else max(lowest, -2 * usual)
    highest = 2 * usual if highest is None else min(highest, 2 * usual)
    value = lowest + (0.1 + 0.8 * random.random()) * (highest - lowest)
    return float(f"{value:.3g}")

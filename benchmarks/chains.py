"""What stands around the gradient, against the same ascent of bare pixels; and `guide` against `l2`. VGG19."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from dreamd_plugins import bounded, decorrelated, fourier
from dreamd_plugins.adam import adam
from dreamd_plugins.guide import guide
from dreamd_plugins.l2 import l2
from dreamd_plugins.turn import turn
from torch import Tensor

from benchmarks import nets
from benchmarks.plan import Plan
from benchmarks.report import Bar, Row, Table, at_most
from benchmarks.timing import Way, alternate, clock_of
from dreamd.engine.ascents.ascent import At
from dreamd.engine.ascents.chain import Chain, Parameterization, Transform
from dreamd.engine.dreamer import Dreamer
from dreamd.engine.objectives.objective import Loss
from dreamd.engine.objectives.references import Reference, Referring

_GPU_ITERATIONS = 30
"""Of a sample on a GPU."""

_GUIDED_ITERATIONS = 5
"""Of a sample with a guide on a processor, half of an ascent by default: the guide is looked at once in each dream."""

_GUIDED_LAYERS = {"relu3_1": 12, "relu4_1": 21}
"""The number of modules up to layers that guides are used with."""

_GUIDE = (480, 640)
"""Height and width of the guide in pixels: the largest that is looked at."""

_DEAREST_CHAIN, _DEAREST_GUIDE = 1.15, 1.5
"""Times the seconds of the first row that the others may take."""


@dataclass(frozen=True, kw_only=True)
class _Case:
    """One table.

    Attributes:
        title: what is dreamed.
        against: what the first way is.
        dreamers: the ways, the plain one first.
        dearest: how many times the first way's seconds a way may take, by its name; those not in it have no bar.
    """

    title: str
    against: str
    dreamers: Mapping[str, Dreamer]
    dearest: Mapping[str, float]


def run(plan: Plan) -> Iterator[Table]:
    """A table of chains and one of guides for each layer, a device."""
    side = 64 if plan.quick else 512
    for device in plan.devices:
        for case in [_chains(device), *_guides(device)]:
            plan.say(f"{case.title} on {device}")
            yield _table(case, nets.picture(side, side), plan)


def _chains(device: torch.device) -> _Case:
    plain = _dreamer(device, nets.LAYERS, nets.norm)
    levels = [Parameterization(module.encode, module.decode) for module in (bounded, decorrelated, fourier)]
    turned = Chain(transforms=(Transform(turn, frozenset({"random"})),))
    named = "fourier, decorrelated, turn"
    return _Case(
        title="an iteration of VGG19 to relu5_4",
        against="bare pixels",
        dreamers={
            "bare pixels": plain,
            "turn": replace(plain, chain=turned),
            "fourier": replace(plain, chain=Chain(parameterization=tuple(levels[2:]))),
            named: replace(plain, chain=replace(turned, parameterization=tuple(levels[1:]))),
            f"bounded, {named}, adam": replace(
                plain, chain=replace(turned, parameterization=tuple(levels)), optimizer=_by_adam
            ),
        },
        dearest={named: _DEAREST_CHAIN},
    )


def _by_adam(gradient: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
    del at
    return adam(gradient, state)


def _guides(device: torch.device) -> Iterator[_Case]:
    picture = nets.picture(*_GUIDE).to(device)
    for layer, count in _GUIDED_LAYERS.items():
        loss = Referring(guide, {"picture": Reference(picture, "guide")})
        made = partial(_dreamer, device, count, iterations=_GUIDED_ITERATIONS)
        yield _Case(
            title=f"an iteration of VGG19 to {layer}, a guide of {_GUIDE[1]}×{_GUIDE[0]}",
            against="l2",
            dreamers={"l2": made(l2), "guide": made(loss)},
            dearest={"guide": _DEAREST_GUIDE},
        )


def _dreamer(device: torch.device, count: int, loss: Loss, iterations: int = 1) -> Dreamer:
    iterations = _GPU_ITERATIONS if device.type == "cuda" else iterations
    return nets.dreamer(nets.first_modules(count), "auto", device, iterations=iterations, layer=count, loss=loss)


def _table(case: _Case, picture: Tensor, plan: Plan) -> Table:
    iterations = next(iter(case.dreamers.values())).settings.iterations
    ways = [
        Way(name=name, run=partial(nets.dreamed, picture, dreamer), work=iterations)
        for name, dreamer in case.dreamers.items()
    ]
    device = next(iter(case.dreamers.values())).device
    samples = alternate(ways, rounds=2 if plan.quick else 5, clock=clock_of(device))
    return Table(
        benchmark="chain",
        title=f"{case.title}, {picture.shape[3]}×{picture.shape[2]}, {device.type}",
        unit="s",
        better="less",
        against=case.against,
        rows=[
            Row(
                what=way.name,
                value=found.median,
                ratio=found.ratio,
                spread=found.spread,
                bar=_bar(case.dearest.get(way.name), found.ratio, quick=plan.quick),
            )
            for way, found in zip(ways, samples, strict=True)
        ],
    )


def _bar(dearest: float | None, ratio: float, *, quick: bool) -> Bar | None:
    return None if dearest is None or quick else at_most(dearest, 1 / ratio, f"{dearest} times the seconds")

"""How much of what the device can do an ascent does: its operations a second against a bare product's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from benchmarks import nets
from benchmarks.plan import Plan
from benchmarks.report import Row, Table, at_least
from benchmarks.timing import Samples, Way, alternate, clock_of, timed
from dreamd.engine.dreamer import Dreamer
from dreamd.engine.speed.precision import Precision, products_in

_PRODUCTS = {"cpu": (1024, 2048, 4096), "cuda": (2048, 4096, 8192, 16384)}
"""Rows and columns of the square matrices that are tried."""

_CONVOLUTIONS = ((1, 64, 640, 1024), (1, 256, 160, 256), (8, 256, 160, 256), (16, 512, 80, 128))
"""`[N, C, H, W]` of the 3×3 convolutions to as many channels that are tried on a GPU: VGG19's at 1024×640, and more."""

_SECONDS = 0.5
"""A sample of a product lasts at least so long."""

_GPU_ITERATIONS = 30

_BAR_PRODUCT, _BAR_CONVOLUTION = 0.90, 0.60
"""Shares of the bf16 peak: of a product's on a processor, of a convolution's on a GPU for one large picture."""


@dataclass(frozen=True, kw_only=True)
class _Ascent:
    """What is held against the peak."""

    height: int
    width: int
    batch: int = 1
    bar: float | None = None


def run(plan: Plan) -> Iterator[Table]:
    """A table a device and kind of peak."""
    for device in plan.devices:
        plan.say(f"the peak of {device}")
        iterations = _GPU_ITERATIONS if device.type == "cuda" else 1
        dreamer = nets.dreamer(nets.vgg19_features(), "auto", device, iterations=iterations)
        with products_in(dreamer.precision):
            yield _table("matrix product", _products(dreamer, plan.quick), dreamer, plan)
            if device.type == "cuda":
                yield _table("convolution", _convolutions(dreamer), dreamer, plan)


def iteration_flops(height: int, width: int) -> float:
    """Operations of an iteration of VGG19 to relu5_4 on one picture, by what a convolution is. Computes nothing."""
    with torch.device("meta"):
        network = models.vgg19(weights=None).features[: nets.LAYERS].requires_grad_(False)
        x = torch.empty(1, 3, height, width, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        network(x).norm().backward()
    return float(counter.get_total_flops())


def _table(kind: str, tried: Sequence[Way], dreamer: Dreamer, plan: Plan) -> Table:
    """The fastest of the products against ascents, in alternation."""
    ascents = _ascents(kind, dreamer, plan.quick)
    ways = [_fastest_of(tried, dreamer.device), *(_way(ascent, dreamer) for ascent in ascents)]
    samples = alternate(ways, rounds=2 if plan.quick else 5, clock=clock_of(dreamer.device))
    bars = [None, *(ascent.bar for ascent in ascents)]
    return Table(
        benchmark="peak",
        title=f"operations a second, {dreamer.device.type}, {dreamer.precision}, VGG19 to relu5_4",
        unit="TFLOP/s",
        better="more",
        against=f"the best {kind}",
        rows=[_row(way, found, bar) for way, found, bar in zip(ways, samples, bars, strict=True)],
    )


def _ascents(kind: str, dreamer: Dreamer, quick: bool) -> list[_Ascent]:
    if quick:
        return [_Ascent(height=96, width=96)]
    if dreamer.device.type == "cuda":
        bar = _BAR_CONVOLUTION if kind == "convolution" else None
        return [_Ascent(height=224, width=224, batch=32), _Ascent(height=640, width=1024, bar=bar)]
    bar = _BAR_PRODUCT if dreamer.precision is Precision.BF16 else None
    return [_Ascent(height=224, width=224, bar=bar), _Ascent(height=640, width=1024)]


def _way(ascent: _Ascent, dreamer: Dreamer) -> Way:
    return Way(
        name=f"an ascent on {ascent.width}×{ascent.height}, batch {ascent.batch}",
        run=partial(nets.dreamed, nets.picture(ascent.height, ascent.width, ascent.batch), dreamer),
        work=dreamer.settings.iterations * ascent.batch * iteration_flops(ascent.height, ascent.width),
    )


def _products(dreamer: Dreamer, quick: bool) -> list[Way]:
    """Square matrix products."""
    ways = []
    for side in _PRODUCTS[dreamer.device.type][: 2 if quick else None]:
        left, right = (torch.randn(side, side, device=dreamer.device, dtype=_dtype(dreamer)) for _ in range(2))
        ways.append(Way(name=f"a matrix product of {side}", run=partial(torch.mm, left, right), work=2.0 * side**3))
    return ways


def _convolutions(dreamer: Dreamer) -> list[Way]:
    """3×3 convolutions, channels last."""
    ways = []
    for shape in _CONVOLUTIONS:
        batch, channels, height, width = shape
        x, weight = (
            torch.randn(size, device=dreamer.device, dtype=_dtype(dreamer)).to(memory_format=torch.channels_last)
            for size in (shape, (channels, channels, 3, 3))
        )
        work = 2.0 * batch * channels**2 * 9 * height * width
        name = f"a convolution of {batch}×{channels}×{height}×{width}"
        ways.append(Way(name=name, run=partial(F.conv2d, x, weight, padding=1), work=work))
    return ways


def _dtype(dreamer: Dreamer) -> torch.dtype:
    return torch.bfloat16 if dreamer.precision is Precision.BF16 else torch.float32


def _fastest_of(tried: Sequence[Way], device: torch.device) -> Way:
    """The way with the most work a second, repeated until a run lasts long enough to be timed."""
    seconds = [_warm_seconds(way.run, device) for way in tried]
    way, once = max(zip(tried, seconds, strict=True), key=lambda found: found[0].work / found[1])
    times = math.ceil(_SECONDS / once)

    def repeated() -> None:
        for _ in range(times):
            way.run()

    return Way(name=way.name, run=repeated, work=times * way.work)


def _warm_seconds(run: Callable[[], object], device: torch.device) -> float:
    run()
    return min(timed(run, device) for _ in range(3))


def _row(way: Way, found: Samples, bar: float | None) -> Row:
    return Row(
        what=way.name,
        value=1e-12 / found.median,
        ratio=found.ratio,
        spread=found.spread,
        bar=None if bar is None else at_least(bar, found.ratio, f"{bar:.0%}"),
    )

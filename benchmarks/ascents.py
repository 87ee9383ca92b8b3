"""An ascent of VGG19 to relu5_4: the article's loop, a competent one, and this engine, on every device there is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks import nets
from benchmarks.plan import BenchmarkError, Plan
from benchmarks.report import Row, Table, at_least
from benchmarks.timing import Samples, Way, alternate, clock_of
from dreamd.engine.dreamer import Dreamer
from dreamd.engine.speed.precision import Precision, fastest, products_in

_GPU_ITERATIONS = 30
"""Of one sample, so that it takes long enough to be timed. On a processor one iteration does."""

_LARGE_GPU = 40_000_000_000
"""Bytes; a batch of 128 takes about half of it in fp32."""

_CHECK_LR, _CHECK_ITERATIONS = 0.45, 2
_CHECK_LR_OF_LARGE, _CHECK_ITERATIONS_OF_LARGE = 0.8, 1
"""Random weights hardly move a picture at the article's 0.2; so fast, what differs shows. Much faster, they throw it
about so that rounding alone makes another picture: after two steps of a large one, torch's own picture in bf16 is no
nearer to the loop's than where both started. Times the picture's side."""

_LEAST_DB, _LEAST_DB_EXACT = 27, 45
"""How near a result must be to the article's loop's; the second one in fp32."""

_MOVED_DB, _NEARER_DB = 30, 7
"""The loop's result must be further than the first from where it started, or the check proves nothing. This engine's
must be nearer to it by the second: to do nothing, or half of it, comes to 0 and 6. In bf16 it must be so much nearer to
what torch itself makes in bf16."""

_SHORT_DB = 1
"""How much less near to the loop in fp32 a picture in bf16 may be than torch's own in bf16. After two such fast steps
of a soft picture, rounding alone leaves both no more than 4 dB nearer to the loop than the start is."""

_BAR_CPU, _BAR_GPU_BATCH, _BAR_GPU_ALONE = 3.2, 40.0, 8.0
"""Times faster than the article's loop; the first one on a processor that is fast in bf16."""


@dataclass(frozen=True, kw_only=True)
class _Case:
    """One table: its name, a device, a picture's size, the batches to dream and the bars of some, the rounds, and how
    the ways are compared before."""

    benchmark: str
    device: torch.device
    height: int
    width: int
    batches: Sequence[int]
    bars: Mapping[int, float] = field(default_factory=dict)
    rounds: int
    check_lr: float = _CHECK_LR
    check_iterations: int = _CHECK_ITERATIONS


def run(plan: Plan) -> Iterator[Table]:
    """Small pictures, alone and in batches: one of them at a time leaves a GPU waiting. A table a device."""
    for device in plan.devices:
        yield _table(_small(device, quick=plan.quick), plan)


def run_large(plan: Plan) -> Iterator[Table]:
    """One large picture. A table a device."""
    for device in plan.devices:
        yield _table(_large(device, quick=plan.quick), plan)


def _small(device: torch.device, *, quick: bool) -> _Case:
    case = partial(_Case, benchmark="ascent", device=device)
    if quick:
        return case(height=64, width=64, batches=(1, 2), rounds=2)
    if device.type == "cuda":
        has_room = torch.cuda.get_device_properties(device).total_memory > _LARGE_GPU
        batches = (1, 8, 32, 128) if has_room else (1, 8, 32)
        return case(height=224, width=224, batches=batches, bars={batches[-1]: _BAR_GPU_BATCH}, rounds=7)
    bars = {1: _BAR_CPU} if fastest(device) is Precision.BF16 else {}
    return case(height=224, width=224, batches=(1, 8, 32), bars=bars, rounds=4)


def _large(device: torch.device, *, quick: bool) -> _Case:
    case = partial(_Case, benchmark="large", device=device, batches=(1,))
    if quick:
        return case(height=64, width=96, rounds=2)
    case = partial(case, check_lr=_CHECK_LR_OF_LARGE, check_iterations=_CHECK_ITERATIONS_OF_LARGE)
    if device.type == "cuda":
        return case(height=640, width=1024, bars={1: _BAR_GPU_ALONE}, rounds=7)
    return case(height=640, width=1024, rounds=3)


def _table(case: _Case, plan: Plan) -> Table:
    """Every way at one size, after a look whether they make one picture."""
    plan.say(f"{case.width}×{case.height} on {case.device}")
    features = nets.vgg19_features()
    notes = _agreements(features, case)
    ways = _ways(features, case)
    samples = alternate(list(ways), rounds=case.rounds, clock=clock_of(case.device))
    return Table(
        benchmark=case.benchmark,
        title=f"VGG19 to relu5_4 on {case.width}×{case.height}, {case.device.type}, an iteration of a picture",
        unit="s",
        better="less",
        against="the article's loop",
        rows=[
            _row(way, found, case.bars.get(batch), notes.get(way.name, ""))
            for (way, batch), found in zip(ways.items(), samples, strict=True)
        ],
    )


def _ways(features: nn.Sequential, case: _Case) -> dict[Way, int]:
    """Every way, the plain one first, and the batch of those that run this engine at its fastest; 0 for the others."""
    device, iterations = case.device, _GPU_ITERATIONS if case.device.type == "cuda" else 1
    picture = nets.picture(case.height, case.width)
    modules, network = nets.trainable(features, device), nets.frozen(features, device)
    exact = nets.dreamer(features, "fp32", device, iterations=iterations)
    auto = nets.dreamer(features, "auto", device, iterations=iterations)

    def way(name: str, work: int, function: Callable[[], Tensor]) -> Way:
        return Way(name=name, run=function, work=work * iterations)

    plain = {
        way("the article's loop", 1, partial(nets.article_loop, picture, modules, device, iterations)): 0,
        way("a competent loop", 1, partial(nets.competent_loop, picture, network, device, iterations)): 0,
        way(_EXACT, 1, partial(nets.dreamed, picture, exact)): 0,
    }
    batches = {batch: nets.picture(case.height, case.width, batch) for batch in case.batches}
    return plain | {
        way(_auto(device, batch), batch, partial(nets.dreamed, pictures, auto)): batch
        for batch, pictures in batches.items()
    }


def _agreements(features: nn.Sequential, case: _Case) -> dict[str, str]:
    """How near this engine's pictures are to the article's loop's. Raises BenchmarkError when they are others."""
    picture = nets.picture(case.height, case.width)
    modules = nets.trainable(features, case.device)
    lr = case.check_lr * math.sqrt(case.height * case.width)  # a larger picture's norm has the smaller gradient a pixel
    with products_in(Precision.FP32):  # the loop as it is timed computes in TF32 on a GPU, which is torch's default
        loop = nets.article_loop(picture, modules, case.device, case.check_iterations, lr)
    moved = nets.psnr(loop, picture)
    if moved > _MOVED_DB:
        raise BenchmarkError("the article's loop hardly moves the picture: a comparison would prove nothing")
    dreamer = partial(nets.dreamer, features, device=case.device, iterations=case.check_iterations, lr=lr)
    ways = {_EXACT: dreamer(precision="fp32"), _auto(case.device, 1): dreamer(precision="auto")}
    agreements = {}
    for name, by in ways.items():
        made = nets.dreamed(picture, by)
        agreements[name] = nets.likeness(_agreement(made, loop, moved, by))
        if by.precision is Precision.BF16:
            network = nets.frozen(features, case.device)
            _check_bf16(made, loop, nets.rounded_loop(picture, network, case.device, case.check_iterations, lr), moved)
    return agreements


def _agreement(picture: Tensor, loop: Tensor, moved: float, by: Dreamer) -> float:
    """How near a picture is to the loop's, which is `moved` from where both started, in dB."""
    exact = by.precision is Precision.FP32
    decibels = nets.psnr(picture, loop)
    least = moved if by.precision is Precision.BF16 else moved + _NEARER_DB
    if decibels < max(_LEAST_DB_EXACT if exact else _LEAST_DB, least):
        raise BenchmarkError(f"in {by.precision} it is not the article's loop's picture, but {decibels:.0f} dB from it")
    return decibels


def _check_bf16(picture: Tensor, loop: Tensor, rounded: Tensor, moved: float) -> None:
    """Raise BenchmarkError unless a picture is what torch itself makes in bf16, and as near to the loop in fp32."""
    near, least = nets.psnr(picture, rounded), moved + _NEARER_DB
    if near < least:
        raise BenchmarkError(f"in bf16 it is not the picture that torch makes in bf16, but {near:.0f} dB from it")
    if nets.psnr(picture, loop) < nets.psnr(rounded, loop) - _SHORT_DB:
        raise BenchmarkError("in bf16 it is further from the loop in fp32 than what torch makes in bf16")


_EXACT = "this engine, fp32"


def _auto(device: torch.device, batch: int) -> str:
    return f"this engine, auto ({fastest(device)}), batch {batch}"


def _row(way: Way, found: Samples, bar: float | None, note: str) -> Row:
    return Row(
        what=way.name,
        value=found.median,
        ratio=found.ratio,
        spread=found.spread,
        bar=None if bar is None else at_least(bar, found.ratio, f"{bar:g}×"),
        note=note,
    )

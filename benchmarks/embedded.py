"""The embedded network on a processor: against the plain loop, and what a dream takes beside its gradients."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import nets
from benchmarks.gradients import PLAIN, Gradients
from benchmarks.plan import BenchmarkError, Plan
from benchmarks.report import Row, Table, at_least, at_most
from benchmarks.timing import Way, alternate, timed
from dreamd.engine.dream import dream
from dreamd.engine.dreamer import Dreamer
from dreamd.engine.network.lookout import Lookout
from dreamd.engine.objectives.objective import WholeGradient
from dreamd.engine.speed.precision import cast
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.merging import resolve, set_fields
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.worker.machine.device import free_memory
from dreamd.worker.machine.heap import keep_freed_memory
from dreamd.worker.recipes.builder import Builder

_CPU = torch.device("cpu")

_RECIPE = "weave"
"""The preset whose dream is measured: six octaves."""

_LAYER = "blocks.4.2"

_HEIGHT, _WIDTH = 427, 640

_LEAST_GAIN = 2.4
"""Times faster than the plain loop."""

_MOST_BESIDE = 1.11
"""Times the seconds of its gradients that a dream may take: what is beside them is then under a tenth of the whole."""

_REST = 0.05
"""Seconds. torch's threads spin for milliseconds after their work, by libgomp's own rule."""

_LEAST_LIKENESS = 0.9
"""The least cosine between the plain loop's gradient and one in bf16; rounding turns many ReLUs on or off."""


def run(plan: Plan) -> Iterator[Table]:
    """One gradient, in the plain way and by this engine, each in a process as people run it."""
    picture = _with_grain(64, 96) if plan.quick else _with_grain(_HEIGHT, _WIDTH)
    height, width = picture.shape[2:]
    plan.say(f"{width}×{height}")
    exact, fast = (_dreamer(precision) for precision in ("fp32", "auto"))
    plain = _plain_gradient(exact.backbone.network, picture)
    likeness = float(torch.cosine_similarity(plain.flatten(), _gradient(fast, picture).flatten(), 0))
    if likeness < _LEAST_LIKENESS:
        raise BenchmarkError(f"the engine's gradient is not the plain loop's: their cosine is {likeness:.3f}")
    names = {PLAIN: "the plain loop", "fp32": "this engine, fp32", "auto": f"this engine, auto ({fast.precision})"}
    with ExitStack() as processes:
        ways = {name: processes.enter_context(Gradients(way, height, width)).compute for way, name in names.items()}
        runs = [Way(name=name, run=run) for name, run in ways.items()]
        samples = alternate(runs, rounds=2 if plan.quick else 15, clock=_after_a_rest)
    bars = {} if plan.quick else {len(ways) - 1: _LEAST_GAIN}
    yield Table(
        benchmark="embedded",
        title=f"efficientnet_lite0 to {_LAYER} on {picture.shape[3]}×{picture.shape[2]}, cpu, a gradient",
        unit="s",
        better="less",
        against="the plain loop",
        rows=[
            Row(
                what=name,
                value=found.median,
                ratio=found.ratio,
                spread=found.spread,
                bar=at_least(bars[place], found.ratio, f"{bars[place]:g}×") if place in bars else None,
                note=f"the same gradient to a cosine of {likeness:.4f}" if place == len(ways) - 1 else "",
            )
            for place, (name, found) in enumerate(zip(ways, samples, strict=True))
        ],
    )


def _after_a_rest(run: Callable[[], Any]) -> float:
    """Seconds that a process takes, once the threads of the one before it have stopped waiting for more."""
    time.sleep(_REST)
    return timed(run)


def gradient_in(way: str, height: int, width: int) -> Callable[[], Tensor]:
    """What computes a gradient in the plain way, or in a precision of this engine."""
    picture = _with_grain(height, width)
    if way == PLAIN:
        return partial(_plain_gradient, _dreamer("fp32").backbone.network, picture)
    return partial(_gradient, _dreamer(way), picture)


def run_octaves(plan: Plan) -> Iterator[Table]:
    """A dream of six octaves, and its gradients alone: the same number, of pictures of the same sizes."""
    picture = nets.picture(64, 96) if plan.quick else nets.picture(_HEIGHT, _WIDTH)
    plan.say(f"{picture.shape[3]}×{picture.shape[2]}")
    keep_freed_memory(free_memory(_CPU))  # as every dream does
    dreamer = _dreamer("auto")
    pictures = _pictures_of(dreamer, picture)
    ways = {
        "its gradients alone": lambda: [_gradient(dreamer, each) for each in pictures],
        f"the preset {_RECIPE}": lambda: _dreamed(dreamer, picture),
    }
    samples = alternate([Way(name=name, run=way) for name, way in ways.items()], rounds=2 if plan.quick else 5)
    beside = 1 / samples[1].ratio
    bar = None if plan.quick else at_most(_MOST_BESIDE, beside, f"{_MOST_BESIDE} times the seconds")
    notes = ["", f"{1 - samples[1].ratio:.0%} of the dream is beside its gradients"]
    yield Table(
        benchmark="octaves",
        title=f"a dream of {len(pictures)} gradients in 6 octaves, {picture.shape[3]}×{picture.shape[2]}, cpu",
        unit="s",
        better="less",
        against="its gradients alone",
        rows=[
            Row(what=name, value=found.median, ratio=found.ratio, spread=found.spread, bar=own, note=note)
            for name, found, own, note in zip(ways, samples, [None, bar], notes, strict=True)
        ],
    )


def _with_grain(height: int, width: int) -> Tensor:
    """A normalised picture. Of soft colours alone a gradient is hardly more than rounding."""
    grain = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    return 2 * nets.picture(height, width) - 1 + grain / 2


def _dreamer(precision: str) -> Dreamer:
    return Builder(Plugins("dreamd.engine"), _CPU).build(_recipe(precision)).dreamer


def _recipe(precision: str) -> Recipe:
    fields = set_fields((f"layers={_LAYER}", f"precision={precision}"))
    return resolve([*RecipeBook(None).documents_of_name(_RECIPE), fields]).recipe


def _dreamed(dreamer: Dreamer, picture: Tensor) -> Tensor:
    return dream(picture.clone(), dreamer, seeds=[0]).images


def _gradient(dreamer: Dreamer, picture: Tensor) -> Tensor:
    """The gradient as a dream takes it."""
    prepare: Callable[[Tensor], Tensor] = (
        (lambda x: x) if dreamer.is_reference else (lambda x: cast(x, dreamer.precision))
    )
    with WholeGradient(dreamer.backbone.network, dreamer.objective) as gradient_at:
        return gradient_at(picture, prepare)[0]


def _plain_gradient(network: nn.Module, picture: Tensor) -> Tensor:
    """The gradient as anyone writes it who knows torch: a frozen network that ends at the layer, and autograd."""
    lookout = Lookout(network, [_LAYER])
    x = picture.clone().requires_grad_()
    (seen,) = lookout(x)
    lookout.close()
    (gradient,) = torch.autograd.grad(seen.norm(), x)
    return gradient


def _pictures_of(dreamer: Dreamer, picture: Tensor) -> list[Tensor]:
    """Pictures of the sizes of all gradients of a dream."""
    sizes: list[tuple[int, int]] = []

    def note(gradient: Tensor, progress: float) -> Tensor:
        del progress
        sizes.append((gradient.shape[2], gradient.shape[3]))
        return gradient

    _dreamed(replace(dreamer, steps=(*dreamer.steps, note)), picture)
    made = {size: nets.picture(*size) for size in set(sizes)}
    return [made[size] for size in sizes]

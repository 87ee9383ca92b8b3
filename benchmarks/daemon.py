"""What the daemon costs: pictures an hour through `dreamd drain`, against the engine alone in one process.

The time runs from the first picture finished to the last, as the journal has it, so that neither start-up counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.plan import BenchmarkError, Plan, run_process
from benchmarks.queues import drain, tree
from benchmarks.report import Row, Table, at_least
from benchmarks.timing import Way, alternate
from dreamd.settings.recipes.recipe_book import preset_names

_SIDE = 512
_HOUR = 3600
_BAR = 0.97
"""The daemon costs less than 3% of a long queue."""

_DREAMT = """
extends: animals
schedule: {num_octaves: 2}
ascent: {iterations: 3}
"""
"""About a second a picture on two cores, with the network that needs no download."""

_NOTHING = """
backbone: {name: nothing, weights: random}
schedule: unchanged
"""
"""Dreams nothing, so that all that is left of a picture is decoding, encoding and the daemon."""


@dataclass(frozen=True, kw_only=True)
class _Queue:
    """What is dreamed: a recipe's text, how many pictures, and whether the bar is for it."""

    title: str
    recipe: str
    pictures: int
    barred: bool


def run(plan: Plan) -> Iterator[Table]:
    """A table a queue: one that is dreamed, and one where the daemon is all there is to see."""
    dreamt = _Queue(
        title=f"the recipe {plan.recipe}" if plan.recipe else "efficientnet_lite0, 2 octaves of 3 iterations",
        recipe=_text_of(plan.recipe) if plan.recipe else _DREAMT,
        pictures=4 if plan.quick else 30,
        barred=not plan.quick,
    )
    nothing = _Queue(
        title="a network that does nothing", recipe=_NOTHING, pictures=40 if plan.quick else 400, barred=False
    )
    for queue in (dreamt, nothing):
        yield _table(queue, plan)


def _table(queue: _Queue, plan: Plan) -> Table:
    device = str(plan.devices[-1])
    plan.say(f"{queue.pictures} pictures, {queue.title}")
    ways = [
        Way(name="the engine alone", run=partial(_bare_seconds, queue, device)),
        Way(name="dreamd drain", run=partial(_daemon_seconds, queue, device)),
    ]
    bare, daemon = alternate(ways, rounds=1 if plan.quick else 5, clock=lambda run: run(), warm=False)
    cost = daemon.median - bare.median
    return Table(
        benchmark="daemon",
        title=f"a queue of {queue.pictures} JPEGs of {_SIDE}×{_SIDE}, {device}, {queue.title}; start-up does not count",
        unit="pictures/h",
        better="more",
        against=ways[0].name,
        rows=[
            Row(what=ways[0].name, value=_HOUR / bare.median, ratio=1.0, spread=bare.spread),
            Row(
                what=ways[1].name,
                value=_HOUR / daemon.median,
                ratio=daemon.ratio,
                spread=daemon.spread,
                bar=at_least(_BAR, daemon.ratio, f"{_BAR}") if queue.barred else None,
                note=f"costs {1 - daemon.ratio:.1%}, {1000 * cost:.1f} ms a picture",
            ),
        ],
    )


def _bare_seconds(queue: _Queue, device: str) -> float:
    """Seconds a picture of the engine alone."""
    with _tree(queue, device) as root:
        (root / "inbox" / "recipe.yaml").rename(root / "recipe.yaml")
        paths = [str(root / name) for name in ("recipe.yaml", "inbox", "outbox")]
        options = ["--device", device, "--plugins", str(root / "plugins")]
        return _pace(json.loads(run_process(["-m", "benchmarks.bare", *paths, *options])), queue)


def _daemon_seconds(queue: _Queue, device: str) -> float:
    """Seconds a picture of a real daemon, by its journal."""
    with _tree(queue, device) as root:
        return _pace(drain(root, queue.pictures), queue)


def _pace(finished: Sequence[float | None], queue: _Queue) -> float:
    """Seconds a picture, between the first and the last one finished. Raises BenchmarkError when one is missing."""
    times = sorted(time for time in finished if time is not None)
    if len(times) != queue.pictures:
        raise BenchmarkError(f"{len(times)} of {queue.pictures} pictures came out")
    return (times[-1] - times[0]) / (len(times) - 1)


def _tree(queue: _Queue, device: str) -> AbstractContextManager[Path]:
    """A daemon's tree with the queue in its inbox."""
    return tree(recipe=queue.recipe, pictures=queue.pictures, side=_SIDE, workers=f"{{devices: ['{device}']}}")


def _text_of(recipe: str) -> str:
    """A recipe file's text; a preset's is one that extends it. Raises BenchmarkError."""
    if recipe in preset_names():
        return f"extends: {recipe}\n"
    try:
        return Path(recipe).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        presets = ", ".join(preset_names())
        raise BenchmarkError(f"--recipe {recipe}: neither a file that can be read nor a preset ({presets})") from error

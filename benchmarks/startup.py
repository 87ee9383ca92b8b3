"""From a process's start to its first picture, against a bare `import torch` in the same rounds.

The dream is one iteration of the embedded network on 640×427 pixels: what it takes beyond torch is the start-up's.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.plan import BenchmarkError, Plan, run_process
from benchmarks.report import Row, Table, at_most
from benchmarks.timing import ProcessesClock, Samples, Way, alternate
from benchmarks.workers import worker_command, worker_settings
from dreamd.commands.demo.painting import clouds
from dreamd.messages import Batch, Order
from dreamd.settings.recipes.merging import resolve, set_fields
from dreamd.settings.recipes.recipe_book import RecipeBook

_BAR = 1.7
"""Times as long as a bare `import torch`, at most."""

_SETTINGS = ("backbone=efficientnet_lite0", "layers=blocks.4.2", "ascent.iterations=1", "schedule.num_octaves=1")


def run(plan: Plan) -> Iterator[Table]:
    """A bare import, a dream from file to file, and a worker from its start to its end after one picture."""
    with tempfile.TemporaryDirectory(prefix="dreamd-benchmark-") as name:
        folder = Path(name)
        clouds(640, 427).save(folder / "picture.png")
        ways = [
            Way(name="import torch", run=lambda: run_process(["-c", "import torch"])),
            Way(name="dreamd dream", run=lambda: _dream(folder)),
            Way(name="a worker's first picture", run=lambda: _work(folder)),
        ]
        plan.say("import torch, dreamd dream and a worker, from start to exit")
        clock = ProcessesClock()
        samples = alternate(ways, rounds=2 if plan.quick else 9, clock=clock)
    rows = [
        _row(way, taken, clock.processor[way.run], clock.processor[ways[0].run], plan)
        for way, taken in zip(ways, samples, strict=True)
    ]
    yield Table(
        benchmark="startup",
        title="one iteration of efficientnet_lite0 on 640×427, cpu, process start to exit",
        unit="s",
        better="less",
        against="import torch",
        rows=rows,
    )


def _row(way: Way, taken: Samples, processor: list[float], bare: list[float], plan: Plan) -> Row:
    times = statistics.median(seconds / plain for seconds, plain in zip(taken.seconds, taken.plain, strict=True))
    is_bare = taken.seconds is taken.plain
    return Row(
        what=way.name,
        value=taken.median,
        ratio=taken.ratio,
        spread=taken.spread,
        bar=None if is_bare or plan.quick else at_most(_BAR, times, f"{_BAR} × import torch"),
        note=f"{times:.2f} times as long; {min(processor):.2f} s of processor, {min(processor) / min(bare):.2f} times",
    )


def _dream(folder: Path) -> None:
    words = ["-m", "dreamd", "dream", str(folder / "picture.png"), str(folder / "dream.png"), "--device", "cpu"]
    run_process([*words, *(word for setting in _SETTINGS for word in ("--set", setting))])


def _work(folder: Path) -> None:
    """Have a worker dream one picture, as the daemon would. Raises BenchmarkError when none comes out."""
    recipe = resolve([*RecipeBook(None).documents_of_name("classic"), set_fields(_SETTINGS)]).json
    with tempfile.TemporaryDirectory(dir=folder) as results:
        order = Order(job="job", source=folder / "picture.png", folder=Path(results))
        lines = worker_settings().line() + Batch(recipe=recipe, orders=(order,)).line()
        done = subprocess.run(worker_command(), input=lines, capture_output=True)
        if done.returncode or not list(Path(results).iterdir()):
            raise BenchmarkError(f"a worker made no picture: {done.stderr.decode(errors='replace')[-300:]}")

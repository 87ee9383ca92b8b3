"""How much a busy machine slows a dream: an iteration alone, and beside processes that never rest.

Each figure is of a process of its own, with the embedded network in the precision `auto` and as many threads as dreamd
takes by itself (`iteration.py`): once with threads that wait for each other as dreamd has them, once as
torch has them by default.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from benchmarks.plan import BenchmarkError, Plan
from benchmarks.report import Row, Table, at_most
from benchmarks.timing import Way, alternate

_BUSY = 1
"""The processes that never rest."""

_BAR = 2.3
"""Times as long as alone, at most."""

_TORCHS_OWN = {"GOMP_SPINCOUNT": "300000"}
"""What has threads wait as they do where nobody says anything, by libgomp's source."""

_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""The environment variables that say how threads wait; this process has dreamd's."""


def run(plan: Plan) -> Iterator[Table]:
    """Both ways to wait, alone and beside a busy process."""
    seconds = 1.0 if plan.quick else 6.0
    beside = f"beside {_BUSY} busy process"
    ways = [
        Way(name="alone", run=partial(_measure, {}, seconds, busy=0)),
        Way(name=beside, run=partial(_measure, {}, seconds, busy=_BUSY)),
        Way(name="alone, waiting as torch does", run=partial(_measure, _TORCHS_OWN, seconds, busy=0)),
        Way(name=f"{beside}, waiting as torch does", run=partial(_measure, _TORCHS_OWN, seconds, busy=_BUSY)),
    ]
    plan.say("an iteration of the embedded network, alone and beside a busy process")
    samples = alternate(ways, rounds=1 if plan.quick else 3, clock=lambda run: run(), warm=False)
    slower = samples[1].median / samples[0].median
    bars = {beside: at_most(_BAR, slower, f"{_BAR} times as long as alone")} if not plan.quick else {}
    rows = [
        Row(
            what=way.name,
            value=taken.median,
            ratio=taken.ratio,
            spread=taken.spread,
            bar=bars.get(way.name),
            note=f"{slower:.2f} times as long" if way.name == beside else "",
        )
        for way, taken in zip(ways, samples, strict=True)
    ]
    yield Table(
        benchmark="loaded",
        title="an iteration of efficientnet_lite0 to blocks.4.2 on 640×427, cpu",
        unit="s",
        better="less",
        against="alone",
        rows=rows,
    )


def _measure(environment: Mapping[str, str], seconds: float, *, busy: int) -> float:
    """Return the seconds an iteration that a fresh process measures beside so many busy ones. Raises BenchmarkError."""
    inherited = {name: value for name, value in os.environ.items() if name not in _WAITING}
    command = [sys.executable, "-m", "benchmarks.iteration", str(seconds)]
    with _busy_processes(busy):
        done = subprocess.run(command, env={**inherited, **environment}, capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError(f"`{' '.join(command)}` ended with {done.returncode}: {done.stderr[-300:]}")
    return float(done.stdout)


@contextmanager
def _busy_processes(count: int) -> Iterator[None]:
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()

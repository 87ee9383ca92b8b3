"""Memory and time against a picture's size: VGG19 to relu1_2, one octave, one iteration, 4 GB. On the processor.

Every size is a process of its own, `python -m benchmarks.memory MEGAPIXELS`, so that its peak is its own.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks import nets
from benchmarks.plan import Plan, run_process
from benchmarks.report import Row, Table, at_most
from dreamd.engine.dream import dream

_BUDGET = 4_000_000_000
_LAYERS = 4
"""Of VGG19, to relu1_2: the layer with the most neurons a pixel."""

_BAR_GB = 4.5
_BAR_EXPONENT = 1.1
"""Seconds grow with this power of the megapixels at most; 1 is linear."""

_MEGA, _GIGA = 1e6, 1e9
_WARM_SIDE = 256


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What a process measured of itself: bytes before the dream and at its peak, and the dream's seconds."""

    before: float
    peak: float
    seconds: float
    tiling: str | None


def run(plan: Plan) -> Iterator[Table]:
    """A table of bytes and one of seconds."""
    sizes = (0.1, 0.4) if plan.quick else (1.0, 10.0, 50.0, 100.0)
    runs = []
    for megapixels in sizes:
        plan.say(f"{megapixels:g} megapixels")
        runs.append(_Run(**json.loads(run_process(["-m", "benchmarks.memory", str(megapixels)]))))
    yield _bytes_table(sizes, runs, quick=plan.quick)
    yield _seconds_table(sizes, runs, quick=plan.quick)


def _bytes_table(sizes: Sequence[float], runs: Sequence[_Run], *, quick: bool) -> Table:
    """Peaks, against what a picture would take whole: reckoned from the smallest, which was taken so."""
    a_megapixel = (runs[0].peak - runs[0].before) / sizes[0]
    rows = [
        Row(
            what=f"{megapixels:g} megapixels",
            value=found.peak / _GIGA,
            ratio=(runs[0].before + megapixels * a_megapixel) / found.peak,
            bar=None if quick else at_most(_BAR_GB, found.peak / _GIGA, f"{_BAR_GB} GB"),
            note=found.tiling or "taken whole",
        )
        for megapixels, found in zip(sizes, runs, strict=True)
    ]
    return Table(
        benchmark="memory",
        title=f"peak memory within {_BUDGET / _GIGA:g} GB, VGG19 to relu1_2, one iteration, in a process each",
        unit="GB",
        better="less",
        against="taken whole (reckoned)",
        rows=rows,
    )


def _seconds_table(sizes: Sequence[float], runs: Sequence[_Run], *, quick: bool) -> Table:
    """Seconds a megapixel, against the smallest picture's, and the power of the size that the seconds grow with."""
    paces = [found.seconds / megapixels for megapixels, found in zip(sizes, runs, strict=True)]
    power = exponent(sizes, [found.seconds for found in runs])
    growth = f"seconds grow with megapixels to the power of {power:.2f}"
    rows = [
        Row(what=f"{megapixels:g} megapixels", value=pace, ratio=paces[0] / pace)
        for megapixels, pace in zip(sizes, paces, strict=True)
    ]
    bar = None if quick else at_most(_BAR_EXPONENT, power, f"power {_BAR_EXPONENT}")
    rows[-1] = Row(what=rows[-1].what, value=rows[-1].value, ratio=rows[-1].ratio, bar=bar, note=growth)
    return Table(
        benchmark="memory",
        title="seconds of the same dreams",
        unit="s/megapixel",
        better="less",
        against=rows[0].what,
        rows=rows,
    )


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The power of the sizes that the seconds grow with: the slope of a straight line through their logarithms."""
    slope, _ = statistics.linear_regression([math.log(size) for size in sizes], [math.log(time) for time in seconds])
    return slope


def main() -> None:
    """Dream one picture of that many megapixels in this process, and print what it took."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("megapixels", type=float)
    side = round(math.sqrt(parser.parse_args().megapixels * _MEGA))
    device = torch.device("cpu")
    features = nets.first_modules(_LAYERS)
    dreamer = nets.dreamer(
        features, "auto", device, iterations=1, layer=_LAYERS, loss=nets.norm_of_parts, memory=_BUDGET
    )
    nets.dreamed(nets.picture(_WARM_SIDE, _WARM_SIDE), dreamer)
    before = _bytes_of_this_process("VmRSS")
    pictures = [torch.rand(1, 3, side, side)]
    start = time.perf_counter()
    dreamed = dream(pictures.pop(), dreamer, seeds=[0])  # which owns the picture then, and may give its memory back
    seconds = time.perf_counter() - start
    peak = _bytes_of_this_process("VmHWM")
    print(json.dumps(asdict(_Run(before=before, peak=peak, seconds=seconds, tiling=dreamed.tiling))))


def _bytes_of_this_process(name: str) -> float:
    """A line of /proc/self/status, proc(5). Not getrusage: across exec its peak is still that of the parent."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()

"""What several workers on the processor bring: pictures an hour of a queue of small ones, with one worker and with two.

The time runs from when a worker wrote one of the first results, when all are warm, to when the daemon was done with one
of the last: neither the start nor the end counts, at which a worker has nothing to do. All ways must make the same
files, but for the number of threads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from benchmarks.plan import BenchmarkError, Plan
from benchmarks.queues import drain, tree
from benchmarks.report import Row, Table, at_least
from benchmarks.timing import Way, alternate
from dreamd.hardware.processors import count_processors

_SIDE = 256
_HOUR = 3600

_BAR = 1.8
"""Times as many pictures with two workers of one thread as with one."""

_WARM, _COUNTED, _LAST = 4, 12, 4
"""The pictures of each worker, where the most work: those at the beginning, during which workers may still be starting,
those that count, and those at the end, at which a worker may have nothing to do any more."""

_RECIPE = """
extends: animals
precision: {precision}
schedule: {{num_octaves: 3}}
ascent: {{iterations: 6}}
"""
"""A quarter of a second a picture on one core, with the network that needs no download."""


@dataclass(frozen=True, kw_only=True)
class _Seats:
    """Workers on the processor.

    Attributes:
        workers: how many.
        threads: of each.
    """

    workers: int
    threads: int

    @property
    def name(self) -> str:
        """The same in words."""
        return f"{self.workers} worker{_s(self.workers)} of {self.threads} thread{_s(self.threads)}"


@dataclass(frozen=True, kw_only=True)
class _Queue:
    """What is dreamed, and what each way made of it.

    Attributes:
        precision: that the recipe names.
        pictures: how many.
        made: the digest of the results, by the number of threads.
    """

    precision: str
    pictures: int
    made: dict[int, str] = field(default_factory=dict)


def run(plan: Plan) -> Iterator[Table]:
    """Yield a table for each precision that a processor has: its fastest, and the reference by the bar's ways alone."""
    both = count_processors()
    ways = [_Seats(workers=1, threads=1), _Seats(workers=2, threads=1), _Seats(workers=1, threads=both)]
    if both >= 4:
        ways.append(_Seats(workers=both // 2, threads=2))
        ways.append(_Seats(workers=both, threads=1))
    for precision, measured in (("auto", ways), ("fp32", ways[:2])):
        each = _WARM + (_LAST if plan.quick else _COUNTED) + _LAST
        queue = _Queue(precision=precision, pictures=each * max(seats.workers for seats in measured))
        yield _table(queue, measured, plan)


def _table(queue: _Queue, ways: Sequence[_Seats], plan: Plan) -> Table:
    timed = [Way(name=seats.name, run=partial(_seconds, queue, seats, plan)) for seats in ways]
    samples = alternate(timed, rounds=1 if plan.quick else 3, clock=lambda run: run(), warm=False)
    has_bar = not plan.quick and count_processors() >= 2
    return Table(
        benchmark="seats",
        title=f"a queue of {queue.pictures} JPEGs of {_SIDE}×{_SIDE}, cpu, efficientnet_lite0, 3 octaves of 6 "
        f"iterations, precision {queue.precision}; start-up does not count",
        unit="pictures/h",
        better="more",
        against=ways[0].name,
        rows=[
            Row(
                what=seats.name,
                value=_HOUR / taken.median,
                ratio=taken.ratio,
                spread=taken.spread,
                bar=at_least(_BAR, taken.ratio, f"{_BAR}") if has_bar and seats == ways[1] else None,
                note=f"best {_HOUR / min(taken.seconds):,.0f}",
            )
            for seats, taken in zip(ways, samples, strict=True)
        ],
    )


def _seconds(queue: _Queue, seats: _Seats, plan: Plan) -> float:
    """Return the seconds a picture of a real daemon. Raises BenchmarkError when other files come out than before."""
    plan.say(f"{queue.pictures} pictures in {queue.precision} with {seats.name} …")
    recipe = _RECIPE.format(precision=queue.precision)
    workers = f"{{devices: ['cpu*{seats.workers}'], threads: {seats.threads}}}"
    with tree(recipe=recipe, pictures=queue.pictures, side=_SIDE, workers=workers) as root:
        times = drain(root, queue.pictures)
        results = sorted((root / "outbox").glob("*.jpg"))
        written = sorted(result.stat().st_mtime for result in results)
        digest = hashlib.sha256()
        for result in results:
            digest.update(result.read_bytes())
    if queue.made.setdefault(seats.threads, digest.hexdigest()) != digest.hexdigest():
        raise BenchmarkError(f"{seats.name} made other files than another number of workers with as many threads")
    first, last = _WARM * seats.workers, len(times) - _LAST * seats.workers
    seconds = (times[last] - written[first]) / (last - first)
    plan.say(f"{seconds:.3f} s a picture")
    return seconds


def _s(count: int) -> str:
    return "" if count == 1 else "s"

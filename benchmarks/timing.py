"""Timing: ways to do one thing, run in alternation, so that what disturbs the machine disturbs them alike."""

from __future__ import annotations

import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from benchmarks.report import NOISY

_MORE = 2
"""Times the rounds that a noisy measurement is prolonged to, at most."""


Clock = Callable[[Callable[[], Any]], float]
"""Runs something and gives the seconds that it took."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to do it.

    Attributes:
        name: its name in the table.
        run: does it once.
        work: how much that is: iterations times pictures, or operations. Samples are seconds a unit of it.
    """

    name: str
    run: Callable[[], Any]
    work: float = 1


@dataclass(frozen=True)
class Samples:
    """Seconds of one way, and of the first way in the same rounds."""

    seconds: Sequence[float]
    plain: Sequence[float]

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    @property
    def ratio(self) -> float:
        """How many times faster than the first way: the median of the rounds' ratios."""
        return statistics.median(self._ratios())

    @property
    def spread(self) -> float | None:
        """Of the ratio; of the first way itself, of its seconds."""
        return spread(self.seconds if self.seconds is self.plain else self._ratios())

    def _ratios(self) -> list[float]:
        return [plain / seconds for plain, seconds in zip(self.plain, self.seconds, strict=True)]


def spread(values: Sequence[float]) -> float | None:
    """The middle half of the values as a share of their median; None for a single value."""
    if len(values) < 2:
        return None
    first, middle, third = statistics.quantiles(values, n=4, method="inclusive")
    return (third - first) / middle


@dataclass(frozen=True)
class ProcessesClock:
    """A clock of ways that run processes to their end, which also notes what the processor worked for them.

    Other processes on the machine lengthen a run, and hardly its processor's seconds.

    Attributes:
        processor: the processor's seconds of each run of a way, by what runs it.
    """

    processor: defaultdict[Callable[[], Any], list[float]] = field(default_factory=lambda: defaultdict(list))

    def __call__(self, run: Callable[[], Any]) -> float:
        """Run it; returns the seconds that it took."""
        before = _seconds_of_children()
        seconds = timed(run)
        self.processor[run].append(_seconds_of_children() - before)
        return seconds


def _seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def clock_of(device: torch.device) -> Clock:
    """The clock of ways that run on a device of this process, which is waited for."""
    return partial(timed, device=device)


def timed(run: Callable[[], object], device: torch.device | None = None) -> float:
    """Seconds that a run takes; on a GPU, until its last stream is done."""
    if device is None or device.type != "cuda":
        start = time.perf_counter()
        run()
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize(device)
    with torch.cuda.device(device):
        begin.record()
        run()
        torch.cuda.synchronize(device)  # the run may have streams of its own, which an event here does not wait for
        end.record()
        end.synchronize()
    return float(begin.elapsed_time(end)) / 1000  # it gives milliseconds


def alternate(ways: Sequence[Way], *, rounds: int, clock: Clock = timed, warm: bool = True) -> list[Samples]:
    """Run every way once a round, in turn; a noisy measurement is prolonged.

    Args:
        ways: the plain one first.
        rounds: the samples of each.
        clock: runs a way and gives the seconds it took; of ways in this process, `clock_of` their device.
        warm: whether every way runs once before, unmeasured.
    """
    for way in ways if warm else ():
        way.run()
    taken: list[list[float]] = [[] for _ in ways]
    while len(taken[0]) < rounds or (rounds > 1 and len(taken[0]) < _MORE * rounds and _noisy(taken)):
        for way, seconds in zip(ways, taken, strict=True):
            seconds.append(clock(way.run) / way.work)
    return [Samples(seconds, taken[0]) for seconds in taken]


def _noisy(taken: Sequence[Sequence[float]]) -> bool:
    spreads = [Samples(seconds, taken[0]).spread for seconds in taken]
    return any(share is not None and share > NOISY for share in spreads)

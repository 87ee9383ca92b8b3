"""When frames are shown: as a file says it, and as a file is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from dreamd.api import Timing

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

TICKS = 90_000
"""The parts of a second that times are told in where no source gives others."""


def timed(
    frames: Iterable[VideoFrame], time_base: Fraction, rate: Fraction
) -> Iterator[tuple[VideoFrame, Fraction, Fraction]]:
    """Give every frame a time, later than the one before; where the file gives none, by its rate."""
    step = 1 / rate if rate > 0 else Fraction(1, 25)
    last: Fraction | None = None
    for frame in frames:
        time = None if frame.pts is None else frame.pts * time_base
        if last is not None and (time is None or time <= last):
            time = last + (step if time is None else time_base)
        last = Fraction(0) if time is None else time
        yield frame, last, Fraction(frame.duration or 0) * time_base


def ticks(timings: Sequence[Timing], time_base: Fraction) -> Iterator[tuple[int, int]]:
    """Yield each frame's time and duration in ticks; a frame without a duration lasts until the next."""
    pts = [round(timing.time / time_base) for timing in timings]
    for number, timing in enumerate(timings):
        own = round(timing.duration / time_base)
        gap = pts[number + 1] - pts[number] if number + 1 < len(pts) else own or (pts[-1] - pts[-2] if number else 1)
        yield pts[number], gap

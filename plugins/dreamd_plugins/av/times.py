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
    frames: Iterable[VideoFrame], time_base: Fraction, rate: Fraction, end: Fraction | None
) -> Iterator[tuple[VideoFrame, Timing]]:
    """Give every frame a time, later than the one before, and have it last until the next.

    What a file says of a frame's duration is that of the frame which was stored there, and not always shown there.

    Args:
        frames: the frames, as they are shown.
        time_base: the seconds of a tick, for frames that do not say.
        rate: frames a second, for frames without a time; 0 where that is not known.
        end: when the film ends, in seconds; None where that is not known.
    """
    step = 1 / rate if rate > 0 else Fraction(1, 25)
    last: tuple[VideoFrame, Fraction] | None = None
    for frame in frames:
        tick = Fraction(frame.time_base or time_base)
        time = None if frame.pts is None else frame.pts * tick
        if last is not None and (time is None or time <= last[1]):
            time = last[1] + (step if time is None else tick)
        if last is not None and time is not None:
            yield last[0], Timing(time=last[1], duration=time - last[1])
        last = frame, Fraction(0) if time is None else time
    if last is not None:
        frame, time = last
        own = frame.duration * Fraction(frame.time_base or time_base) if frame.duration else step
        yield frame, Timing(time=time, duration=own if end is None or end <= time else end - time)


def ticks(timings: Sequence[Timing], time_base: Fraction) -> Iterator[tuple[int, int]]:
    """Yield each frame's time and duration in ticks; a frame without a duration lasts until the next."""
    pts = [round(timing.time / time_base) for timing in timings]
    for number, timing in enumerate(timings):
        own = round(timing.duration / time_base)
        gap = pts[number + 1] - pts[number] if number + 1 < len(pts) else own or (pts[-1] - pts[-2] if number else 1)
        yield pts[number], gap

"""What a plugin of films must keep."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dreamd.errors import PictureError, PluginError
from dreamd.pictures.film import Film, FilmPlan, Frame, Timing
from dreamd.plugin_host.host import Registered
from dreamd.plugin_tools.clauses.common import Clause, check_leaves_no_state, must

_WIDTH, _HEIGHT = 48, 32
"""The size of the film that is written in a check, in pixels."""

_FRAMES = 5
"""The frames of that film: more than one part, and parts of different lengths."""

_STEP = Fraction(1, 25)
"""The time of each frame, in seconds, which every format can tell."""


def film_clauses(item: Registered, samples: Sequence[Path]) -> Iterator[Clause]:
    """Return what a plugin of films must keep, with sample files and without."""
    noise = np.random.default_rng(0).bytes(4096)

    def refuses_rubbish() -> None:
        for data in (noise, b"this is a text and no film", noise[:3], *(f.read_bytes()[:200] for f in samples)):
            _check_refuses(item, data)

    yield "refuses broken files with a PictureError", refuses_rubbish
    for extension in item.entry.extensions:
        yield f"reads the frames of {extension} that it writes, at their times", partial(_check_reads, item, extension)
        yield f"writes the same {extension} each time", partial(_check_repeats, item, extension)
        yield f"asks check_size before it reads {extension}", partial(_check_asks_first, item, extension)
        yield f"begins {extension} at the time that it is asked for", partial(_check_begins, item, extension)
        yield (
            f"leaves no state behind after {extension}",
            partial(check_leaves_no_state, partial(_written, item, extension)),
        )
    for file in samples:
        yield f"reads {file.name}", partial(_check_sample, item, file)


def _frames() -> list[Frame]:
    ramp = np.linspace(0, 255, _WIDTH, dtype=np.uint8)[None, :, None].repeat(_HEIGHT, 0).repeat(3, 2)
    shades = (np.roll(ramp, 5 * number, 1) for number in range(_FRAMES))
    times = (Timing(time=number * _STEP, duration=_STEP) for number in range(_FRAMES))
    return [Frame(pixels=pixels, timing=timing) for pixels, timing in zip(shades, times, strict=True)]


def _written(item: Registered, extension: str) -> bytes:
    """Write a film of two parts."""
    assert item.create is not None
    writer = item.create(FilmPlan(width=_WIDTH, height=_HEIGHT, alpha=False, extension=extension), None)
    frames, parts = _frames(), [io.BytesIO(), io.BytesIO()]
    writer.part(iter(frames[:2]), parts[0])
    writer.part(iter(frames[2:]), parts[1])
    for part in parts:
        part.seek(0)
    result = io.BytesIO()
    writer.join(parts, [frame.timing for frame in frames], result)
    return result.getvalue()


def _opened(item: Registered, data: bytes) -> Film:
    film: Film | None = item.function(io.BytesIO(data), _allow)
    if film is None:
        raise PluginError(f"it takes a film of {_FRAMES} frames for a single picture")
    return film


def _allow(_width: int, _height: int) -> None:
    """Allow a size."""


def _check_reads(item: Registered, extension: str) -> None:
    film = _opened(item, _written(item, extension))
    read, meant = list(film.read()), _frames()
    must((film.width, film.height) == (_WIDTH, _HEIGHT), f"it reads {film.width} x {film.height}")
    must(len(read) == len(meant), f"of {len(meant)} frames it reads {len(read)}")
    times = [frame.timing.time - read[0].timing.time for frame in read]
    must(times == [frame.timing.time for frame in meant], f"its times are {', '.join(map(str, times))}")
    channels = 4 if film.alpha else 3
    must(all(frame.pixels.shape[2] == channels for frame in read), f"its frames have not {channels} channels")


def _check_repeats(item: Registered, extension: str) -> None:
    must(_written(item, extension) == _written(item, extension), "it writes the same frames to other bytes")


def _check_begins(item: Registered, extension: str) -> None:
    film = _opened(item, _written(item, extension))
    frames = list(film.read())
    rest = list(film.read(frames[2].timing.time))
    must(len(rest) == len(frames) - 2, f"of the last {len(frames) - 2} frames it reads {len(rest)}")
    must(np.array_equal(rest[0].pixels, frames[2].pixels), "it begins with another frame")


def _check_asks_first(item: Registered, extension: str) -> None:
    def refuse(width: int, height: int) -> None:
        raise PictureError(f"{width} x {height} is too large")

    try:
        _read_all(item.function, io.BytesIO(_written(item, extension)), refuse)
    except PictureError:
        return
    raise PluginError("it never asks check_size(width, height), so that limits.max_pixels would not hold")


def _check_refuses(item: Registered, data: bytes) -> None:
    try:
        _read_all(item.function, io.BytesIO(data), _allow)
    except PictureError:
        return
    raise PluginError("it takes a file that is no film for one; raise dreamd.api.PictureError")


def _check_sample(item: Registered, file: Path) -> None:
    with file.open("rb") as opened:
        _read_all(item.function, opened, _allow)


def _read_all(
    open_film: Callable[[BinaryIO, Callable[[int, int], None]], Film | None],
    file: BinaryIO,
    check_size: Callable[[int, int], None],
) -> None:
    film = open_film(file, check_size)
    for _ in film.read() if film is not None else ():
        pass

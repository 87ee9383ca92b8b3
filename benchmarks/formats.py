"""How long a large picture takes to be written in each format, and to be read and written as JPEG, in one run."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.filming import grainy
from benchmarks.plan import Plan
from benchmarks.report import Bar, Row, Table
from dreamd.pictures.formats import output_format
from dreamd.pictures.picture import Picture
from dreamd.pictures.writing import words_of_slow, write_picture

_WORDS = ("jpeg", "png", "webp", "tiff", "avif", "heic", "jpeg2000")

_BARRED = ("webp", "avif", "heic", "jpeg2000")
"""These formats pack as much as they can; the others are without loss."""

_TIMES = 3
"""A format may take so many times as long as JPEG, or it is said while it is written."""

_LONG = 10.0
"""What takes so many seconds is not done again."""

_QUALITY = 92


def run(plan: Plan) -> Iterator[Table]:
    """Write a picture of 24 megapixels, or of 5 in a hurry, in every format."""
    height, width = (2000, 2500) if plan.quick else (4000, 6000)
    picture = Picture(pixels=grainy(height, width), alpha=None, format="PNG")
    rounds = 1 if plan.quick else 3
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="dreamd-benchmark-") as name:
        for word in _WORDS:
            plan.say(f"{width}×{height} as {word}")
            kind, extension = output_format(word, "PNG")
            target = Path(name) / f"out{extension}"
            samples = [_seconds(picture, target, kind)]
            samples += [_seconds(picture, target, kind) for _ in range(rounds - 1) if samples[0] < _LONG]
            seconds = statistics.median(samples)
            rows.append(_row(word, kind, picture, seconds, rows[0].value if rows else seconds, target.stat().st_size))
    yield Table(
        benchmark="formats",
        title=f"{width}×{height} in 8 bit at quality {_QUALITY}, from memory to disk, cpu",
        unit="s",
        better="less",
        against="jpeg",
        rows=rows,
    )


def _seconds(picture: Picture, target: Path, kind: str) -> float:
    start = time.perf_counter()
    write_picture(picture, target, format=kind, quality=_QUALITY)
    return time.perf_counter() - start


def _row(word: str, kind: str, picture: Picture, seconds: float, jpeg: float, size: int) -> Row:
    is_quick, is_said = seconds <= _TIMES * jpeg, words_of_slow(kind, picture) is not None
    bar = Bar(words=f"at most {_TIMES} times jpeg, or said", met=is_quick or is_said) if word in _BARRED else None
    note = f"{size / 1_000_000:.1f} MB{', said while it is written' if is_said else ''}"
    return Row(what=word, value=seconds, ratio=jpeg / seconds, bar=bar, note=note)

"""What a decoder must keep."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dreamd.errors import PictureError, PluginError
from dreamd.pictures.reading import read_picture
from dreamd.plugin_host.host import Registered
from dreamd.plugin_tools.clauses.common import (
    Clause,
    check_leaves_no_state,
    must,
)

_MAX_PIXELS = 200_000_000
"""The largest picture that a decoder may decode in a check, in pixels."""

_MAX_BYTES = 512_000_000
"""The largest file that a decoder is given in a check, in bytes."""


def decoder_clauses(item: Registered, samples: Sequence[Path]) -> Iterator[Clause]:
    """Return what a decoder must keep, with sample files and without."""
    noise = np.random.default_rng(0).bytes(4096)

    def refuses_rubbish() -> None:
        rubbish = [noise, b"this is a text and no picture", b"II*\0" + noise, *(f.read_bytes()[:200] for f in samples)]
        for data in rubbish:
            _check_refuses(item.function, data)

    def decodes(file: Path) -> None:
        read_picture(file, max_pixels=_MAX_PIXELS, max_bytes=_MAX_BYTES, decode=item.function)

    def repeats(file: Path) -> None:
        first, second = (
            read_picture(file, max_pixels=_MAX_PIXELS, max_bytes=_MAX_BYTES, decode=item.function) for _ in range(2)
        )
        must(np.array_equal(first.pixels, second.pixels), "it decodes the same file to other pixels the second time")

    yield "refuses broken files with a PictureError", refuses_rubbish
    for file in samples:
        yield f"decodes {file.name}", partial(decodes, file)
        yield f"asks check_size before it decodes {file.name}", partial(_check_asks_first, item.function, file)
        yield f"decodes {file.name} the same each time", partial(repeats, file)
        yield f"leaves no state behind after {file.name}", partial(check_leaves_no_state, partial(decodes, file))


def _check_refuses(decode: Callable[..., Any], data: bytes) -> None:
    try:
        decode(io.BytesIO(data), lambda _width, _height: None)
    except PictureError:
        return
    raise PluginError("it takes a file that is no picture for one; raise dreamd.api.PictureError")


def _check_asks_first(decode: Callable[[BinaryIO, Callable[[int, int], None]], Any], file: Path) -> None:
    def refuse(width: int, height: int) -> None:
        raise PictureError(f"{width} x {height} is too large")

    try:
        with file.open("rb") as opened:
            decode(opened, refuse)
    except PictureError:
        return
    raise PluginError("it never asks check_size(width, height), so that limits.max_pixels would not hold")

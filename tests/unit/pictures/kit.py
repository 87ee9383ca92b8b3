"""What the tests of pictures share: reading with the usual limits, small pictures, and a bound on memory."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from dreamd.errors import PictureError
from dreamd.pictures.picture import Picture, in_bytes
from dreamd.pictures.reading import read_picture

Opened = Callable[..., Picture]
"""The fixture `opened`: `opened(data, name="picture", **limits)` reads bytes as a file."""

MAX_PIXELS = 200_000_000
MAX_BYTES = 512 * 2**20


def read(path: Path, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> Picture:
    """Read a picture as an ordinary screen shows it."""
    return in_bytes(read_deep(path, max_pixels=max_pixels, max_bytes=max_bytes))


def read_deep(path: Path, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> Picture:
    """Read a picture in its own depth."""
    return read_picture(path, max_pixels=max_pixels, max_bytes=max_bytes)


def outcome(path: Path, *, max_pixels: int = MAX_PIXELS) -> Picture | PictureError:
    try:
        return read(path, max_pixels=max_pixels)
    except PictureError as error:
        return error


@contextmanager
def no_more_memory_than(extra: int) -> Iterator[None]:
    """Whatever asks for more than `extra` bytes on top of what the process has gets a MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + extra, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def smooth(width: int = 64, height: int = 48) -> np.ndarray:
    """Ramps of red across and green down, a blue diagonal: easy on every lossy format."""
    across = np.linspace(0, 255, width)[None, :] + np.zeros((height, 1))
    down = np.linspace(0, 255, height)[:, None] + np.zeros((1, width))
    return np.stack([across, down, (across + down) / 2], axis=2).astype(np.uint8)


def picture(pixels: np.ndarray, **fields: object) -> Picture:
    defaults: dict[str, object] = {"alpha": None, "format": "PNG"}
    return Picture(pixels=pixels, **{**defaults, **fields})


def exif_with(tag: int, value: object) -> Image.Exif:
    exif = Image.Exif()
    exif[tag] = value
    return exif

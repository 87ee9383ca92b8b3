"""What the tests of pictures share: reading with the usual limits, small pictures, and a bound on memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
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


def memory_of_reading(path: Path) -> int:
    """The most bytes that reading a picture takes at once, in a process of its own with a single processor.

    What is resident counts. Address space says nothing of threads: each reserves 64 MB or more of it for what it may
    need, or none, by what the process did before.
    """
    script = f"from {__name__} import print_memory_of_reading; print_memory_of_reading({str(path)!r})"
    root = Path(__file__).parents[3]
    output = subprocess.run([sys.executable, "-c", script], cwd=root, check=True, stdout=subprocess.PIPE, timeout=60)
    return int(output.stdout)


def print_memory_of_reading(path: str) -> None:
    """Measure it in this process, which has read nothing before."""
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])  # each thread holds a band of its own
    before = _kilobytes("VmRSS")
    read(Path(path))
    print((_kilobytes("VmHWM") - before) * 1024)


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@contextmanager
def no_more_memory_than(extra: int) -> Iterator[None]:
    """Whatever asks for more than `extra` bytes on top of what the process has gets a MemoryError.

    It is for what starts no threads, as `memory_of_reading` says.
    """
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

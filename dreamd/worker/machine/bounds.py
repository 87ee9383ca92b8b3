"""Bounds: what a picture may cost, and what a worker's process may hold.

Knows bytes and pixels. Knows no pictures, no recipes and no devices.
"""

from __future__ import annotations

import resource
import threading
from dataclasses import dataclass
from pathlib import Path

_SPARE_SHARE = 1.25
_SPARE_BYTES = 1 << 30
"""A process maps more than it uses: stacks, arenas, a network's weights while they are read."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a picture may cost.

    Attributes:
        max_pixels: the most pixels, width times height.
        max_bytes: the most bytes of its file.
        max_pages: the most pages of a file, where all of them are dreamed.
        max_pages_pixels: the most pixels of these pages together.
        max_film_bytes: the most bytes of a film's file.
        max_frames: the most frames of a film.
        max_film_seconds: the longest film, in seconds of its own time.
        memory: the most bytes that the process may hold while it dreams.
        picture_folders: where the pictures may lie that recipes name; None for anywhere.
    """

    max_pixels: int
    max_bytes: int
    memory: int
    picture_folders: tuple[Path, ...] | None = None
    max_pages: int = 1000
    max_pages_pixels: int = 2_000_000_000
    max_film_bytes: int = 16_000_000_000
    max_frames: int = 200_000
    max_film_seconds: float = 7200.0


class Room:
    """Bounds the bytes of the pictures that are in the worker. A single one may be of any size, and is then alone."""

    def __init__(self, size: int) -> None:
        """Open a room for so many bytes."""
        self._size = size
        self._inside: dict[object, int] = {}
        self._changed = threading.Condition()

    def enter(self, who: object) -> None:
        """Wait until there is room, then come in with nothing yet."""
        with self._changed:
            self._changed.wait_for(lambda: not self._inside or sum(self._inside.values()) < self._size)
            self._inside[who] = 0

    def hold(self, who: object, size: int) -> None:
        """Say how many bytes somebody inside holds now."""
        with self._changed:
            self._inside[who] = size

    def leave(self, who: object) -> None:
        """Go, with all that was held."""
        with self._changed:
            self._inside.pop(who, None)
            self._changed.notify_all()


def limit_memory(memory: int) -> None:
    """Have the kernel refuse this process much more than `memory` bytes (setrlimit(2), RLIMIT_DATA).

    This is a backstop. Dreams are cut to fit by reckoning, but a decoder or a plugin may ask for anything, and had
    better get an error than have the machine swap.
    """
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    holds_now = 1024 * int(lines["VmData"].split()[0])
    most = holds_now + int(_SPARE_SHARE * memory) + _SPARE_BYTES
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard == resource.RLIM_INFINITY or most <= hard:
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))

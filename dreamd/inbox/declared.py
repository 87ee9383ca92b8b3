"""The size that a picture's first bytes declare, for PNG and JPEG. Reads bytes and decodes nothing."""

from __future__ import annotations

import struct
from pathlib import Path

_MOST_BYTES = 256 * 1024
"""The most bytes of a file that are looked at: a JPEG's size stands behind its descriptions."""

_NO_SIZE = frozenset({0xC4, 0xC8, 0xCC})
"""JPEG markers among those of frames that begin none: tables, and a reserved one (ITU-T T.81, table B.1)."""


def declared_size(file: Path) -> tuple[int, int] | None:
    """Return the width and height that a file declares; None where it is something else, or cannot be read."""
    try:
        with file.open("rb") as stream:
            head = stream.read(_MOST_BYTES)
    except OSError:
        return None
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:
        width, height = struct.unpack_from(">II", head, 16)
        return width, height
    return _size_of_jpeg(head) if head.startswith(b"\xff\xd8") else None


def _size_of_jpeg(head: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(head) and head[place] == 0xFF:
        marker, length = head[place + 1], int.from_bytes(head[place + 2 : place + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in _NO_SIZE:
            height, width = struct.unpack_from(">HH", head, place + 5)
            return width, height
        place += 2 + max(2, length)
    return None

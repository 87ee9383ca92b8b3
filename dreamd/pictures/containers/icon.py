"""ICO: the PNG inside, where the largest picture of an icon is one."""

from __future__ import annotations

import struct
from typing import BinaryIO

from dreamd.pictures.containers.png import MAGIC as PNG_MAGIC
from dreamd.pictures.containers.spliced import Range

MAGIC = b"\0\0\1\0"

_ENTRY_BYTES = 16


def png_inside(file: BinaryIO) -> Range | None:
    """Return where the largest picture of an icon is, if that is a PNG."""
    file.seek(len(MAGIC))
    (count,) = struct.unpack("<H", file.read(2).ljust(2, b"\0"))
    entries = file.read(_ENTRY_BYTES * count)
    largest, place = 0, None
    for at in range(0, len(entries) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
        width, height, _, _, _, depth, length, start = struct.unpack_from("<BBBBHHII", entries, at)
        size = (width or 256) * (height or 256) * 65_536 + depth
        if size > largest:
            largest, place = size, Range(start, length)
    if place is None:
        return None
    file.seek(place.start)
    return place if file.read(len(PNG_MAGIC)) == PNG_MAGIC else None

"""Other pictures in the file of a picture: how many there are, and what is said of them.

Sources: CIPA DC-007 (MPF, 5.2), ISO 21496-1 (gain maps).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from dreamd.pictures.containers.directory import Order, byte_order

MPF_MARK, ISO_GAIN_MAP_MARK = b"MPF\0", b"urn:iso:std:iso:ts:21496:-1\0"
"""Segments of a JPEG that tell of other pictures begin with these bytes."""

GAIN_MAP_NOTE = "its gain map for bright screens is left out: the result is its ordinary rendition"
"""This is said of a picture with a second picture that tells where it is brighter than paper."""

_ENTRIES = 0xB002
_ENTRY_BYTES = 16
_MOST_PICTURES = 4095
"""One segment holds no more entries."""

_KIND = 0xFFFFFF
"""The bits of an entry's first number that tell the kind of the picture."""

UNDEFINED_KIND = 0
"""This kind is given to any other picture: what many programs write, and gain maps too."""

_PARTS_OF_A_WHOLE = {0x020001, 0x020002, 0x020003}
"""These kinds of pictures are views like the first: of a panorama, of a pair for two eyes, of several angles."""


def other_pictures_note(number: str, what: str = "pictures") -> str:
    """Return what is said of a file with so many pictures, of which the first was dreamed."""
    return f"it holds {number} {what}: the first was dreamed"


@dataclass(frozen=True, slots=True)
class Listed:
    """A picture in a list of MPF.

    Attributes:
        kind: what it is: a view, a preview, or undefined.
        length: its bytes.
        offset: where it begins, counted from the list's beginning; of the first picture, 0 for the file's.
    """

    kind: int
    length: int
    offset: int

    @property
    def is_view(self) -> bool:
        """Whether it is a view like the first: of a panorama, of a pair for two eyes, of several angles."""
        return self.kind in _PARTS_OF_A_WHOLE


def listed_pictures(data: bytes) -> list[Listed]:
    """Return the pictures that a segment of MPF, without its mark, lists, the file's own first.

    Raises:
        ValueError, struct.error: it is broken.
    """
    order: Order = byte_order(data)
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    listed: list[Listed] = []
    for number in range(count):
        tag, _, length, place = struct.unpack_from(f"{order}HHII", data, start + 2 + 12 * number)
        if tag == _ENTRIES:
            for at in range(min(length // _ENTRY_BYTES, _MOST_PICTURES)):
                kind, size, offset = struct.unpack_from(f"{order}III", data, place + _ENTRY_BYTES * at)
                listed.append(Listed(kind & _KIND, size, offset))
    return listed

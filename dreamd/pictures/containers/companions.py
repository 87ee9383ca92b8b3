"""Other pictures in the file of a picture: how many there are, and what is said of them.

Sources: CIPA DC-007 (MPF, 5.2), ISO 21496-1 (gain maps).
"""

from __future__ import annotations

import struct

from dreamd.pictures.containers.directory import Order, byte_order

MPF_MARK, ISO_GAIN_MAP_MARK = b"MPF\0", b"urn:iso:std:iso:ts:21496:-1\0"
"""Segments of a JPEG that tell of other pictures begin with these bytes."""

GAIN_MAP_NOTE = "its gain map for bright screens is left out: the result is its ordinary rendition"
"""This is said of a picture with a second picture that tells where it is brighter than paper."""

_ENTRIES = 0xB002
_ENTRY_BYTES = 16
_MOST_PICTURES = 1000

_PARTS_OF_A_WHOLE = {0x020001, 0x020002, 0x020003}
"""These kinds of pictures are views like the first: of a panorama, of a pair for two eyes, of several angles."""


def other_pictures_note(number: int, what: str = "pictures") -> str:
    """Return what is said of a file with so many pictures, of which the first was dreamed."""
    return f"it holds {number} {what}: the first was dreamed"


def notes_of_mpf(data: bytes) -> tuple[str, ...]:
    """Return what a segment of MPF, without its mark, tells in words. Previews and gain maps are no pictures of it.

    Raises:
        ValueError, struct.error: it is broken.
    """
    order: Order = byte_order(data)
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    views = 0
    for number in range(count):
        tag, _, length, place = struct.unpack_from(f"{order}HHII", data, start + 2 + 12 * number)
        if tag == _ENTRIES:
            entries = min(length // _ENTRY_BYTES, _MOST_PICTURES)
            kinds = (struct.unpack_from(f"{order}I", data, place + _ENTRY_BYTES * at)[0] for at in range(entries))
            views = sum(kind & 0xFFFFFF in _PARTS_OF_A_WHOLE for kind in kinds)
    return (other_pictures_note(views),) if views > 1 else ()

"""A block of EXIF as its directories, and those as a block again.

Source: CIPA DC-008 (EXIF 2.32), 4.6: the main directory points to those of EXIF and GPS, and the one after it is of the
thumbnail.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field

from dreamd.pictures.containers.directory import (
    LONG,
    SHORT,
    Directory,
    Entry,
    Form,
    Order,
    block_bytes,
    byte_order,
    directory_bytes,
    read_directory,
)

EXIF, GPS = 0x8769, 0x8825
"""These tags point to the directories inside the main one."""

_MAKER_NOTE = 0x927C
_COMPRESSION, _THUMBNAIL, _THUMBNAIL_LENGTH, _JPEG = 0x0103, 0x0201, 0x0202, 6
_HEADER_BYTES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class ExifBlock:
    """EXIF, directory by directory.

    Attributes:
        order: the byte order of the values.
        main: what speaks of the picture as a whole.
        exif: how it was taken.
        gps: where it was taken.
        thumbnail: a small JPEG of the picture; b"" for none.
    """

    order: Order = "<"
    main: Directory = field(default_factory=dict)
    exif: Directory = field(default_factory=dict)
    gps: Directory = field(default_factory=dict)
    thumbnail: bytes = b""

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing."""
        return not (self.main or self.exif or self.gps)

    def block(self) -> bytes:
        """Return it as a TIFF structure; b"" when it says nothing."""
        if self.is_empty:
            return b""
        whole = block_bytes(self.main, {EXIF: self.exif, GPS: self.gps}, Form(self.order))
        if not self.thumbnail:
            return whole
        whole += b"\0" * (len(whole) % 2)
        pointers = bool(self.exif) + bool(self.gps)
        following = _HEADER_BYTES + 2 + 12 * (len(self.main) + pointers)
        first = _thumbnail_directory(self.order, len(whole), self.thumbnail)
        return whole[:following] + struct.pack(f"{self.order}I", len(whole)) + whole[following + 4 :] + first


def _thumbnail_directory(order: Order, start: int, thumbnail: bytes) -> bytes:
    """Return the directory of a thumbnail as it stands at an offset, and the thumbnail behind it."""

    def long(value: int) -> Entry:
        return Entry(LONG, struct.pack(f"{order}I", value))

    entries = {_COMPRESSION: Entry(SHORT, struct.pack(f"{order}H", _JPEG)), _THUMBNAIL_LENGTH: long(len(thumbnail))}
    length = len(directory_bytes({**entries, _THUMBNAIL: long(0)}, Form(order), start))
    return directory_bytes({**entries, _THUMBNAIL: long(start + length)}, Form(order), start) + thumbnail


def parsed_exif(block: bytes, *, longest: int) -> ExifBlock:
    """Return the directories of a block, without a maker note.

    Args:
        block: a TIFF structure; b"" for one that says nothing.
        longest: a longer value, in bytes, is left out.

    Raises:
        ValueError: it is broken.
    """
    if not block:
        return ExifBlock()
    order = byte_order(block)

    def read(offset: int) -> tuple[dict[int, Entry], int]:
        return read_directory(
            io.BytesIO(block),
            Form(order),
            offset,
            wanted=lambda tag: tag != _MAKER_NOTE,
            longest=longest,
            room=4 * longest,
        )

    main, following = read(int.from_bytes(block[4:8], "little" if order == "<" else "big"))
    pointers = {tag: main.pop(tag).numbers(order) for tag in (EXIF, GPS) if tag in main}
    exif, gps = (read(pointers[tag][0])[0] if pointers.get(tag) else {} for tag in (EXIF, GPS))
    return ExifBlock(
        order=order, main=main, exif=exif, gps=gps, thumbnail=_thumbnail(block, order, following, longest)
    )  # fmt: skip


def _thumbnail(block: bytes, order: Order, offset: int, longest: int) -> bytes:
    if not offset:
        return b""
    try:
        tags, _ = read_directory(
            io.BytesIO(block), Form(order), offset, wanted=lambda _: True, longest=longest, room=longest
        )  # fmt: skip
    except ValueError:
        return b""
    places = [tags[tag].numbers(order) for tag in (_THUMBNAIL, _THUMBNAIL_LENGTH) if tag in tags]
    if len(places) < 2 or not all(places):
        return b""
    (start, *_), (length, *_) = places
    return block[start : start + length]

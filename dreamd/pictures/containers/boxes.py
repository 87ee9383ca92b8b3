"""Boxes of AVIF: the colour space of its picture, and its EXIF as it was written.

Source: ISO/IEC 14496-12 (boxes, items) and 23008-12 (HEIF).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from dreamd.pictures.colours.spaces import ColourSpace, coded_space
from dreamd.pictures.containers.ancillary import EXIF_MARK, MAX_EXIF_BYTES, Ancillary
from dreamd.pictures.containers.companions import GAIN_MAP_NOTE
from dreamd.pictures.containers.spliced import Piece, Range, spliced
from dreamd.pictures.damage import left_out_when_broken
from dreamd.pictures.decoders.raster import DeepLayout

_MAX_META_BYTES = 4 << 20
"""The longest box of what is known about the items that is looked at, in bytes."""

_MAX_BOXES = 64
"""The number of boxes of a file that are looked at."""

_HIGH_BIT_DEPTH, _TWELVE_BIT = 0x40, 0x20
"""Bits of the third byte of av1C (AV1-ISOBMFF, 2.3.3)."""

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}

_CODED_KINDS = {b"av01", b"grid"}
"""Items of these kinds are pictures of AVIF, or parts of one."""

_GAIN_MAP_BRAND = b"tmap"
"""A file whose pictures together make one for bright screens says that it is of this kind (ISO 21496-1)."""

_BRANDS_BYTES = 256

_FULL_BOX_BYTES = 4
"""A version and flags stand before the content of some boxes."""


def read_boxes(file: BinaryIO, name: str) -> tuple[BinaryIO, Ancillary]:
    """Read what an AVIF says about its picture in boxes that its decoder does not tell, or refuses when it is broken.

    Args:
        file: the AVIF.
        name: its name, printable, for the log.

    Returns:
        What a decoder may see of it, which is all but the EXIF, and the EXIF and the colour space.
    """
    end = file.seek(0, os.SEEK_END)
    space, exif = None, b""
    pieces: list[Piece] = [Range(0, end)]
    with left_out_when_broken("description", name):
        start, meta = _meta(file)
        space = _space(meta)
        if item := _exif_item(_box(meta, b"iinf")):
            at = start + meta.index(item.info) + item.type_offset
            pieces = [Range(0, at), b"free", Range(at + 4, end - at - 4)]
            exif = _exif(file, meta, item)
    file.seek(0)
    notes = (GAIN_MAP_NOTE,) if has_gain_map(file.read(_BRANDS_BYTES)) else ()
    return spliced(file, pieces), Ancillary(exif=exif, space=space, notes=notes)


def deep_layout(file: BinaryIO) -> DeepLayout | None:
    """Return how an AVIF of more than 8 bit is decoded; None where it has 8, or does not say."""
    _, meta = _meta(file)
    for kind, content in _boxes(_box(_box(meta, b"iprp"), b"ipco")):
        if kind == b"av1C" and len(content) >= 4 and content[2] & _HIGH_BIT_DEPTH:
            return DeepLayout(kind="AVIF", bits=12 if content[2] & _TWELVE_BIT else 10)
    return None


def may_hold_several(file: BinaryIO) -> bool:
    """Tell whether an AVIF has several coded items: pictures of a collection, or one with an alpha channel."""
    _, meta = _meta(file)
    return sum(kind in _CODED_KINDS for kind, _ in _items(_box(meta, b"iinf"))) > 1


def check_whole(file: BinaryIO) -> None:
    """Raise ValueError when a part of any item lies behind the end of the file: decoders make do with what is there."""
    end = file.seek(0, os.SEEK_END)
    _, meta = _meta(file)
    for _, is_inside, start, length in _extents(_box(meta, b"iloc")):
        if not is_inside and start + length > end:
            raise ValueError("it is truncated: a part of the picture lies behind the end of the file")


def is_heic(head: bytes) -> bool:
    """Tell by the first bytes of a file of boxes whether a codec of HEIC packs its picture, and not AVIF's."""
    brands = _brands(head)
    return head[4:8] == b"ftyp" and not brands & _AVIF_BRANDS and bool(brands & _HEIC_BRANDS)


def has_gain_map(head: bytes) -> bool:
    """Tell by the first bytes of a file of boxes whether its pictures together make one for bright screens."""
    return _GAIN_MAP_BRAND in _brands(head)


def _brands(head: bytes) -> set[bytes]:
    """Return the kinds that a file of boxes says that it is, by its first bytes."""
    length = int.from_bytes(head[:4], "big")
    return {head[8:12], *(head[at : at + 4] for at in range(16, min(length, len(head)), 4))}


def _meta(file: BinaryIO) -> tuple[int, bytes]:
    """Return where the content of the box of what is known about the items begins, and that content."""
    at = 0
    for _ in range(_MAX_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            break
        size, kind = struct.unpack_from(">I4s", head)
        start = 8
        if size == 1:
            (size,), start = struct.unpack_from(">Q", head, 8), 16
        if kind == b"meta" and size <= _MAX_META_BYTES:
            content = at + start + _FULL_BOX_BYTES
            file.seek(content)
            return content, file.read(max(0, at + size - content))
        if size < 8:
            break
        at += size
    return 0, b""


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        size = size or len(data) - at
        if size < 8:
            return
        yield kind, data[at + 8 : at + size]
        at += size


def _box(data: bytes, kind: bytes) -> bytes:
    return next((content for other, content in _boxes(data) if other == kind), b"")


def _space(meta: bytes) -> ColourSpace | None:
    for kind, content in _boxes(_box(_box(meta, b"iprp"), b"ipco")):
        if kind == b"colr" and content.startswith(b"nclx"):
            primaries, transfer = struct.unpack_from(">HH", content, 4)
            return coded_space(primaries, transfer)
    return None


@dataclass(frozen=True, slots=True)
class _Reader:
    """Takes whole numbers from bytes, one after another."""

    data: bytes
    places: list[int]

    def number(self, size: int) -> int:
        at = self.places[0]
        if at + size > len(self.data):
            raise ValueError("a box is cut off")
        self.places[0] = at + size
        return int.from_bytes(self.data[at : at + size], "big")


@dataclass(frozen=True, slots=True)
class _Item:
    """The item that is EXIF.

    Attributes:
        number: by which its place is told.
        info: the content of its box of information.
        type_offset: where its type stands in that.
    """

    number: int
    info: bytes
    type_offset: int


def _exif_item(infos: bytes) -> _Item | None:
    return next((item for kind, item in _items(infos) if kind == b"Exif"), None)


def _items(infos: bytes) -> Iterator[tuple[bytes, _Item]]:
    """Yield the kind of each item, and what tells it."""
    if not infos:
        return
    for kind, content in _boxes(infos[6 if infos[0] == 0 else 8 :]):
        size = {2: 2, 3: 4}.get(content[0]) if kind == b"infe" and content else None
        if size:
            number, at = int.from_bytes(content[4 : 4 + size], "big"), 4 + size + 2
            yield content[at : at + 4], _Item(number, content, at)


def _exif(file: BinaryIO, meta: bytes, item: _Item) -> bytes:
    """Return the TIFF structure of the item that is EXIF."""
    data = b""
    for number, is_inside, start, length in _extents(_box(meta, b"iloc")):
        if number != item.number:
            continue
        if length > MAX_EXIF_BYTES - len(data):
            raise ValueError(f"EXIF of {length} bytes is too long")
        if is_inside:
            data += _box(meta, b"idat")[start : start + length]
        else:
            file.seek(start)
            data += file.read(length)
    skipped = int.from_bytes(data[:4], "big")
    return data[4 + skipped :].removeprefix(EXIF_MARK)


def _extents(locations: bytes) -> Iterator[tuple[int, bool, int, int]]:
    """Yield the item of each extent, whether it lies inside the box of items, where it starts, and its length."""
    if not locations:
        return
    reader = _Reader(locations, [4])
    version, sizes, more = locations[0], reader.number(1), reader.number(1)
    offset_size, length_size, base_size, index_size = sizes >> 4, sizes & 15, more >> 4, more & 15
    for _ in range(reader.number(2 if version < 2 else 4)):
        number = reader.number(2 if version < 2 else 4)
        method = reader.number(2) & 15 if version else 0
        reader.number(2)
        base = reader.number(base_size)
        for _ in range(reader.number(2)):
            if version and index_size:
                reader.number(index_size)
            start = base + reader.number(offset_size)
            length = reader.number(length_size)
            yield number, method == 1, start, length

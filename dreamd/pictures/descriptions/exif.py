"""EXIF: which way is up, which colour space a camera meant, and what of it is true of the result too.

Source: CIPA DC-008 (EXIF 2.32), DC-010 (DCF 2.0, where R03 stands for Adobe RGB). Values keep their bytes, so that a
name in any encoding comes out as it went in.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

from dreamd.pictures.containers.ancillary import EXIF_MARK
from dreamd.pictures.containers.directory import (
    POINTER,
    Directory,
    Entry,
    Form,
    Order,
    block_bytes,
    byte_order,
    read_directory,
)
from dreamd.pictures.damage import left_out_when_broken
from dreamd.pictures.descriptions.exif_block import parsed_exif

MAX_KEPT_BYTES = 65_527
"""One segment of a JPEG holds so many bytes of EXIF, beside the mark in front of them."""

_ORIENTATION, _EXIF, _GPS, _INTEROPERABILITY = 0x0112, 0x8769, 0x8825, 0xA005
_COLOUR_SPACE, _GAMMA, _INTEROPERABILITY_INDEX = 0xA001, 0xA500, 0x0001
_SRGB, _ADOBE_RGB = 1, 2
_ACROSS, _DOWN, _UNIT, _INCH, _CENTIMETRE = 0x011A, 0x011B, 0x0128, 2, 3
_CENTIMETRES_AN_INCH = 2.54

_KEPT_TAGS = {
    *(0x010D, 0x010E, 0x010F, 0x0110),  # DocumentName, ImageDescription, Make, Model
    *(0x0131, 0x0132, 0x013B, 0x013C, 0x8298),  # Software, DateTime, Artist, HostComputer, Copyright
    *(0x4746, 0x4749),  # Rating, RatingPercent
    *(0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F),  # XPTitle, XPComment, XPAuthor, XPKeywords, XPSubject
}
"""These tags of the main directory speak of the picture; a TIFF's holds its strips and compression as well."""

_DROPPED_TAGS = {
    *(0xA002, 0xA003),  # the width and height before it was dreamed
    *(0x927C, _INTEROPERABILITY),  # the maker note and a pointer, full of offsets into the old file
    *(_EXIF, _GPS, _ORIENTATION),  # none belongs this deep
    *(_COLOUR_SPACE, _GAMMA),  # the pixels are sRGB now
}
"""These tags of the inner directories are true of the old file only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exif:
    """What EXIF says.

    Attributes:
        orientation: 1 to 8; None when it does not say.
        is_adobe_rgb: whether the camera wrote Adobe RGB.
        dpi: dots per inch, across and down; None when it does not say.
        kept: what is true of the result too, as a TIFF structure; b"" for nothing.
        has_thumbnail: whether it holds a small copy of the picture.
    """

    orientation: int | None = None
    is_adobe_rgb: bool = False
    dpi: tuple[float, float] | None = None
    kept: bytes = b""
    has_thumbnail: bool = False


def read_exif(block: bytes, name: str) -> Exif:
    """Read EXIF; what is broken of it is logged and left out.

    Args:
        block: a TIFF structure, with or without the mark in front of it; b"" when there is none.
        name: the picture's file name, printable.
    """
    block = block.removeprefix(EXIF_MARK)
    if not block:
        return Exif()
    with left_out_when_broken("EXIF", name):
        order = byte_order(block)
        main = _directory(block, order, int.from_bytes(block[4:8], "little" if order == "<" else "big"))
        exif, gps = (_inner(block, order, main, tag, name) for tag in (_EXIF, _GPS))
        return Exif(
            orientation=_orientation(main, order),
            is_adobe_rgb=_is_adobe_rgb(block, order, exif, name),
            dpi=_dpi(main, order, name),
            kept=_kept(main, exif, gps, order),
            has_thumbnail=_has_thumbnail(block, name),
        )
    return Exif()


def _has_thumbnail(block: bytes, name: str) -> bool:
    with left_out_when_broken("EXIF thumbnail", name):
        return bool(parsed_exif(block, longest=MAX_KEPT_BYTES).thumbnail)
    return False


def _directory(block: bytes, order: Order, offset: int) -> dict[int, Entry]:
    def wanted(tag: int) -> bool:
        return tag != 0x927C

    limit = MAX_KEPT_BYTES
    return read_directory(io.BytesIO(block), Form(order), offset, wanted=wanted, longest=limit, room=4 * limit)[0]


def _inner(block: bytes, order: Order, outer: Directory, tag: int, name: str) -> dict[int, Entry]:
    with left_out_when_broken("EXIF", name):
        if tag in outer and (offsets := outer[tag].numbers(order)):
            return _directory(block, order, offsets[0])
    return {}


def _orientation(main: Directory, order: Order) -> int | None:
    numbers = main[_ORIENTATION].numbers(order) if _ORIENTATION in main else ()
    return numbers[0] if numbers and 1 <= numbers[0] <= 8 else None


def _is_adobe_rgb(block: bytes, order: Order, exif: Directory, name: str) -> bool:
    space = (*exif[_COLOUR_SPACE].numbers(order), 0)[0] if _COLOUR_SPACE in exif else 0
    if space in (_SRGB, _ADOBE_RGB):
        return space == _ADOBE_RGB
    index = _inner(block, order, exif, _INTEROPERABILITY, name).get(_INTEROPERABILITY_INDEX)
    return index is not None and index.data.startswith(b"R03")


def _dpi(main: Directory, order: Order, name: str) -> tuple[float, float] | None:
    with left_out_when_broken("EXIF resolution", name):
        if _ACROSS in main and _DOWN in main:
            unit = (*main[_UNIT].numbers(order), _INCH)[0] if _UNIT in main else _INCH
            scale = _CENTIMETRES_AN_INCH if unit == _CENTIMETRE else 1.0
            return main[_ACROSS].ratios(order)[0] * scale, main[_DOWN].ratios(order)[0] * scale
    return None


def _kept(main: Directory, exif: Directory, gps: Directory, order: Order) -> bytes:
    """Return what is kept; when that is too long, the longest values go first."""
    parts: dict[int, dict[int, Entry]] = {
        0: {tag: entry for tag, entry in main.items() if tag in _KEPT_TAGS},
        _EXIF: _without_pointers(exif),
        _GPS: _without_pointers(gps),
    }
    if not any(parts.values()):
        return b""
    while True:
        block = block_bytes(parts[0], {_EXIF: parts[_EXIF], _GPS: parts[_GPS]}, Form(order))
        if len(block) <= MAX_KEPT_BYTES:
            return block
        part, tag = max(
            ((part, tag) for part, entries in parts.items() for tag in entries),
            key=lambda place: len(parts[place[0]][place[1]].data),
        )
        del parts[part][tag]


def _without_pointers(directory: Directory) -> dict[int, Entry]:
    return {tag: entry for tag, entry in directory.items() if tag not in _DROPPED_TAGS and entry.kind != POINTER}


def without_orientation(block: bytes) -> bytes:
    """Return EXIF that does not say which way is up, as in formats with a box that does; b"" stays that."""
    old = parsed_exif(block, longest=MAX_KEPT_BYTES)
    return replace(old, main={tag: entry for tag, entry in old.main.items() if tag != _ORIENTATION}).block()


def exif_with_texts(block: bytes, texts: dict[int, Entry]) -> bytes:
    """Return EXIF with these values in its inner directory or, where the tag is kept there, in its main one.

    Args:
        block: what `read_exif` kept; b"" for nothing.
        texts: values by their tags; those that the EXIF has stay as they are.
    """
    old = parsed_exif(block, longest=MAX_KEPT_BYTES)
    main, exif = dict(old.main), dict(old.exif)
    for tag, entry in texts.items():
        (main if tag in _KEPT_TAGS else exif).setdefault(tag, entry)
    whole = replace(old, main=main, exif=exif).block()
    return whole if len(whole) <= MAX_KEPT_BYTES else block

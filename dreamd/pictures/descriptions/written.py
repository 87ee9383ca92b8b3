"""How each format that is written holds a description.

Source: Adobe XMP part 3 (where XMP is embedded), PNG third edition, TIFF 6.0. A text that a format has no place for
goes into the EXIF tag of the same meaning, or is left out and logged.
"""

from __future__ import annotations

import io
import logging
import struct
import zlib
from collections.abc import Sequence

from PIL.PngImagePlugin import PngInfo

from dreamd.pictures.containers.ancillary import EXIF_MARK, Text
from dreamd.pictures.containers.directory import (
    ASCII,
    SIZE_OF_KIND,
    UNDEFINED,
    Directory,
    Entry,
    Form,
    Order,
    block_bytes,
    byte_order,
    read_directory,
)
from dreamd.pictures.containers.jpeg import XMP_MARK
from dreamd.pictures.containers.photoshop import IDENTIFIER as PHOTOSHOP_MARK
from dreamd.pictures.containers.photoshop import resources_with
from dreamd.pictures.containers.tiff import EXIF_TAG, GPS_TAG, IPTC_TAG, PROFILE_TAG, XMP_TAG
from dreamd.pictures.descriptions.description import Description
from dreamd.pictures.descriptions.exif import exif_with_texts, without_orientation
from dreamd.wording import printable

log = logging.getLogger(__name__)

_SEGMENT_BYTES = 65_533
"""A segment of a JPEG holds so many bytes."""

_APP1, _APP13, _COMMENT = b"\xff\xe1", b"\xff\xed", b"\xff\xfe"

_USER_COMMENT, _TITLE = 0x9286, 0x9C9B

_TAG_OF_KEYWORD = {
    "Author": 0x013B,
    "Artist": 0x013B,
    "Description": 0x010E,
    "Copyright": 0x8298,
    "Software": 0x0131,
    "Title": _TITLE,
    "Comment": _USER_COMMENT,
    "UserComment": _USER_COMMENT,
    "parameters": _USER_COMMENT,
}
"""A PNG's keyword leads to the EXIF tag of the same meaning; the last is where picture generators put it in JPEGs."""

_HEX_COLUMNS = 72
_WITH_EXIF = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF")
_LONGEST_VALUE = 1 << 30


def described_for(picture_format: str, description: Description, name: str) -> dict[str, object]:
    """Return Pillow's options that write a description into a format.

    Args:
        picture_format: Pillow's name of the format.
        description: what to write.
        name: the result's file name, printable, for the log.
    """
    if picture_format == "PNG":
        return _for_png(description)
    texts, exif = description.texts, description.exif
    options: dict[str, object] = {}
    if picture_format == "JPEG":
        comments = [text for text in texts if text.keyword == "Comment"]
        texts = tuple(text for text in texts if text.keyword != "Comment")
        options["extra"] = _segments(description, comments)
    elif picture_format in ("GIF", "JPEG2000") and texts and texts[0].keyword == "Comment":
        options["comment"] = texts[0].text.encode("utf-8", "surrogateescape")
        texts = texts[1:]
    if picture_format in _WITH_EXIF:
        exif, texts = _with_texts(exif, texts)
    if picture_format == "AVIF":  # of an EXIF with one Pillow makes another, with other encodings
        exif = without_orientation(exif)
    if picture_format in ("JPEG", "WEBP", "AVIF", "HEIF") and exif:
        options["exif"] = EXIF_MARK + exif
    if picture_format in ("WEBP", "AVIF", "HEIF") and description.xmp:
        options["xmp"] = description.xmp
    _log_lost(picture_format, description, texts, name)
    return options


def _log_lost(picture_format: str, description: Description, texts: Sequence[Text], name: str) -> None:
    lost = [printable(text.keyword[:40]) for text in texts]
    if description.iptc and picture_format not in ("JPEG", "TIFF"):
        lost.append("IPTC")
    if picture_format not in _WITH_EXIF:
        lost += [word for word, block in (("EXIF", description.exif), ("XMP", description.xmp)) if block]
    if lost:
        log.info("%s: %s has no place for %s", name, picture_format, ", ".join(lost))


# ---- PNG


def _for_png(description: Description) -> dict[str, object]:
    info = PngInfo()
    if description.xmp:
        info.add(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + description.xmp)
    if description.iptc:
        info.add(b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(_in_hex(resources_with(description.iptc))))
    for text in description.texts:
        if text.chunk is not None:
            info.add(*text.chunk)
        else:
            info.add(b"iTXt", text.keyword.encode("latin-1", "replace") + b"\0\0\0\0\0" + _encoded(text))
    options: dict[str, object] = {"pnginfo": info}
    if description.exif:
        options["exif"] = description.exif
    return options


def png_chunks(description: Description) -> list[tuple[bytes, bytes]]:
    """Return the chunks of a PNG that hold a description, each by its kind and its data."""
    options = _for_png(description)
    info, exif = options["pnginfo"], options.get("exif")
    assert isinstance(info, PngInfo)
    chunks = [(kind, data) for kind, data, *_ in info.chunks]
    return [*chunks, (b"eXIf", exif)] if isinstance(exif, bytes) else chunks


def _in_hex(profile: bytes) -> bytes:
    digits = profile.hex()
    lines = [digits[at : at + _HEX_COLUMNS] for at in range(0, len(digits), _HEX_COLUMNS)]
    return f"\niptc\n{len(profile):8}\n{chr(10).join(lines)}\n".encode()


def _encoded(text: Text) -> bytes:
    return text.text.encode("utf-8", "surrogateescape")


# ---- JPEG


def _segments(description: Description, comments: Sequence[Text]) -> bytes:
    parts = [(_COMMENT, _encoded(comment)) for comment in comments]
    if description.xmp:
        parts.append((_APP1, XMP_MARK + description.xmp))
    if description.iptc:
        parts.append((_APP13, PHOTOSHOP_MARK + resources_with(description.iptc)))
    whole = b""
    for mark, data in parts:
        if len(data) <= _SEGMENT_BYTES:
            whole += mark + struct.pack(">H", len(data) + 2) + data
        else:
            log.warning("%d bytes of a description are too long for a JPEG and left out", len(data))
    return whole


def _with_texts(exif: bytes, texts: Sequence[Text]) -> tuple[bytes, tuple[Text, ...]]:
    """Return EXIF with the texts that it has a tag for, and the other texts."""
    values: dict[int, Entry] = {}
    others = []
    order: Order = byte_order(exif) if exif else "<"
    for text in texts:
        tag = _TAG_OF_KEYWORD.get(text.keyword)
        if tag is None or tag in values:
            others.append(text)
        else:
            values[tag] = _value(tag, text.text, order)
    return (exif_with_texts(exif, values) if values else exif), tuple(others)


def _value(tag: int, text: str, order: Order) -> Entry:
    if tag == _TITLE:
        return Entry(1, text.encode("utf-16-le", "replace") + b"\0\0")
    if tag == _USER_COMMENT:
        return Entry(UNDEFINED, b"UNICODE\0" + text.encode("utf-16-le" if order == "<" else "utf-16-be", "replace"))
    return Entry(ASCII, text.encode("utf-8", "surrogateescape") + b"\0")


# ---- TIFF


def describe_tiff(file: io.BytesIO, description: Description, *, profile: bytes = b"") -> None:
    """Write a description into a TIFF of one page: a new directory at its end, with all that the old one says.

    libtiff, which Pillow writes TIFF with, refuses some cameras' EXIF as a whole and makes other texts of texts.
    """
    exif, _others = _with_texts(description.exif, description.texts)
    if not exif and not description.xmp and not description.iptc and not profile:
        return
    file.seek(0)
    header = file.read(8)
    order = byte_order(header)
    at = struct.unpack(f"{order}I", header[4:])[0]
    main = dict(_everything(file, order, at))
    inner: dict[int, Directory] = {EXIF_TAG: {}, GPS_TAG: {}}
    if exif:
        block = io.BytesIO(exif)
        old = byte_order(exif)
        told = dict(_everything(block, old, struct.unpack(f"{old}I", exif[4:8])[0]))
        for tag in inner:
            if pointer := told.pop(tag, None):
                entries = _everything(block, old, pointer.numbers(old)[0])
                inner[tag] = {number: _in_order(entry, old, order) for number, entry in entries.items()}
        main |= {tag: _in_order(entry, old, order) for tag, entry in told.items()}
    if description.xmp:
        main[XMP_TAG] = Entry(1, description.xmp)
    if description.iptc:
        main[IPTC_TAG] = Entry(UNDEFINED, description.iptc)
    if profile:
        main[PROFILE_TAG] = Entry(UNDEFINED, profile)
    end = file.seek(0, io.SEEK_END)
    end += file.write(b"\0" * (end % 2))
    file.write(block_bytes(main, inner, Form(order), end))
    file.seek(4)
    file.write(struct.pack(f"{order}I", end))
    file.seek(0, io.SEEK_END)


def _everything(file: io.BytesIO, order: Order, offset: int) -> Directory:
    limit = _LONGEST_VALUE
    return read_directory(file, Form(order), offset, wanted=lambda _: True, longest=limit, room=limit)[0]


def _in_order(entry: Entry, old: Order, new: Order) -> Entry:
    """Return a value in another byte order."""
    size = SIZE_OF_KIND[entry.kind]
    if old == new or size == 1:
        return entry
    if entry.kind in (5, 10):
        size = 4  # a fraction is two numbers
    data = b"".join(entry.data[at : at + size][::-1] for at in range(0, len(entry.data), size))
    return Entry(entry.kind, data)

"""Whether a picture's bytes are all there, as far as its own structure tells. Decodes nothing.

Most formats say in their first bytes how many must follow, or end with a mark of their own. Such a file that is still
being copied is known to be cut short, however long nothing more comes.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from dreamd.inbox.wholeness.file_bytes import BeyondTheEndError, FileBytes, TooMuchError
from dreamd.inbox.wholeness.tiff_directories import TiffReader

if TYPE_CHECKING:
    from collections.abc import Callable

_HEAD_BYTES = 16
"""The number of bytes that tell the kind of a file. Where all are zero, they were reserved and not yet written."""


class Wholeness(Enum):
    """What a file's bytes say of themselves."""

    WHOLE = auto()
    """They begin as a picture and end as it must."""

    CUT_SHORT = auto()
    """There are none, or they begin as a picture whose end is not there."""

    UNKNOWN = auto()
    """They do not say, or more follows where the picture has ended."""


def judge(descriptor: int, size: int) -> Wholeness:
    """Return what the bytes of an open file say of themselves.

    Args:
        descriptor: opened for reading.
        size: how many bytes the file has.

    Raises:
        OSError: it cannot be read.
    """
    if size == 0:
        return Wholeness.CUT_SHORT
    file = FileBytes(descriptor, size)
    head = file.read(0, min(size, _HEAD_BYTES))
    if not any(head):
        return Wholeness.CUT_SHORT
    for kind in _KINDS:
        if head.startswith(kind.magic, kind.offset):
            return _judge_as(kind, file)
        if size < len(kind.magic) and kind.offset == 0 and kind.magic.startswith(head):
            return Wholeness.CUT_SHORT
    return Wholeness.UNKNOWN


def _judge_as(kind: _Kind, file: FileBytes) -> Wholeness:
    try:
        return kind.judge(file)
    except BeyondTheEndError:
        return Wholeness.CUT_SHORT
    except TooMuchError:
        return Wholeness.UNKNOWN


def _compare(announced: int, size: int) -> Wholeness:
    """Return what a size says that the file itself announces."""
    if announced > size:
        return Wholeness.CUT_SHORT
    return Wholeness.WHOLE if announced == size else Wholeness.UNKNOWN


def _jpeg(file: FileBytes) -> Wholeness:
    """ITU T.81, B.1.1: segments with their lengths up to the first scan, in which no end mark can occur but the end."""
    offset = 2
    while (marker := file.read(offset, 2)) != b"\xff\xda":
        if marker[0] != 0xFF:
            return Wholeness.CUT_SHORT
        if marker[1] == 0xFF:  # filling
            offset += 1
        elif marker[1] == 0x01 or 0xD0 <= marker[1] <= 0xD8:  # these stand alone
            offset += 2
        else:
            offset += 2 + max(2, file.number(offset + 2, ">H"))
    if file.ends_with(b"\xff\xd9"):
        return Wholeness.WHOLE
    # Cameras put films and notes behind the end.
    return Wholeness.UNKNOWN if file.holds(b"\xff\xd9", offset) else Wholeness.CUT_SHORT


def _png(file: FileBytes) -> Wholeness:
    """PNG specification, 5.3: chunks with their lengths up to IEND."""
    if file.ends_with(b"\0\0\0\0IEND\xaeB`\x82"):
        return Wholeness.WHOLE
    offset = 8
    while (kind := file.read(offset + 4, 4)) != b"IEND":
        if not kind.isalpha():
            return Wholeness.CUT_SHORT
        offset += 12 + file.number(offset, ">I")
    return _compare(offset + 12, file.size)


def _gif(file: FileBytes) -> Wholeness:
    """GIF89a specification: blocks of sub-blocks with their lengths, up to the trailer."""
    offset = 13 + _gif_table_bytes(file.number(10, "B"))
    while (kind := file.read(offset, 1)) != b";":
        if kind == b",":
            offset += 11 + _gif_table_bytes(file.number(offset + 9, "B"))
        elif kind == b"!":
            offset += 2
        else:
            return Wholeness.CUT_SHORT
        while length := file.number(offset, "B"):
            offset += 1 + length
        offset += 1
    return _compare(offset + 1, file.size)


def _gif_table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _riff(file: FileBytes) -> Wholeness:
    """RIFF, of which WebP is one: the length of all that follows the first eight bytes."""
    return _compare(8 + file.number(4, "<I"), file.size)


def _bmp(file: FileBytes) -> Wholeness:
    """BITMAPFILEHEADER, bfSize: the length of the file, which some programs leave out."""
    announced = file.number(2, "<I")
    return _compare(announced, file.size) if announced else Wholeness.UNKNOWN


def _boxes(file: FileBytes) -> Wholeness:
    """ISO/IEC 14496-12, 4.2: boxes with their lengths. HEIC, AVIF, JPEG 2000, JPEG XL and films are made of them."""
    offset, kind, kinds = 0, b"", set()
    while offset < file.size:
        length, kind = file.number(offset, ">I"), file.read(offset + 4, 4)
        kinds.add(kind)
        if length == 1:
            length = file.number(offset + 8, ">Q")
        if 0 < length < 8:
            return Wholeness.CUT_SHORT
        offset += length or file.size - offset  # 0: it lasts to the end of the file, wherever that is
    if offset > file.size or not kinds & {b"mdat", b"jp2c", b"jxlc", b"jxlp"}:
        return Wholeness.CUT_SHORT
    if b"mdat" in kinds and not kinds & {b"moov", b"meta"}:  # a camera writes a film's table of contents last
        return Wholeness.CUT_SHORT
    return _jpeg2000(file) if kind == b"jp2c" else Wholeness.UNKNOWN


def _matroska(file: FileBytes) -> Wholeness:
    """RFC 8794 and 9559: a head, and a segment that holds all else, each with its length; live ones say none."""
    end = 0
    for _ in range(2):
        end += _vint_bytes(file, end)
        width = _vint_bytes(file, end)
        length = int.from_bytes(file.read(end, width)) & ((1 << 7 * width) - 1)
        end += width
        if length == (1 << 7 * width) - 1:
            return Wholeness.UNKNOWN
        end += length
    return _compare(end, file.size)


def _vint_bytes(file: FileBytes, offset: int) -> int:
    """Return how many bytes a number of Matroska's has, by the zeros that it begins with."""
    return 9 - max(1, file.number(offset, "B").bit_length())


def _jpeg2000(file: FileBytes) -> Wholeness:
    """ITU T.800, A.4.4: the codestream ends with a mark."""
    return Wholeness.WHOLE if file.ends_with(b"\xff\xd9") else Wholeness.CUT_SHORT


def _qoi(file: FileBytes) -> Wholeness:
    """QOI specification: seven bytes of zero and a one end it."""
    return Wholeness.WHOLE if file.ends_with(b"\0\0\0\0\0\0\0\1") else Wholeness.CUT_SHORT


def _ico(file: FileBytes) -> Wholeness:
    """ICONDIR: the length and the place of each picture."""
    entries = [6 + 16 * number for number in range(file.number(4, "<H"))]
    ends = [file.number(entry + 8, "<I") + file.number(entry + 12, "<I") for entry in entries]
    return _compare(max(ends), file.size) if ends else Wholeness.UNKNOWN


_PNM_HEAD = re.compile(rb"P([456])" + 2 * rb"(?:\s|#[^\n]*\n)+(\d{1,9})" + rb"(?:(?:\s|#[^\n]*\n)+(\d{1,5}))?\s")


def _pnm(file: FileBytes) -> Wholeness:
    """Netpbm's binary formats: the size stands in the head, in digits. The bitmap has no greatest value."""
    head = _PNM_HEAD.match(file.read(0, min(file.size, 512)))
    if head is None:
        return Wholeness.UNKNOWN
    width, height, greatest = int(head[2]), int(head[3]), int(head[4] or 0)
    if head[1] == b"4":
        return _compare(head.end(3) + 1 + (width + 7) // 8 * height, file.size)
    samples = width * height * (3 if head[1] == b"6" else 1)
    return _compare(head.end() + samples * (2 if greatest > 255 else 1), file.size)


def _tiff(file: FileBytes) -> Wholeness:
    """TIFF 6.0, section 2, and BigTIFF: directories, the strips and tiles that they name, and those below them."""
    reader = TiffReader(file)
    directories, seen = [reader.first_directory()], set[int]()
    while directories:
        place = directories.pop()
        if place in seen:
            continue
        seen.add(place)
        if place == 0:  # its place is written last
            return Wholeness.CUT_SHORT
        fields, following = reader.directory(place)
        for offsets, counts in ((273, 279), (324, 325)):
            for start, count in zip(fields.get(offsets, ()), fields.get(counts, ()), strict=False):
                if start + count > file.size:
                    return Wholeness.CUT_SHORT
        directories += [*fields.get(330, ()), *([following] if following else [])]
    return Wholeness.UNKNOWN


class _Kind(NamedTuple):
    """A kind of file that is known by the bytes at an offset."""

    offset: int
    magic: bytes
    judge: Callable[[FileBytes], Wholeness]


_KINDS = (
    _Kind(0, b"\xff\xd8\xff", _jpeg),
    _Kind(0, b"\x89PNG\r\n\x1a\n", _png),
    _Kind(0, b"GIF87a", _gif),
    _Kind(0, b"GIF89a", _gif),
    _Kind(0, b"RIFF", _riff),
    _Kind(0, b"II*\0", _tiff),
    _Kind(0, b"MM\0*", _tiff),
    _Kind(0, b"II+\0", _tiff),
    _Kind(0, b"MM\0+", _tiff),
    _Kind(4, b"ftyp", _boxes),
    _Kind(4, b"jP  \r\n\x87\n", _boxes),
    _Kind(4, b"JXL \r\n\x87\n", _boxes),
    _Kind(0, b"\x1aE\xdf\xa3", _matroska),
    _Kind(0, b"\xff\x4f\xff\x51", _jpeg2000),
    _Kind(0, b"qoif", _qoi),
    _Kind(0, b"\0\0\1\0", _ico),
    _Kind(0, b"P4", _pnm),
    _Kind(0, b"P5", _pnm),
    _Kind(0, b"P6", _pnm),
    _Kind(0, b"BM", _bmp),
)
"""The kinds of picture whose end can be told."""

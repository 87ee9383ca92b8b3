"""JPEG: its segments, read one by one, so that none beside the pixels' own can refuse a picture.

Source: ITU-T T.81 (JPEG), T.871 (JFIF), CIPA DC-008 (EXIF), Adobe XMP part 3. A decoder sees the tables, the frame, the
scans, and the marks of JFIF and Adobe, which tell it the channels.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from dreamd.pictures.containers.ancillary import (
    EXIF_MARK,
    MAX_EXIF_BYTES,
    MAX_PROFILE_BYTES,
    MAX_TEXT_BYTES,
    Ancillary,
    Text,
)
from dreamd.pictures.containers.companions import GAIN_MAP_NOTE, ISO_GAIN_MAP_MARK, MPF_MARK
from dreamd.pictures.containers.photoshop import IDENTIFIER as PHOTOSHOP_MARK
from dreamd.pictures.containers.photoshop import iptc_of
from dreamd.pictures.containers.spliced import Piece, Range
from dreamd.pictures.damage import left_out_when_broken

MAGIC = b"\xff\xd8\xff"

XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"
"""A segment of XMP begins with these bytes."""

MAX_XMP_SEGMENT = 65_533 - len(XMP_MARK)
"""A segment holds so many bytes of XMP."""

END = b"\xff\xd9"
"""The end mark."""

_PROFILE_MARK = b"ICC_PROFILE\0"
_JFIF_MARK = b"JFIF\0"
_ADOBE_MARK = b"Adobe"

_START_OF_SCAN, _COMMENT, _MPF_SEGMENT = 0xDA, 0xFE, 0xE2
_APPLICATION = range(0xE0, 0xF0)
_STANDALONE = (0x01, *range(0xD0, 0xD9))

_PROGRESSIVE_FRAMES = (0xC2, 0xC6, 0xCA, 0xCE)
_FRAMES = tuple(mark for mark in range(0xC0, 0xD0) if mark not in (0xC4, 0xC8, 0xCC))

_MAX_SEGMENTS = 4096
"""The number of segments before the first scan that are looked at; what comes later is left to the decoder."""

_CENTIMETRES_AN_INCH = 2.54

_WINDOW_BYTES = 1 << 20
"""Scans are searched for marks in windows of so many bytes."""

_SCAN_HEADER_BYTES = 16
"""A scan's header, with its mark, takes no more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JpegLayout:
    """How a JPEG is laid out.

    Attributes:
        pieces: what a decoder needs of it, from the start mark to the end of the file.
        scans: where the first scan begins in the file; the file's end when there is none.
        end: the file's end.
        is_progressive: whether its scans bring the whole picture in ever finer steps.
        components: how many channels the frame has.
        size: its width and height in pixels; zeros where there is no frame.
        mpf: where its list of other pictures begins, behind the mark; None where it has none.
    """

    pieces: tuple[Piece, ...]
    scans: int
    end: int
    is_progressive: bool
    components: int
    size: tuple[int, int] = (0, 0)
    mpf: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Segment:
    mark: int
    start: int
    length: int


def read_jpeg(file: BinaryIO, name: str) -> tuple[JpegLayout, Ancillary]:
    """Take a JPEG apart.

    Args:
        file: the JPEG.
        name: its name, printable, for the log.

    Returns:
        Its layout, and what it says about its picture.
    """
    file.seek(0, os.SEEK_END)
    end = file.tell()
    pieces: list[Piece] = [MAGIC[:2]]
    notes = _Notes()
    at, is_progressive, components, size, mpf = 2, False, 0, (0, 0), None
    for segment in _segments(file, end):
        at = segment.start + segment.length
        file.seek(segment.start)
        head = file.read(min(segment.length, 16))
        if segment.mark in _FRAMES and len(head) >= 6:
            is_progressive, components = segment.mark in _PROGRESSIVE_FRAMES, head[5]
            size = (int.from_bytes(head[3:5], "big"), int.from_bytes(head[1:3], "big"))
        if segment.mark == _MPF_SEGMENT and head.startswith(MPF_MARK) and mpf is None:
            mpf = segment.start + len(MPF_MARK)
        if segment.mark in _APPLICATION or segment.mark == _COMMENT:
            file.seek(segment.start)
            notes.take(segment.mark, file.read(segment.length))
            if not _is_for_decoder(segment, head):
                continue
        pieces.append(Range(segment.start - 4, segment.length + 4))
    pieces.append(Range(at, end - at))
    layout = JpegLayout(
        pieces=tuple(pieces),
        scans=at,
        end=end,
        is_progressive=is_progressive,
        components=components,
        size=size,
        mpf=mpf,
    )
    return layout, notes.ancillary(name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """A scan of a JPEG.

    Attributes:
        channels: the numbers of its channels.
        first: its first coefficient, 0 for the mean of a block.
        last: its last one, up to 63.
        low_bit: the lowest bit that it brings, from 0.
    """

    channels: tuple[int, ...]
    first: int
    last: int
    low_bit: int


def read_scans(file: BinaryIO, layout: JpegLayout) -> tuple[list[Scan], bool]:
    """Return the scans that begin in a JPEG, in their order, and whether its end mark is there."""
    scans: list[Scan] = []
    at, window = layout.scans, b""
    while at < layout.end:
        file.seek(at)
        window = file.read(_WINDOW_BYTES)
        fresh = window if len(window) < _WINDOW_BYTES else window[:-_SCAN_HEADER_BYTES]
        for mark in re.finditer(rb"\xff[\xda\xd9]", window):
            if mark.start() >= len(fresh):
                break
            if mark.group() == END:
                return scans, True
            if scan := _scan(window[mark.start() : mark.start() + _SCAN_HEADER_BYTES]):
                scans.append(scan)
        if not fresh:
            break
        at += len(fresh)
    return scans, False


def _scan(header: bytes) -> Scan | None:
    count = header[4] if len(header) > 4 else 0
    parameters = header[5 + 2 * count : 8 + 2 * count]
    if not 1 <= count <= 4 or len(parameters) < 3:
        return None
    channels = tuple(header[5 : 5 + 2 * count : 2])
    return Scan(channels=channels, first=parameters[0], last=parameters[1], low_bit=parameters[2] & 15)


def _segments(file: BinaryIO, end: int) -> Iterator[_Segment]:
    """Yield the whole segments before the first scan."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        file.seek(at)
        head = file.read(4)
        if len(head) == 4 and head[0] == 0xFF and (head[1] == 0xFF or head[1] in _STANDALONE):
            at += 1 if head[1] == 0xFF else 2  # fill bytes may stand before any mark
            continue
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0, _START_OF_SCAN, END[1]):
            return
        length = int.from_bytes(head[2:], "big") - 2
        if length < 0 or at + 4 + length > end:
            return
        yield _Segment(mark=head[1], start=at + 4, length=length)
        at += 4 + length


def _is_for_decoder(segment: _Segment, head: bytes) -> bool:
    """Tell whether this segment of an application says how the channels are to be understood."""
    is_jfif = segment.mark == 0xE0 and head.startswith(_JFIF_MARK) and segment.length >= 14
    return is_jfif or (segment.mark == 0xEE and head.startswith(_ADOBE_MARK) and segment.length >= 12)


class _Notes:
    """Gathers what segments say; EXIF, profile and image resources may take several."""

    def __init__(self) -> None:
        self._exif = bytearray()
        self._xmp = b""
        self._resources = bytearray()
        self._profile: dict[int, bytes] = {}
        self._comments: list[bytes] = []
        self._dpi: tuple[float, float] | None = None
        self._has_gain_map = False

    def take(self, mark: int, data: bytes) -> None:
        """Take note of a segment."""
        if mark == 0xE0 and data.startswith(_JFIF_MARK) and len(data) >= 12:
            self._dpi = _jfif_dpi(data)
        elif mark == 0xE1 and data.startswith(EXIF_MARK) and len(self._exif) < MAX_EXIF_BYTES:
            self._exif += data[len(EXIF_MARK) :]
        elif mark == 0xE1 and data.startswith(XMP_MARK):
            self._xmp = self._xmp or data[len(XMP_MARK) :]
        elif mark == 0xE2 and data.startswith(_PROFILE_MARK) and len(data) > 14:
            self._profile.setdefault(data[12], data[14:])
        elif mark == 0xE2 and data.startswith(ISO_GAIN_MAP_MARK):
            self._has_gain_map = True
        elif mark == 0xED and data.startswith(PHOTOSHOP_MARK) and len(self._resources) < MAX_EXIF_BYTES:
            self._resources += data[len(PHOTOSHOP_MARK) :]
        elif mark == _COMMENT and data.strip(b"\0 ") and sum(map(len, self._comments)) + len(data) <= MAX_TEXT_BYTES:
            self._comments.append(data)

    def ancillary(self, name: str) -> Ancillary:
        """Return all of it."""
        iptc = b""
        with left_out_when_broken("IPTC", name):
            iptc = iptc_of(bytes(self._resources))
        return Ancillary(
            exif=bytes(self._exif),
            xmp=self._xmp,
            iptc=iptc,
            texts=tuple(Text(keyword="Comment", text=decoded_comment(data)) for data in self._comments),
            profile=b"".join(self._profile[number] for number in sorted(self._profile))[:MAX_PROFILE_BYTES],
            dpi=self._dpi,
            notes=(GAIN_MAP_NOTE,) if self._has_gain_map else (),
        )


def decoded_comment(data: bytes) -> str:
    """Return a comment as text: the formats that have one do not tell its encoding."""
    data = data.rstrip(b"\0")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _jfif_dpi(data: bytes) -> tuple[float, float] | None:
    unit, across, down = struct.unpack_from(">BHH", data, 7)
    scale = {1: 1.0, 2: _CENTIMETRES_AN_INCH}.get(unit)
    return None if scale is None else (across * scale, down * scale)

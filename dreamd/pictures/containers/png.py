"""PNG: its chunks, read one by one, so that no chunk beside the pixels' own can refuse a picture.

Source: the PNG specification, third edition (W3C). A decoder sees IHDR, PLTE, IDAT and IEND, and of a palette tRNS.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from dreamd.pictures.colours.spaces import ColourSpace, Primaries, coded_space, measured_space
from dreamd.pictures.containers.ancillary import (
    EXIF_MARK,
    MAX_EXIF_BYTES,
    MAX_PROFILE_BYTES,
    MAX_TEXT_BYTES,
    MAX_TEXTS_BYTES,
    Ancillary,
    Text,
)
from dreamd.pictures.containers.photoshop import iptc_of
from dreamd.pictures.containers.spliced import Piece, Range, spliced
from dreamd.pictures.damage import left_out_when_broken
from dreamd.pictures.decoders.raster import DeepLayout

MAGIC = b"\x89PNG\r\n\x1a\n"

_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_READ_CHUNKS = (*_TEXT_CHUNKS, b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"pHYs", b"eXIf", b"tRNS")

_LONGEST = dict.fromkeys(_TEXT_CHUNKS, MAX_TEXT_BYTES) | {b"iCCP": MAX_PROFILE_BYTES, b"eXIf": MAX_EXIF_BYTES}
"""The longest chunks of these kinds that are read, in bytes."""

_LONGEST_OTHER = 4096
"""The longest chunk of another kind that is read, in bytes."""

_MOST_BROKEN = 5
"""The number of broken chunks that are told of; what comes behind them is left out without a word."""


_MOST_CHUNKS = 1_000_000
"""A PNG of more chunks is refused: its list would take more memory than its pixels."""

_MAX_CHUNKS = 4096
"""The number of chunks beside the pixels' own that are read; what comes later is left out."""

_XMP_KEYWORD = "XML:com.adobe.xmp"

_RAW_PROFILE = "Raw profile type "
"""ImageMagick and others keep what PNG had no chunk for in texts with this keyword: a name, a length, hex digits."""

_OLD_KEYWORDS = ("exif:", "png:", "jpeg:", "tiff:", "Thumb::", _RAW_PROFILE)
"""Texts with these keywords describe the old file or show a small copy of it; they are not carried over."""

_HEADER_BYTES = 13

_GREY, _RGB, _PALETTE = 0, 2, 3
_DEEP_TYPES = (2, 4, 6)
"""RGB, grey with alpha, RGB with alpha: Pillow drops their low bytes. Grey alone it decodes whole."""

_BT709, _UNSPECIFIED = 1, 2
"""Numbers of H.273: sRGB's primaries, and none."""

_INCHES_A_METRE = 0.0254


@dataclass(frozen=True, kw_only=True, slots=True)
class ClearColour:
    """The one colour of a picture without alpha that is clear (tRNS).

    Attributes:
        samples: its grey, or its red, green and blue, in the file's own depth.
        depth: bits a sample: 1, 2, 4, 8 or 16.
    """

    samples: tuple[int, ...]
    depth: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Chunk:
    kind: bytes
    start: int
    length: int


def read_png(file: BinaryIO, name: str) -> tuple[BinaryIO, Ancillary, ClearColour | None]:
    """Take a PNG apart.

    Args:
        file: the PNG.
        name: its name, printable, for the log.

    Returns:
        What a decoder may see of it, what it says, and its clear colour, if it is no palette's.
    """
    pieces: list[Piece] = [MAGIC]
    words = _Words(file, name)
    for chunk in _chunks(file, len(MAGIC), file.seek(0, os.SEEK_END)):
        if chunk.kind in _PIXEL_CHUNKS or words.take(chunk):
            pieces.append(Range(chunk.start - 8, chunk.length + 12))
    clear = None
    with left_out_when_broken("tRNS chunk", name):
        clear = _clear_colour(file, words.found.get(b"tRNS"))
    return spliced(file, pieces), _ancillary(words.found, words.texts, name), clear


def with_chunks(whole: bytes, chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return a PNG with more chunks, each of a kind and data, behind its header."""
    start = len(MAGIC) + 8 + _HEADER_BYTES + 4
    packed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"".join([whole[:start], *packed, whole[start:]])


class _Words:
    """Gathers the chunks that say something.

    Attributes:
        found: the data of those that stand once, by their kinds.
        texts: the kind and the data of each text.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.found: dict[bytes, bytes] = {}
        self.texts: list[tuple[bytes, bytes]] = []
        self._file = file
        self._name = name
        self._seen = 0
        self._broken = 0
        self._room = MAX_TEXTS_BYTES

    def take(self, chunk: _Chunk) -> bool:
        """Take note of a chunk beside the pixels' own; return whether the decoder is to see it too."""
        self._seen += 1
        if chunk.kind not in _READ_CHUNKS or chunk.kind in self.found:
            return False
        if self._seen > _MAX_CHUNKS or self._broken >= _MOST_BROKEN:
            return False
        data = None
        with left_out_when_broken(f"{chunk.kind.decode()} chunk", self._name):
            data = _checked(self._file, chunk, self._room)
        if data is None:
            self._broken += 1
            return False
        if chunk.kind in _TEXT_CHUNKS:
            self.texts.append((chunk.kind, data))
            self._room -= len(data)
            return False
        self.found[chunk.kind] = data
        return chunk.kind == b"tRNS" and _colour_type(self._file) == _PALETTE


def _chunks(file: BinaryIO, start: int, end: int) -> Iterator[_Chunk]:
    """Yield the chunks as far as they reach; a last one that is cut off is among them."""
    for _ in range(_MOST_CHUNKS):
        if start + 8 > end:
            return
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        yield _Chunk(kind=kind, start=start + 8, length=length)
        if kind == b"IEND":
            return
        start += length + 12
    raise ValueError(f"it has more than {_MOST_CHUNKS} chunks")


def _checked(file: BinaryIO, chunk: _Chunk, room: int) -> bytes:
    """Return a chunk's data. Raises ValueError for a wrong sum, and for one that is too long to be of use.

    Args:
        file: the PNG.
        chunk: the chunk.
        room: the bytes that texts may take.
    """
    longest = _LONGEST.get(chunk.kind, _LONGEST_OTHER)
    if chunk.length > (min(longest, room) if chunk.kind in _TEXT_CHUNKS else longest):
        raise ValueError(f"{chunk.length} bytes is too long")
    file.seek(chunk.start)
    data = file.read(chunk.length)
    tail = file.read(4)
    if len(tail) < 4 or zlib.crc32(chunk.kind + data) != int.from_bytes(tail, "big"):
        raise ValueError("its checksum is wrong")
    return data


def deep_layout(file: BinaryIO) -> DeepLayout | None:
    """Return how a PNG of 16-bit colours, or of grey with alpha, is decoded; None where Pillow decodes it as it is."""
    file.seek(len(MAGIC) + 8 + 8)
    depth, colour_type = (*file.read(2), 0, 0)[:2]
    return DeepLayout(kind="PNG", bits=16) if depth == 16 and colour_type in _DEEP_TYPES else None


def _colour_type(file: BinaryIO) -> int:
    file.seek(len(MAGIC) + 8 + 9)
    return int.from_bytes(file.read(1), "big")


def _clear_colour(file: BinaryIO, data: bytes | None) -> ClearColour | None:
    if data is None:
        return None
    file.seek(len(MAGIC) + 8 + 8)
    depth, colour_type = file.read(2)
    count = {_GREY: 1, _RGB: 3}.get(colour_type)
    if count is None:
        return None
    # Bits above the depth are to be ignored (section 11.3.1.1).
    samples = tuple(value & ((1 << depth) - 1) for value in struct.unpack_from(f">{count}H", data))
    return ClearColour(samples=samples, depth=depth)


def _ancillary(found: dict[bytes, bytes], chunks: list[tuple[bytes, bytes]], name: str) -> Ancillary:
    profile, space, is_srgb = _colour(found, name)
    exif = found.get(b"eXIf", b"").removeprefix(EXIF_MARK)
    told = Ancillary(exif=exif, profile=profile, space=space, is_srgb=is_srgb, dpi=_dpi(found, name))
    room, broken = MAX_TEXTS_BYTES, 0
    for kind, data in chunks:
        if broken == _MOST_BROKEN:
            break
        broken += 1
        with left_out_when_broken(f"{kind.decode()} chunk", name):
            text = _text(kind, data)
            room -= len(text.text)
            if room < 0:
                raise ValueError("the texts together are too long")
            told = _with_text(told, text)
            broken -= 1
    return told


def _with_text(told: Ancillary, text: Text) -> Ancillary:
    """Return what was told so far and a text, which may hold XMP, EXIF or IPTC."""
    if text.keyword == _XMP_KEYWORD:
        return replace(told, xmp=told.xmp or text.text.encode("utf-8", "surrogateescape"))
    match text.keyword.removeprefix(_RAW_PROFILE) if text.keyword.startswith(_RAW_PROFILE) else "":
        case "exif" | "APP1":
            block = _from_hex(text.text)
            return replace(told, exif=told.exif or block.removeprefix(EXIF_MARK))
        case "iptc" | "8bim":
            return replace(told, iptc=told.iptc or iptc_of(_from_hex(text.text)))
        case "xmp":
            return replace(told, xmp=told.xmp or _from_hex(text.text))
    if text.keyword.startswith(_OLD_KEYWORDS):
        return told
    return replace(told, texts=(*told.texts, text))


def _text(kind: bytes, data: bytes) -> Text:
    keyword, _, rest = data.partition(b"\0")
    if kind == b"tEXt":
        text = rest.decode("latin-1")
    elif kind == b"zTXt":
        text = _inflated(rest[1:], MAX_TEXT_BYTES).decode("latin-1")
    else:
        is_packed = rest[:1] == b"\1"
        _language, _, rest = rest[2:].partition(b"\0")
        _translated, _, rest = rest.partition(b"\0")
        text = (_inflated(rest, MAX_TEXT_BYTES) if is_packed else rest).decode("utf-8", "surrogateescape")
    if len(text) > MAX_TEXT_BYTES:
        raise ValueError("the text is too long")
    return Text(keyword=keyword.decode("latin-1"), text=text, chunk=(kind, data))


def _inflated(data: bytes, limit: int) -> bytes:
    """Return what a zlib stream holds. Raises ValueError when that is longer than `limit` bytes, or not whole."""
    unpacker = zlib.decompressobj()
    result = unpacker.decompress(data, limit + 1)
    if len(result) > limit:
        raise ValueError(f"more than {limit} bytes is too long")
    if not unpacker.eof:
        raise ValueError("its end is missing")
    return result


def _from_hex(text: str) -> bytes:
    """Return the bytes of a raw profile: a line with a name, one with a length, then hex digits."""
    _, _, rest = text.lstrip().partition("\n")
    _, _, digits = rest.lstrip().partition("\n")
    return bytes.fromhex(digits)


# ---- colour and resolution


def _colour(found: dict[bytes, bytes], name: str) -> tuple[bytes, ColourSpace | None, bool]:
    """Return the profile or the space that tells the colours, and whether it says that they are sRGB.

    Of several chunks, cICP, iCCP and sRGB win in this order.
    """
    if b"cICP" in found:
        with left_out_when_broken("cICP chunk", name):
            primaries, transfer, matrix, full_range = found[b"cICP"][:4]
            if matrix != 0:
                raise ValueError("it is not RGB")
            if (primaries, transfer) != (_UNSPECIFIED, _UNSPECIFIED):
                space = coded_space(primaries, transfer, full_range=bool(full_range))
                return b"", space, space is None and primaries == _BT709
    if b"iCCP" in found:
        with left_out_when_broken("ICC profile", name):
            _, _, rest = found[b"iCCP"].partition(b"\0")
            return _inflated(rest[1:], MAX_PROFILE_BYTES), None, False
    if b"sRGB" in found:
        return b"", None, True
    with left_out_when_broken("gAMA or cHRM chunk", name):
        measured = measured_space("gAMA and cHRM", _primaries(found.get(b"cHRM")), _gamma(found.get(b"gAMA")))
        return b"", measured, False
    return b"", None, False


def _gamma(data: bytes | None) -> float | None:
    if data is None:
        return None
    (encoding,) = struct.unpack_from(">I", data)
    return 100_000 / float(encoding)


def _primaries(data: bytes | None) -> Primaries | None:
    if data is None:
        return None
    xs = [value / 100_000 for value in struct.unpack_from(">8I", data)]
    white, red, green, blue = zip(xs[::2], xs[1::2], strict=True)
    return Primaries(red=red, green=green, blue=blue, white=white)


def _dpi(found: dict[bytes, bytes], name: str) -> tuple[float, float] | None:
    with left_out_when_broken("pHYs chunk", name):
        if b"pHYs" in found:
            across, down, unit = struct.unpack_from(">IIB", found[b"pHYs"])
            return (across * _INCHES_A_METRE, down * _INCHES_A_METRE) if unit == 1 else None
    return None

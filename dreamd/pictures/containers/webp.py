"""WebP: its chunks, read one by one, so that none beside the pixels' own can refuse a picture.

Source: RFC 9649. A decoder sees the header, the pixels, their alpha and the animation.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from dreamd.pictures.containers.ancillary import EXIF_MARK, MAX_EXIF_BYTES, Ancillary
from dreamd.pictures.containers.spliced import Piece, Range, length_of, spliced

_HEAD_BYTES = 12
_PIXEL_CHUNKS = (b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF")
_WORDS = {b"EXIF": "exif", b"XMP ": "xmp", b"ICCP": "profile"}

_MAX_CHUNKS = 100_000
"""The number of chunks that are looked at; what comes later is left out."""


def is_webp(head: bytes) -> bool:
    """Tell whether a file begins as WebP."""
    return head.startswith(b"RIFF") and head[8:12] == b"WEBP"


def read_webp(file: BinaryIO) -> tuple[BinaryIO, Ancillary]:
    """Take a WebP apart; return what a decoder may see of it, and what it says about its picture."""
    end = file.seek(0, os.SEEK_END)
    pieces: list[Piece] = []
    found: dict[str, bytes] = {}
    at = _HEAD_BYTES
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            break
        kind, length = struct.unpack("<4sI", head)
        is_whole = at + 8 + length <= end
        if kind in _PIXEL_CHUNKS:
            pieces.append(Range(at, min(8 + length, end - at)))
            if is_whole and length % 2:
                pieces.append(b"\0")
        elif kind in _WORDS and is_whole and length <= MAX_EXIF_BYTES:
            found.setdefault(_WORDS[kind], file.read(length))
        at += 8 + length + length % 2
    size = 4 + sum(map(length_of, pieces))
    stream = spliced(file, [b"RIFF" + struct.pack("<I", size) + b"WEBP", *pieces])
    exif = found.get("exif", b"").removeprefix(EXIF_MARK)
    return stream, Ancillary(exif=exif, xmp=found.get("xmp", b""), profile=found.get("profile", b""))

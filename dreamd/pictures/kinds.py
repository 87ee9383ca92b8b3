"""Kinds of files: which ones are decoded, and what a file that cannot be decoded looks like."""

from __future__ import annotations

from typing import BinaryIO

READABLE = (
    *("JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "DIB", "PPM", "ICO"),
    *("JPEG2000", "QOI", "PCX", "SGI", "TGA"),  # TGA last: it has no magic number and tries anything
)
"""These are Pillow's names of the formats that are decoded; JPEG's decoder makes "MPO" of some files.

EPS is not among them, for it starts ghostscript; nor is what hardly anyone keeps a picture in: each decoder is a risk.
"""

_Magics = tuple[tuple[int, bytes, str], ...]

_READABLE_MAGICS: _Magics = (
    (0, b"\x89PNG\r\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (4, b"ftypavif", "AVIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"BM", "BMP"),
)
"""The formats that are decoded begin with these bytes, at this offset."""

_OTHER_MAGICS: _Magics = (
    (0, b"%!PS", "an EPS or PostScript drawing"),
    (0, b"\xc5\xd0\xd3\xc6", "an EPS drawing"),
    (0, b"%PDF", "a PDF document"),
    (0, b"8BPS", "a Photoshop (PSD) picture"),
    (0, b"DDS ", "a DDS texture"),
    (4, b"ftyphei", "a HEIC picture"),
    (4, b"ftyphev", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIF picture"),
    (4, b"JXL ", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (4, b"ftyp", "a video"),
    (0, b"\x1aE\xdf\xa3", "a video"),
    (8, b"AVI ", "a video"),
    (8, b"WAVE", "sound"),
    (0, b"\xd7\xcd\xc6\x9a", "a WMF drawing"),
    (40, b" EMF", "an EMF drawing"),
    (0, b"\xd0\xcf\x11\xe0", "an old Office, FPX or MIC document"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"7z\xbc\xaf", "a 7z archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"\x7fELF", "a program"),
)
"""Other files begin with these bytes, at this offset; of two that fit, the upper one is meant."""

_HEAD_BYTES = 1024
"""The kind of a file is told by so many of its first bytes."""


def what_it_looks_like(file: BinaryIO) -> str:
    """Return what a file that is no readable picture seems to be, and what to do with it, in words."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    if kind := _by_magic(head, _READABLE_MAGICS):
        return f"it begins as {kind}, but is broken, cut off or of a rare kind; copy it again or save it as PNG"
    other = _by_magic(head, _OTHER_MAGICS) or _kind_of_text(head) or "nothing known"
    return f"it looks like {other}; save it as JPEG or PNG"


def _by_magic(head: bytes, magics: _Magics) -> str | None:
    return next((kind for offset, magic, kind in magics if head.startswith(magic, offset)), None)


def _kind_of_text(head: bytes) -> str | None:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # else the excerpt ends inside a character
            return None
        text = head[: error.start].decode("utf-8")
    if any(not sign.isprintable() and sign not in "\n\r\t\f\ufeff" for sign in text):
        return None
    if "<svg" in text:
        return "an SVG drawing"
    return "a web page" if "<html" in text.lower() else "text"

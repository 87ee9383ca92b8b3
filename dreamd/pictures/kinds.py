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

_READABLE_MAGICS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"BM", "BMP"),
)
"""The formats that are decoded begin with these bytes, at this offset."""

RAW_ADVICE = "develop it and save it as JPEG, or let the plugin examples/camera_raw.py decode it by its own extension"
"""This is what to do with a camera's raw file."""

_RAW_EXTENSIONS = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw"),
    *(".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
)
"""Cameras give their raw files these extensions."""

_SAVE = "save it as JPEG or PNG"
_EXPORT = "export it as PNG"
_TAKE_A_FRAME = (
    "films that are named .mp4, .mov, .webm or .mkv, and are that, are dreamed; or save a frame of it as PNG"
)
_UNPACK = "put the pictures in it here one by one"
_NO_PICTURE = "it holds no picture"
_COMPANION = "it is about a picture and is none; keep it elsewhere, or name it in watch.ignore"

_OTHERS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"FUJIFILMCCD-RAW", "a camera's raw file (Fujifilm RAF)", RAW_ADVICE),
    (4, b"ftypcrx", "a camera's raw file (Canon CR3)", RAW_ADVICE),
    (6, b"HEAPCCDR", "a camera's raw file (Canon CRW)", RAW_ADVICE),
    (0, b"IIRO", "a camera's raw file (Olympus ORF)", RAW_ADVICE),
    (0, b"IIRS", "a camera's raw file (Olympus ORF)", RAW_ADVICE),
    (0, b"MMOR", "a camera's raw file (Olympus ORF)", RAW_ADVICE),
    (0, b"IIU\0", "a camera's raw file (Panasonic RW2)", RAW_ADVICE),
    (0, b"\0MRM", "a camera's raw file (Minolta MRW)", RAW_ADVICE),
    (0, b"FOVb", "a camera's raw file (Sigma X3F)", RAW_ADVICE),
    (25, b"ARECOYK", "a camera's raw file (Contax RAW)", RAW_ADVICE),
    (0, b"%!PS", "an EPS or PostScript drawing", _EXPORT),
    (0, b"\xc5\xd0\xd3\xc6", "an EPS drawing", _EXPORT),
    (0, b"%PDF", "a PDF document", _EXPORT),
    (0, b"8BPS", "a Photoshop (PSD) picture", _SAVE),
    (0, b"gimp xcf", "a GIMP (XCF) picture", _EXPORT),
    (0, b"DDS ", "a DDS texture", _SAVE),
    (4, b"ftypmif1", "a HEIF picture", _SAVE),
    (4, b"ftypmsf1", "a HEIF picture", _SAVE),
    (4, b"JXL ", "a JPEG XL picture", _SAVE),
    (0, b"\xff\x0a", "a JPEG XL picture", _SAVE),
    (0, b"#?RADIANCE", "a Radiance HDR picture", _SAVE),
    (0, b"v/1\x01", "an OpenEXR picture", _SAVE),
    (0, b"SIMPLE  =", "a FITS picture", _SAVE),
    (128, b"DICM", "a DICOM picture", _SAVE),
    (0, b"icns", "a macOS icon", _SAVE),
    (4, b"ftypM4A", "sound", _NO_PICTURE),
    (4, b"ftyp", "a video", _TAKE_A_FRAME),
    (4, b"moov", "a video", _TAKE_A_FRAME),
    (0, b"\x1aE\xdf\xa3", "a video", _TAKE_A_FRAME),
    (8, b"AVI ", "a video", _TAKE_A_FRAME),
    (0, b"FLV\x01", "a video", _TAKE_A_FRAME),
    (0, b"\0\0\1\xba", "a video", _TAKE_A_FRAME),
    (8, b"WAVE", "sound", _NO_PICTURE),
    (0, b"ID3", "sound", _NO_PICTURE),
    (0, b"OggS", "sound", _NO_PICTURE),
    (0, b"fLaC", "sound", _NO_PICTURE),
    (0, b"\xd7\xcd\xc6\x9a", "a WMF drawing", _EXPORT),
    (40, b" EMF", "an EMF drawing", _EXPORT),
    (0, b"\xd0\xcf\x11\xe0", "an old Office, FPX or MIC document", _EXPORT),
    (0, b"PK\x03\x04", "a ZIP archive or an office document", _UNPACK),
    (0, b"\x1f\x8b", "a gzip archive", _UNPACK),
    (0, b"7z\xbc\xaf", "a 7z archive", _UNPACK),
    (0, b"Rar!", "a RAR archive", _UNPACK),
    (0, b"SQLite format 3", "a database", _NO_PICTURE),
    (0, b"\0\5\x16\7", "what macOS keeps about a file on other systems' disks", _COMPANION),
    (0, b"L\0\0\0\1\x14\2\0", "a Windows shortcut", "put the picture itself here"),
    (0, b"\x7fELF", "a program", _NO_PICTURE),
    (0, b"MZ", "a program", _NO_PICTURE),
)
"""Other files begin with these bytes, at this offset: what they are, and what helps. The upper one of two counts."""

_TEXTS: tuple[tuple[str, str, str], ...] = (
    ("<svg", "an SVG drawing", _EXPORT),
    ("<x:xmpmeta", "XMP, as photo programs keep it beside a picture", _COMPANION),
    ("<html", "a web page", "save the picture that it shows, and not the page"),
    ("<!doctype html", "a web page", "save the picture that it shows, and not the page"),
    ("<plist", "what a photo program keeps beside a picture", _COMPANION),
    ("version https://git-lfs", "a pointer of Git LFS", "fetch the picture itself: `git lfs pull`"),
    ("[internetshortcut]", "a shortcut to a web page", "put the picture itself here"),
)
"""Texts that hold these words near their beginning, in small letters: what they are, and what helps."""

_HEAD_BYTES = 1024
"""The kind of a file is told by so many of its first bytes."""


def is_named_raw(name: str) -> bool:
    """Tell whether a file has the name of a camera's raw file."""
    return name.lower().endswith(_RAW_EXTENSIONS)


def what_it_looks_like(file: BinaryIO, name: str) -> str:
    """Return what a file that is no readable picture seems to be, and what to do with it, in words."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    if kind := next((kind for offset, magic, kind in _READABLE_MAGICS if head.startswith(magic, offset)), None):
        return f"it begins as {kind}, but is broken, cut off or of a rare kind; copy it again or save it as PNG"
    if not head.strip(b"\0"):
        return "it holds nothing but zeros, as a copy that was cut short can; copy it again"
    by_magic = ((kind, advice) for offset, magic, kind, advice in _OTHERS if head.startswith(magic, offset))
    unknown = ("nothing known", f"if it is a picture, {_SAVE}")
    if is_named_raw(name):
        unknown = ("a camera's raw file", RAW_ADVICE)
    kind, advice = next(by_magic, None) or _kind_of_text(head) or unknown
    return f"it looks like {kind}; {advice}"


def _kind_of_text(head: bytes) -> tuple[str, str] | None:
    text = _as_text(head)
    if text is None:
        return None
    folded = text.lower()
    for words, kind, advice in _TEXTS:
        if words in folded:
            return kind, advice
    if folded.lstrip("\ufeff \r\n\t").startswith(("{", "[")):
        return "JSON, as programs keep it beside a picture", _COMPANION
    if folded.lstrip("\ufeff \r\n\t").startswith("<?xml"):
        return "XML", _COMPANION
    return "text", _COMPANION


def _as_text(head: bytes) -> str | None:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # else the excerpt ends inside a character
            return None
        text = head[: error.start].decode("utf-8")
    if any(not sign.isprintable() and sign not in "\n\r\t\f\ufeff" for sign in text):
        return None
    return text

"""Preparing a file for its decoder: which parts of it the decoder sees, and what the rest of it says.

Pillow trusts a file more than a stranger's file deserves: a comment with a wrong checksum refuses a whole PNG, and the
small copy in front of a TIFF passes for the picture. So the containers are taken apart first.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, BinaryIO

from dreamd.errors import PictureError
from dreamd.pictures.containers import bitmap, boxes, icon, jpeg, png, tiff, webp
from dreamd.pictures.containers.ancillary import MAX_TEXT_BYTES, Ancillary, Text
from dreamd.pictures.containers.jpeg import decoded_comment
from dreamd.pictures.containers.spliced import Range, spliced
from dreamd.pictures.damage import left_out_when_broken
from dreamd.pictures.decoders.raster import DeepLayout
from dreamd.pictures.descriptions.exif import read_exif
from dreamd.pictures.kinds import RAW_ADVICE, is_named_raw
from dreamd.pictures.paging.boxes import pages_of_boxes
from dreamd.pictures.paging.jpeg import pages_of_jpeg
from dreamd.pictures.paging.noting import note_of_pages
from dreamd.pictures.paging.tiff import pages_of_tiff

if TYPE_CHECKING:
    from PIL import Image


_HEAD_BYTES = 256
"""The kind of a file is told by so many of its first bytes: those of boxes list the kinds that they are."""

_JPEG_2000_MAGICS = (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A file, ready for its decoder.

    Attributes:
        stream: what the decoder sees.
        ancillary: what the file says, as far as the decoder does not tell it.
        clear: the clear colour of a PNG without alpha.
        jpeg: the layout of a JPEG.
        page: the number of the page of a TIFF to take, from 0.
        format: Pillow's name of the format, where the decoder sees another one.
        deep: how libvips decodes it; None where Pillow does, or libheif.
        is_heic: whether libheif decodes it.
        number: which picture of a HEIC or AVIF to take, from 0; None for the main one.
    """

    stream: BinaryIO
    ancillary: Ancillary = field(default_factory=Ancillary)
    clear: png.ClearColour | None = None
    jpeg: jpeg.JpegLayout | None = None
    page: int = 0
    format: str | None = None
    deep: DeepLayout | None = None
    is_heic: bool = False
    number: int | None = None


def prepared(file: BinaryIO, name: str, number: int | None = None) -> Prepared:
    """Prepare a file for its decoder.

    Args:
        file: the file.
        name: its name, printable.
        number: which picture of a HEIC or AVIF is meant, from 0; None for the main one, and for other formats.

    Raises:
        PictureError: it is a camera's raw file, of which a decoder would take the preview for the picture.
    """
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    if head.startswith(png.MAGIC):
        return _png(file, name)
    if head.startswith(jpeg.MAGIC):
        layout, ancillary = jpeg.read_jpeg(file, name)
        if layout.mpf is not None:
            ancillary = _noted(ancillary, note_of_pages(pages_of_jpeg(file, name), "pictures", name))
        return Prepared(stream=spliced(file, layout.pieces), ancillary=ancillary, jpeg=layout)
    if head.startswith(tiff.MAGICS):
        return _tiff(file, name)
    if head.startswith(icon.MAGIC) and (inside := icon.png_inside(file)):
        return replace(_png(spliced(file, [inside]), name), format="ICO")
    file.seek(0)
    if head.startswith(b"BM"):
        return Prepared(stream=file, ancillary=bitmap.read_bitmap(file, name))
    if head[4:8] == b"ftyp":
        source = _boxes(file, head, name)
        return _several_noted(source, file, head, name) if number is None else _numbered(source, number)
    if webp.is_webp(head):
        stream, ancillary = webp.read_webp(file)
        return Prepared(stream=stream, ancillary=ancillary)
    if head.startswith(_JPEG_2000_MAGICS):
        return Prepared(stream=spliced(file, [Range(0, file.seek(0, os.SEEK_END)), *_missing_end(file)]))
    return Prepared(stream=file)


def _boxes(file: BinaryIO, head: bytes, name: str) -> Prepared:
    stream, ancillary = boxes.read_boxes(file, name)
    if boxes.is_heic(head):
        boxes.check_whole(file)
        return Prepared(stream=stream, ancillary=ancillary, format="HEIF", is_heic=True)
    deep = boxes.deep_layout(file)
    if deep is not None:
        boxes.check_whole(file)
    return Prepared(stream=stream, ancillary=ancillary, format="AVIF", deep=deep)


def _several_noted(source: Prepared, file: BinaryIO, head: bytes, name: str) -> Prepared:
    """Return an AVIF with a note where it holds several pictures; of a HEIC its decoder tells it."""
    if source.is_heic or not boxes.may_hold_several(file):
        return source
    notes = note_of_pages(pages_of_boxes(file, head, name), "pictures", name)
    return replace(source, ancillary=_noted(source.ancillary, notes))


def _numbered(source: Prepared, number: int) -> Prepared:
    """Return a HEIC or AVIF with the number of the picture that is meant; libvips alone decodes an AVIF's others."""
    layout = None if source.is_heic else source.deep or DeepLayout(kind="AVIF", bits=8)
    return replace(source, deep=None if layout is None else replace(layout, page=number), number=number)


def _missing_end(file: BinaryIO) -> list[bytes]:
    """Return what is missing of the end mark of a JPEG 2000, on which no pixel depends."""
    file.seek(-2, os.SEEK_END)
    tail = file.read(2)
    return [] if tail == jpeg.END else [jpeg.END[1:] if tail.endswith(jpeg.END[:1]) else jpeg.END]


def _png(file: BinaryIO, name: str) -> Prepared:
    stream, ancillary, clear = png.read_png(file, name)
    return Prepared(stream=stream, ancillary=ancillary, clear=clear, format="PNG", deep=png.deep_layout(file))


def _tiff(file: BinaryIO, name: str) -> Prepared:
    layout = tiff.read_tiff(file)
    if layout.is_raw or is_named_raw(name):
        raise PictureError(f"{name}: a camera's raw file, of which dreamd could read the preview only; {RAW_ADVICE}")
    ancillary = tiff.read_tiff_ancillary(file, layout, name)
    ancillary = _noted(ancillary, note_of_pages(pages_of_tiff(file), "pages", name))
    page = layout.page
    if page is None:
        return Prepared(stream=file, ancillary=ancillary)
    if page.number is not None:
        return Prepared(stream=file, ancillary=ancillary, page=page.number, format="TIFF", deep=page.deep)
    header = layout.form.header(page.offset)
    rest = Range(len(header), file.seek(0, os.SEEK_END) - len(header))
    stream = spliced(file, [header, rest])
    return Prepared(stream=stream, ancillary=ancillary, format="TIFF", deep=page.deep)


def _noted(ancillary: Ancillary, notes: tuple[str, ...]) -> Ancillary:
    return replace(ancillary, notes=(*ancillary.notes, *notes))


def with_decoders_words(ancillary: Ancillary, image: Image.Image, name: str) -> Ancillary:
    """Return what a file says, with what its decoder tells of it beside.

    Args:
        ancillary: what was read before it was decoded.
        image: the decoded picture.
        name: the file's name, printable.
    """
    info = image.info
    exif, xmp, profile = (_bytes(info.get(key)) for key in ("exif", "xmp", "icc_profile"))
    orientation, dpi = ancillary.orientation, ancillary.dpi or _dpi(info.get("dpi"), name)
    if image.format == "AVIF":  # its box of orientation counts, and Pillow puts it into the EXIF
        orientation = read_exif(exif, name).orientation or 1
    elif image.format == "TIFF":  # Pillow has turned it, but not its resolution
        was_lying = (read_exif(ancillary.exif, name).orientation or 1) >= 5
        orientation, dpi = 1, dpi[::-1] if dpi and was_lying else dpi
    return replace(
        ancillary,
        exif=ancillary.exif or exif,
        xmp=ancillary.xmp or xmp,
        profile=ancillary.profile or profile,
        texts=ancillary.texts or _comment(info.get("comment")),
        dpi=dpi,
        orientation=orientation,
    )


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _comment(value: object) -> tuple[Text, ...]:
    if not isinstance(value, bytes) or not value.strip(b"\0 ") or len(value) > MAX_TEXT_BYTES:
        return ()
    return (Text(keyword="Comment", text=decoded_comment(value)),)


def _dpi(value: object, name: str) -> tuple[float, float] | None:
    with left_out_when_broken("resolution", name):
        if isinstance(value, tuple):
            across, down = (float(part) for part in value)
            return across, down
    return None

"""Joining: TIFFs of one page become one TIFF of all their pages, whatever their sizes and depths.

Each page keeps its strips, byte for byte, and all that its directory says. One strip at a time is in memory. Where more
than four gigabytes come together it is a BigTIFF.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from dreamd.pictures.containers.directory import (
    LONG,
    LONG8,
    SHORT,
    Entry,
    Form,
    block_bytes,
    form_of,
    read_directory,
)
from dreamd.pictures.containers.tiff import EXIF_TAG, GPS_TAG, SUBFILE

_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES, _PAGE_NUMBER = 273, 279, 324, 325, 297

_IS_A_PAGE = 2
"""The kind of a picture that is one page of several (TIFF 6.0, NewSubfileType)."""

_MOST_BYTES = 2**32 - 2**20
"""A TIFF that is no BigTIFF holds so many bytes, and what is said of each page beside."""

_LONGEST_VALUE = 1 << 30


def join_pages(pages: Sequence[Path], target: BinaryIO, *, most: int = _MOST_BYTES) -> None:
    """Write a TIFF of several pages.

    Args:
        pages: TIFFs of one page each, as dreamd writes them, of one byte order.
        target: the new file, open for reading and writing.
        most: of more bytes together a BigTIFF is made.
    """
    with pages[0].open("rb") as first:
        order = form_of(first)[0].order
    form = Form(order, is_big=sum(page.stat().st_size for page in pages) > most)
    place = target.write(form.header(0)) - form.place_bytes
    for number, path in enumerate(pages):
        with path.open("rb") as page:
            directory = _append(page, target, form, (number, len(pages)))
            end = target.tell()
            target.seek(place)
            target.write(struct.pack(f"{form.order}{form.place}", directory))
            target.seek(directory)
            entries = form.number(form.count, target.read(form.table_bytes(0)))
            place = directory + form.table_bytes(entries)
            target.seek(end)


def _append(page: BinaryIO, target: BinaryIO, form: Form, position: tuple[int, int]) -> int:
    """Append a page.

    Args:
        page: a TIFF of one page.
        target: the file of all pages.
        form: how numbers stand in that.
        position: the number of the page, from 0, and how many there are.

    Returns:
        Where its directory is.
    """
    its, first = form_of(page)
    order = form.order
    assert its == Form(order)
    main = _everything(page, its, first)
    inner = {tag: _everything(page, its, main.pop(tag).numbers(order)[0]) for tag in (EXIF_TAG, GPS_TAG) if tag in main}
    for offsets, lengths in ((_STRIPS, _STRIP_BYTES), (_TILES, _TILE_BYTES)):
        if offsets in main:
            stretches = zip(main[offsets].numbers(order), main[lengths].numbers(order), strict=True)
            places = [_copied(page, target, start, length) for start, length in stretches]
            kind = LONG8 if form.is_big else LONG
            main[offsets] = Entry(kind, struct.pack(f"{order}{len(places)}{form.place}", *places))
    main[SUBFILE] = Entry(LONG, struct.pack(f"{order}I", _IS_A_PAGE))
    main[_PAGE_NUMBER] = Entry(SHORT, struct.pack(f"{order}HH", *position))
    start = target.tell()
    start += target.write(bytes(start % 2))
    target.write(block_bytes(main, inner, form, start))
    return start


def _copied(page: BinaryIO, target: BinaryIO, start: int, length: int) -> int:
    """Copy a stretch of a page to the end of the target; returns where it is there."""
    page.seek(start)
    place = target.tell()
    target.write(page.read(length))
    return place


def _everything(page: BinaryIO, form: Form, offset: int) -> dict[int, Entry]:
    limit = _LONGEST_VALUE
    return read_directory(page, form, offset, wanted=lambda _: True, longest=limit, room=limit)[0]

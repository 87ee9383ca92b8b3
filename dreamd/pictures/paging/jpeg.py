"""The pages of an MPO: a JPEG behind whose end more of them lie (CIPA DC-007).

A preview, and what makes a picture brighter on some screens, is no page.
"""

from __future__ import annotations

from typing import BinaryIO

from dreamd.pictures.containers.companions import (
    GAIN_MAP_NOTE,
    MPF_MARK,
    UNDEFINED_KIND,
    Listed,
    listed_pictures,
)
from dreamd.pictures.containers.jpeg import MAGIC, JpegLayout, read_jpeg
from dreamd.pictures.containers.spliced import Range, spliced
from dreamd.pictures.damage import BAD_DATA
from dreamd.pictures.descriptions.xmp import read_xmp
from dreamd.pictures.paging.page import Found, Page

_LONGEST_LIST = 65_535
"""A segment of a JPEG has no more bytes."""


def pages_of_jpeg(file: BinaryIO, name: str) -> Found:
    """Find the pages of a JPEG, which has one unless it lists more.

    Args:
        file: the JPEG.
        name: its name, printable, for the log.

    Raises:
        ValueError: it lists a picture that is not there.
    """
    layout, _ = read_jpeg(file, name)
    yield Page(stream=_first(file, layout), size=layout.size)
    for number, listed in enumerate(_others(file, layout), 2):
        assert layout.mpf is not None
        yield _other(file, listed, layout.mpf + listed.offset, layout.end, number, name)


def _first(file: BinaryIO, layout: JpegLayout) -> BinaryIO:
    """Return the file without the mark of its list, so that it is a JPEG like any other."""
    if layout.mpf is None:
        return spliced(file, [Range(0, layout.end)])
    mark = layout.mpf - len(MPF_MARK)
    return spliced(file, [Range(0, mark), bytes(len(MPF_MARK)), Range(layout.mpf, layout.end - layout.mpf)])


def _others(file: BinaryIO, layout: JpegLayout) -> list[Listed]:
    """Return the other pictures that a JPEG lists; a list that is broken has none."""
    if layout.mpf is None:
        return []
    file.seek(layout.mpf)
    try:
        return listed_pictures(file.read(min(_LONGEST_LIST, layout.scans - layout.mpf)))[1:]
    except BAD_DATA as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        return []


def _other(file: BinaryIO, listed: Listed, start: int, end: int, number: int, name: str) -> Page | None:
    if not listed.is_view and listed.kind != UNDEFINED_KIND:
        return None
    stream = spliced(file, [Range(start, max(0, min(listed.length, end - start)))])
    if stream.read(len(MAGIC)) != MAGIC:
        if listed.kind == UNDEFINED_KIND:
            return None
        raise ValueError(f"picture {number} of those that it lists is not there")
    layout, told = read_jpeg(stream, name)
    is_gain_map = GAIN_MAP_NOTE in (*told.notes, *read_xmp(told.xmp, name).notes)
    return None if is_gain_map and not listed.is_view else Page(stream=stream, size=layout.size)

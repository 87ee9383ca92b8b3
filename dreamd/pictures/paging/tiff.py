"""The pages of a TIFF: its chain of directories, without smaller copies and masks.

Each page is a TIFF of its own: the same file with a header that leads to the page's directory, after which no other
comes. So whatever is read of a TIFF with one picture is read of a page.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from dreamd.pictures.containers.directory import Form, form_of, read_directory
from dreamd.pictures.containers.spliced import Range, spliced
from dreamd.pictures.containers.tiff import HEIGHT, OLD_SUBFILE, SUBFILE, WIDTH, is_copy, is_mask, value_of
from dreamd.pictures.paging.page import Found, Page

_TAGS = {SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT}
"""These tags tell how large a picture is, and whether it is a page."""

_MOST_ENTRIES = 4096
"""The most entries of a page's directory: there are not half as many tags."""


def pages_of_tiff(file: BinaryIO) -> Found:
    """Find the pages of a TIFF.

    Raises:
        ValueError: its chain of directories is broken, or runs in a circle.
    """
    form, offset = form_of(file)
    end = file.seek(0, os.SEEK_END)
    seen: set[int] = set()
    while offset:
        if offset in seen:
            raise ValueError(f"after {len(seen)} pages its chain of directories runs in a circle")
        seen.add(offset)
        after = _end_of(file, form, offset, end, len(seen))
        directory, following = read_directory(file, form, offset, wanted=_TAGS.__contains__, longest=8, room=64)
        if is_copy(directory, form.order) or is_mask(directory, form.order):
            yield None
        else:
            width, height = (value_of(directory, tag, form.order) for tag in (WIDTH, HEIGHT))
            yield Page(stream=_alone(file, form, offset, after, end), size=(width, height))
        offset = following


def _end_of(file: BinaryIO, form: Form, offset: int, end: int, number: int) -> int:
    """Return where a directory tells the next one. Raises ValueError when it is not there as a whole."""
    if offset + form.table_bytes(0) <= end:
        file.seek(offset)
        count = form.number(form.count, file.read(form.table_bytes(0)))
        if count > _MOST_ENTRIES:
            raise ValueError(f"the directory of page {number} has {count} entries")
        after = offset + form.table_bytes(count)
        if len(form.header(0)) <= offset and after <= end:
            return after
    raise ValueError(f"the directory of page {number} is not there as a whole")


def _alone(file: BinaryIO, form: Form, offset: int, after: int, end: int) -> BinaryIO:
    """Return the file as it is seen from one directory on, which is then the only one of its chain.

    Args:
        file: the TIFF.
        form: how numbers stand in it.
        offset: where the directory is.
        after: where it tells the next one.
        end: the file's end.
    """
    header = form.header(offset)
    rest = min(after + form.place_bytes, end)
    between = Range(len(header), after - len(header))
    return spliced(file, [header, between, bytes(form.place_bytes), Range(rest, end - rest)])

"""The pages of a HEIC or AVIF: the pictures of a collection, which its decoder counts and takes by their numbers.

Frames of a sequence are none, nor are pictures that together make one for bright screens.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from dreamd.pictures.containers.boxes import has_gain_map, is_heic, read_boxes
from dreamd.pictures.decoders.heif import sizes_in_heic
from dreamd.pictures.paging.page import Found, Page


def pages_of_boxes(file: BinaryIO, head: bytes, name: str) -> Found:
    """Find the pages of a HEIC or AVIF.

    Args:
        file: the file.
        head: its first bytes.
        name: its name, printable.

    Raises:
        PictureError: pillow-heif is not installed.
        ValueError: it is broken or cut off.
    """
    if has_gain_map(head):
        return
    for number, size in enumerate(_sizes(file, head, name)):
        yield Page(stream=file, size=size, number=number)


def _sizes(file: BinaryIO, head: bytes, name: str) -> Iterable[tuple[int, int]]:
    stream, _ = read_boxes(file, name)
    if is_heic(head):
        return sizes_in_heic(stream, name)
    from dreamd.pictures.decoders.vips import sizes_in_avif  # most pictures need none of it

    return sizes_in_avif(stream)

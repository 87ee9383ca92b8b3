"""Sizes that a file's headers declare beside the picture's own, read before any memory is taken for them."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image, TiffImagePlugin

if TYPE_CHECKING:
    from collections.abc import Iterator


def sizes_used_on_opening(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield each width and height for which Pillow allocates or decodes while it opens the file."""
    file.seek(0)
    magic = file.read(4)
    try:
        if magic == b"GIF8":
            yield from _gif_frame_size(file)
        elif magic == b"\0\0\1\0":
            yield from _icon_sizes(file)
    except (struct.error, IndexError):
        return  # the header ends here; Pillow then says what is wrong with it


def _gif_frame_size(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield the screen's size and the far corner of the first frame.

    That frame may be larger than the screen, and Pillow fills it at once when it is to be disposed of.
    """
    file.seek(6)
    width, height, flags = struct.unpack("<HHB2x", file.read(7))
    yield width, height
    if flags & 0x80:
        file.seek(3 << ((flags & 7) + 1), os.SEEK_CUR)
    while (mark := file.read(1)) and mark != b";":
        if mark == b",":
            left, top, width, height = struct.unpack("<4H", file.read(8))
            yield left + width, top + height
            return
        if mark == b"!":
            file.seek(1, os.SEEK_CUR)
            while block := file.read(1)[0]:
                file.seek(block, os.SEEK_CUR)


def _icon_sizes(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield what the pictures inside an ICO declare themselves: its own index cannot say more than 256."""
    (count,) = struct.unpack("<H", file.read(2))
    entries = [file.read(16) for _ in range(count)]
    for entry in entries:
        file.seek(struct.unpack_from("<I", entry, 12)[0])
        header = file.read(24)
        if header.startswith(b"\x89PNG"):
            yield struct.unpack_from(">II", header, 16)
        else:
            core = header[0] == 12  # the old OS/2 header has 16-bit sides
            width, height = struct.unpack_from("<HH" if core else "<ii", header, 4)
            yield abs(width), abs(height) // 2


def sizes_used_on_loading(image: Image.Image) -> Iterator[tuple[int, int]]:
    """Yield each width and height for which Pillow allocates while it loads an opened picture.

    A TIFF's tile is decoded whole, however small the picture that it is cut to.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        width, height = (image.tag_v2.get(tag, 0) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH))
        yield int(width), int(height)

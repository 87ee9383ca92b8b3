"""Whether all of a film's file is there."""

from __future__ import annotations

from typing import BinaryIO

from dreamd.api import PictureError


def check_whole(file: BinaryIO, form: str) -> None:
    """Raise PictureError when the file is shorter than it says: FFmpeg would end the film early, and say nothing."""
    end = file.seek(0, 2)
    place = 0
    if form == "matroska":
        for _ in range(2):  # the head, and the segment that holds all else
            place += _vint_bytes(file, place)
            width = _vint_bytes(file, place)
            file.seek(place)
            number = int.from_bytes(file.read(width)) & ((1 << 7 * width) - 1)
            place += width
            if number == (1 << 7 * width) - 1:  # it was written live, and lasts as long as it lasts
                return
            place += number
    else:
        has_table = False
        while place < end:
            file.seek(place)
            head = file.read(16)
            has_table |= head[4:8] == b"moov"
            length = int.from_bytes(head[:4])
            length = int.from_bytes(head[8:16]) if length == 1 else length
            if length == 0:
                break
            place += max(8, length)
        if not has_table:
            raise PictureError(
                "a film whose table of contents (moov) is missing, as one that is cut off; copy it again"
            )
    if place > end:
        raise PictureError(f"a film that is cut off: {end} of {place} bytes are there; copy it again")


def _vint_bytes(file: BinaryIO, place: int) -> int:
    """Return how many bytes a number of Matroska's has, by the zeros that it begins with: RFC 8794, 4."""
    file.seek(place)
    first = file.read(1)
    return 9 - first[0].bit_length() if first and first[0] else 8

"""JPEGs whose end is missing: how much of the picture is there, and the picture if it is nearly all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from PIL import Image

from dreamd.errors import PictureError
from dreamd.pictures.containers.jpeg import END, JpegLayout, Scan, read_scans
from dreamd.pictures.containers.spliced import Piece, Range, spliced

_MOST_MISSING = 0.03
"""A picture is dreamed when at most this share of its rows is missing; they are filled with the last row."""

_FILLER = bytes(value % 251 + 1 for value in range(0, 4096 * 7, 7))
"""These bytes, in place of what is missing, decode to something else than nothing does. None of them begins a mark."""

_LAST_COEFFICIENT = 63

_BAND_ROWS = 256
"""Two pictures are compared so many rows at a time."""


def completed_jpeg(file: BinaryIO, layout: JpegLayout, name: str) -> tuple[Image.Image, str] | None:
    """Decode a JPEG whose end is missing.

    Args:
        file: the JPEG.
        layout: its layout.
        name: its name, printable.

    Returns:
        The picture, and what is to be said about it; None when it is not the end that is missing.

    Raises:
        PictureError: too much is missing.
    """
    scans, is_ended = read_scans(file, layout)
    if is_ended or not scans:
        return None
    image = _decoded(file, layout, END)
    if layout.is_progressive and _bring_nearly_everything(scans[:-1], layout.components):
        return image, "its end is missing; the picture is whole, but may lack its finest detail"
    height = image.height
    rows = _rows_there(image, _decoded(file, layout, _FILLER + END))
    missing = height - rows
    if missing > height * _MOST_MISSING:
        share = f"{missing / height:.0%}"
        cut = f"it is cut off after {layout.end:,} bytes: the lower {share} of the picture is missing"
        raise PictureError(f"{name}: not a picture that can be read ({cut}); copy it again")
    if not missing:
        return image, "its end mark is missing; the picture is whole"
    _fill_from(image, rows)
    return image, f"its end is missing; the lowest {missing} of {height} rows are filled with the row above them"


def _bring_nearly_everything(scans: Sequence[Scan], components: int) -> bool:
    """Tell whether these scans bring each coefficient of each channel but for its lowest bit."""
    there: dict[int, set[int]] = {}
    for scan in scans:
        if scan.low_bit <= 1:
            for channel in scan.channels:
                there.setdefault(channel, set()).update(range(scan.first, scan.last + 1))
    everything = set(range(_LAST_COEFFICIENT + 1))
    return len(there) == components and all(channel >= everything for channel in there.values())


def _decoded(file: BinaryIO, layout: JpegLayout, ending: bytes) -> Image.Image:
    pieces: list[Piece] = [*layout.pieces[:-1], *_without_half_a_mark(file, layout), ending]
    image = Image.open(spliced(file, pieces), formats=["JPEG"])
    image.load()
    return image


def _without_half_a_mark(file: BinaryIO, layout: JpegLayout) -> tuple[Piece, ...]:
    file.seek(layout.end - 1)
    return (Range(layout.scans, layout.end - layout.scans - (file.read(1) == b"\xff")),)


def _rows_there(image: Image.Image, other: Image.Image) -> int:
    """Return how many rows do not depend on what stands in place of the missing end."""
    for top in range(0, image.height, _BAND_ROWS):
        box = (0, top, image.width, min(top + _BAND_ROWS, image.height))
        ours, others = np.asarray(image.crop(box)), np.asarray(other.crop(box))
        differs = (ours != others).reshape(len(ours), -1).any(axis=1)
        if differs.any():
            return top + int(differs.argmax())
    return image.height


def _fill_from(image: Image.Image, row: int) -> None:
    last = image.crop((0, row - 1, image.width, row))
    image.paste(last.resize((image.width, image.height - row)), (0, row))

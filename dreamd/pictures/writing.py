"""Writing: a `Picture` becomes a file that is on the disk when the call returns."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

from dreamd.errors import PictureError
from dreamd.files.durable import opened_durably
from dreamd.pictures.colours.profiles import space_of_profile
from dreamd.pictures.descriptions.renewing import renewed
from dreamd.pictures.encoders.heif import encode_heic
from dreamd.pictures.encoders.layout import Depth, Layout, laid_out
from dreamd.pictures.encoders.pillow import encode_by_pillow
from dreamd.pictures.formats import TARGET_OF_FORMAT, Target
from dreamd.pictures.picture import Picture
from dreamd.wording import printable

if TYPE_CHECKING:
    from pathlib import Path


_SLOW_PIXELS = 4_000_000
"""A picture of so many pixels takes a second in a slow format."""


def words_of_slow(format: str, picture: Picture) -> str | None:  # noqa: A002 (its name in Pillow)
    """Return what a person is told while a picture is written in a format that takes long; None for others."""
    target, (height, width) = TARGET_OF_FORMAT[format], picture.pixels.shape[:2]
    if not target.slow or width * height < _SLOW_PIXELS:
        return None
    megapixels = width * height / 1_000_000
    return f"writing {target.word}: {megapixels:.0f} megapixels take about {target.slow} times as long as in jpeg"


def write_picture(
    picture: Picture,
    path: Path,
    *,
    format: str,  # noqa: A002 (its name in Pillow)
    quality: int,
    depth: Depth = "same",
    seed: int = 0,
) -> tuple[str, ...]:
    """Write a picture and wait until the disk has it; the folder's entry is the caller's to sync.

    Alpha, the profile, the description and dots per inch go into formats that have a place for them; alpha is laid
    over white in others, colours become sRGB, and what of the description finds no place is logged.
    A file that is there is replaced. After an error a part of the file may be there.

    Args:
        picture: what to write.
        path: where.
        format: Pillow's name, as `output_format` gives it.
        quality: 1 to 100, for JPEG, WebP, AVIF and HEIC; the other formats are without loss (GIF: 256 colours).
        depth: the bits a sample, as far as the format holds them.
        seed: what the dither is drawn from by which more bits than 8 become 8.

    Returns:
        What the format could not hold, in words.

    Raises:
        PictureError: the format cannot hold a picture this large, or what writes it is not installed.
        SpaceError: the disk or the quota is full.
    """
    target = TARGET_OF_FORMAT[format]
    height, width = picture.pixels.shape[:2]
    name = printable(path.name)
    if max(width, height) > target.max_side:
        limit = f"{width} x {height} pixels, but {target.word} holds {target.max_side} a side"
        raise PictureError(f"{name}: {limit}; set output.format to png")
    layout = laid_out(picture, target, depth=depth, seed=seed)
    described = replace(picture, description=renewed(picture, is_srgb=not layout.profile or _is_srgb(layout.profile)))
    write_durably(path, _encode(layout, described, target, quality, name).getbuffer())
    return layout.notes


def _is_srgb(profile: bytes) -> bool:
    space = space_of_profile(profile)
    return space is not None and space.is_srgb


def _encode(layout: Layout, picture: Picture, target: Target, quality: int, name: str) -> io.BytesIO:
    if target.format == "HEIF":
        return encode_heic(layout, quality, picture.description, name)
    if layout.bits == 8:
        return encode_by_pillow(layout, target, quality, picture.description, picture.dpi, name)
    from dreamd.pictures.encoders.vips import encode_by_vips  # most pictures need none of it

    return encode_by_vips(layout, target, quality, picture.description, picture.dpi, name)


def write_durably(path: Path, data: bytes | memoryview) -> None:
    """Write a file and wait until the disk has it; the folder's entry is the caller's to sync. No link is followed.

    Raises:
        SpaceError: the disk or the quota is full.
    """
    with opened_durably(path) as file:
        file.write(data)

"""Writing: a `Picture` becomes a file that is on the disk when the call returns."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from PIL import Image

from dreamd.errors import PictureError
from dreamd.files.problems import os_errors_explained
from dreamd.pictures.descriptions.written import describe_tiff, described_for
from dreamd.pictures.formats import TARGET_OF_FORMAT, Target
from dreamd.pictures.picture import Picture
from dreamd.wording import printable

if TYPE_CHECKING:
    from pathlib import Path


def write_picture(picture: Picture, path: Path, *, format: str, quality: int) -> None:  # noqa: A002 (its name in Pillow)
    """Write a picture and wait until the disk has it; the folder's entry is the caller's to sync.

    Alpha, the description and dots per inch go into formats that have a place for them; alpha is laid over white in
    others, and what of the description finds no place is logged.
    A file that is there is replaced. After an error a part of the file may be there.

    Args:
        picture: what to write.
        path: where.
        format: Pillow's name, as `output_format` gives it.
        quality: 1 to 100, for JPEG, WebP and AVIF; the other formats are without loss (GIF: 256 colours).

    Raises:
        PictureError: the format cannot hold a picture this large.
        SpaceError: the disk or the quota is full.
    """
    target = TARGET_OF_FORMAT[format]
    height, width = picture.pixels.shape[:2]
    if max(width, height) > target.max_side:
        limit = f"{width} x {height} pixels, but {target.word} holds {target.max_side} a side"
        raise PictureError(f"{printable(path.name)}: {limit}; set output.format to png")
    write_durably(path, _encode(picture, target, quality, printable(path.name)).getbuffer())


def _encode(picture: Picture, target: Target, quality: int, name: str) -> io.BytesIO:
    """Encode in memory: writing straight to the disk, Pillow takes a short write for a whole one."""
    image, options = _laid_out(picture, target), _options(target.format, quality)
    options |= described_for(target.format, picture.description, name)
    if picture.dpi is not None:
        options["dpi"] = picture.dpi
    encoded = io.BytesIO()
    image.save(encoded, target.format, **options)
    # To optimise, libjpeg gets a buffer of one byte a pixel, and fails where fine detail at 4:4:4 does not fit in it.
    if target.format == "JPEG" and encoded.tell() <= image.width * image.height:
        encoded = io.BytesIO()
        image.save(encoded, target.format, optimize=True, **options)
    if target.format == "TIFF":
        describe_tiff(encoded, picture.description)
    return encoded


def _options(format: str, quality: int) -> dict[str, object]:  # noqa: A002 (its name in Pillow)
    options: dict[str, dict[str, object]] = {
        "JPEG": {"quality": quality, "subsampling": "4:4:4"},  # half of a dream's detail is in its colours
        "WEBP": {"quality": quality},
        "AVIF": {"quality": quality, "subsampling": "4:4:4"},
        "PNG": {"compress_level": 4},
        "TIFF": {"compression": "tiff_adobe_deflate"},
    }
    return options.get(format, {})


def _laid_out(picture: Picture, target: Target) -> Image.Image:
    """Return the pixels in a mode that the format holds."""
    image = Image.fromarray(picture.pixels)
    alpha = None if picture.alpha is None else Image.fromarray(picture.alpha)
    if alpha is not None and not target.alpha:
        image = Image.composite(image, Image.new("RGB", image.size, "white"), alpha)
    elif target.format == "GIF":
        image = _with_palette(image, alpha)
    elif alpha is not None:
        image.putalpha(alpha)
    return image


def _with_palette(image: Image.Image, alpha: Image.Image | None) -> Image.Image:
    """Return 256 colours, one of them clear where the picture is more than half transparent."""
    if alpha is None:
        return image.quantize(256)
    clear = 255
    indexed = image.quantize(clear)
    indexed.paste(clear, mask=alpha.point(lambda value: 255 * (value < 128)))
    indexed.info["transparency"] = clear
    return indexed


def write_durably(path: Path, data: bytes | memoryview) -> None:
    """Write a file and wait until the disk has it; the folder's entry is the caller's to sync. No link is followed.

    Raises:
        SpaceError: the disk or the quota is full.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os_errors_explained("write", path), os.fdopen(os.open(path, flags, 0o666), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())

"""Pictures written to files."""

from __future__ import annotations

import errno
import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import ExifTags, Image

from dreamd.errors import PictureError, SpaceError, UnknownNameError
from dreamd.pictures.damage import log
from dreamd.pictures.picture import Picture
from dreamd.wording import printable

if TYPE_CHECKING:
    from pathlib import Path


# ---- writing


@dataclass(frozen=True, kw_only=True)
class _Target:
    """A format that can be written.

    Attributes:
        word: its name in a recipe.
        format: its name in Pillow.
        extension: of the file, with its dot.
        max_side: the longest side it can hold, in pixels.
        alpha: whether it holds an alpha channel.
        exif: whether Pillow writes EXIF into it.
    """

    word: str
    format: str
    extension: str
    max_side: int
    alpha: bool = False
    exif: bool = False


_UNBOUNDED = 2**31 - 1

_TARGETS = (
    _Target(word="jpeg", format="JPEG", extension=".jpg", max_side=65_500, exif=True),
    _Target(word="png", format="PNG", extension=".png", max_side=_UNBOUNDED, alpha=True, exif=True),
    _Target(word="webp", format="WEBP", extension=".webp", max_side=16_383, alpha=True, exif=True),
    _Target(word="avif", format="AVIF", extension=".avif", max_side=32_768, alpha=True, exif=True),
    _Target(word="tiff", format="TIFF", extension=".tif", max_side=_UNBOUNDED, alpha=True, exif=True),
    _Target(word="gif", format="GIF", extension=".gif", max_side=65_535, alpha=True),
    _Target(word="bmp", format="BMP", extension=".bmp", max_side=_UNBOUNDED),
    _Target(word="jpeg2000", format="JPEG2000", extension=".jp2", max_side=_UNBOUNDED, alpha=True),
    _Target(word="ppm", format="PPM", extension=".ppm", max_side=_UNBOUNDED),
    _Target(word="tga", format="TGA", extension=".tga", max_side=65_535, alpha=True),
    _Target(word="pcx", format="PCX", extension=".pcx", max_side=65_535),
    _Target(word="sgi", format="SGI", extension=".sgi", max_side=65_535, alpha=True),
)

_TARGET_OF_WORD = {target.word: target for target in _TARGETS}

_TARGET_OF_FORMAT = {target.format: target for target in _TARGETS}

_SAME_AS = {"MPO": "JPEG", "DIB": "BMP"}  # one still picture of it is that

WRITABLE = tuple(_TARGET_OF_WORD)
"""The words that `output.format` may have, besides "same"."""


def output_format(wanted: str, source: str) -> tuple[str, str]:
    """The format to write.

    Args:
        wanted: "same" or a word of `WRITABLE`.
        source: `Picture.format` of what was read.

    Returns:
        Pillow's name of the format and the file's extension: `("JPEG", ".jpg")`. "same" of a format that cannot be
        written is PNG.

    Raises:
        UnknownNameError: `wanted` is none of these words.
    """
    if wanted == "same":
        target = _TARGET_OF_FORMAT.get(_SAME_AS.get(source, source), _TARGET_OF_WORD["png"])
    elif wanted in _TARGET_OF_WORD:
        target = _TARGET_OF_WORD[wanted]
    else:
        raise UnknownNameError("output format", wanted, ("same", *WRITABLE))
    return target.format, target.extension


def write_picture(picture: Picture, path: Path, *, format: str, quality: int) -> None:  # noqa: A002 (its name in Pillow)
    """Write a picture and wait until the disk has it; the folder's entry is the caller's to sync.

    Alpha, EXIF and dots per inch go into formats that have a place for them; alpha is laid over white in others.
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
    target = _TARGET_OF_FORMAT[format]
    height, width = picture.pixels.shape[:2]
    if max(width, height) > target.max_side:
        limit = f"{width} x {height} pixels, but {target.word} holds {target.max_side} a side"
        raise PictureError(f"{printable(path.name)}: {limit}; set output.format to png")
    _write_durably(path, _encoded(picture, target, quality))


def _encoded(picture: Picture, target: _Target, quality: int) -> io.BytesIO:
    """The file in memory: writing straight to the disk, Pillow takes a short write for a whole one."""
    image, options = _prepared(picture, target), _options(target.format, quality)
    if target.exif and picture.exif is not None:
        options["exif"] = picture.exif
    if picture.dpi is not None:
        options["dpi"] = picture.dpi
    encoded = io.BytesIO()
    try:
        image.save(encoded, target.format, **options)
    except RuntimeError as error:
        # libtiff refuses some cameras' EXIF and GPS folders as a whole; the picture is worth more than they are.
        if target.format != "TIFF" or picture.exif is None:
            raise
        log.warning("the TIFF is written without its EXIF and GPS folders: %s", error)
        options["exif"] = _without_folders(picture.exif)
        encoded = io.BytesIO()
        image.save(encoded, target.format, **options)
    # To optimise, libjpeg gets a buffer of one byte a pixel, and fails where fine detail at 4:4:4 does not fit in it.
    if target.format == "JPEG" and encoded.tell() <= image.width * image.height:
        encoded = io.BytesIO()
        image.save(encoded, target.format, optimize=True, **options)
    return encoded


def _without_folders(exif: bytes) -> bytes:
    """EXIF with what stands in its main folder alone: maker, model, date."""
    main = Image.Exif()
    main.load(exif)
    for folder in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        main.pop(folder, None)
    return main.tobytes()


def _options(format: str, quality: int) -> dict[str, object]:  # noqa: A002 (its name in Pillow)
    options: dict[str, dict[str, object]] = {
        "JPEG": {"quality": quality, "subsampling": "4:4:4"},  # half of a dream's detail is in its colours
        "WEBP": {"quality": quality},
        "AVIF": {"quality": quality, "subsampling": "4:4:4"},
        "PNG": {"compress_level": 4},
        "TIFF": {"compression": "tiff_adobe_deflate"},
    }
    return options.get(format, {})


def _prepared(picture: Picture, target: _Target) -> Image.Image:
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
    """256 colours, one of them clear where the picture is more than half transparent."""
    if alpha is None:
        return image.quantize(256)
    clear = 255
    indexed = image.quantize(clear)
    indexed.paste(clear, mask=alpha.point(lambda value: 255 * (value < 128)))
    indexed.info["transparency"] = clear
    return indexed


def _write_durably(path: Path, data: io.BytesIO) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, 0o666), "wb") as file:
            file.write(data.getbuffer())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        problem = f"{error.strerror} while writing {printable(path.name)}"
        raise SpaceError(f"{printable(str(path.parent))}: {problem}; free some space") from error

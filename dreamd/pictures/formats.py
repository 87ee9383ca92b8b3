"""The formats that a picture can be written in: their words in a recipe, and what each can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dreamd.errors import UnknownNameError

_UNBOUNDED = 2**31 - 1
"""The longest side that any picture has, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A format that can be written.

    Attributes:
        word: its name in a recipe.
        format: its name in Pillow.
        extension: of the file, with its dot.
        max_side: the longest side it can hold, in pixels.
        alpha: whether it holds an alpha channel.
        describes: whether it holds EXIF and XMP.
        profiled: whether it holds an ICC profile.
        grey: whether it holds grey without colours.
        depths: the bits a sample that it can have.
        slow: how many times as long as a JPEG one of 24 megapixels takes, where that is said; 0 for others. Measured by
            `python -m benchmarks --only formats`.
    """

    word: str
    format: str
    extension: str
    max_side: int
    alpha: bool = False
    describes: bool = False
    profiled: bool = False
    grey: bool = False
    depths: tuple[int, ...] = (8,)
    slow: int = 0


_DEEP, _AVIF, _HEIC = (8, 16), (8, 10, 12), (8, 10)
"""The bits a sample of PNG and TIFF, of AVIF, and of HEIC."""


def _rich(word: str, format: str, extension: str, max_side: int, **more: Any) -> Target:  # noqa: A002 (as above)
    """Return a format that holds EXIF, XMP and a profile."""
    fields = {"word": word, "format": format, "extension": extension, "max_side": max_side, **more}
    return Target(**fields, describes=True, profiled=True)


_TARGETS = (
    _rich("jpeg", "JPEG", ".jpg", 65_500, grey=True),
    _rich("png", "PNG", ".png", _UNBOUNDED, alpha=True, grey=True, depths=_DEEP),
    _rich("webp", "WEBP", ".webp", 16_383, alpha=True, slow=14),
    _rich("avif", "AVIF", ".avif", 32_768, alpha=True, depths=_AVIF, slow=7),
    _rich("heic", "HEIF", ".heic", 16_384, alpha=True, depths=_HEIC, slow=11),
    _rich("tiff", "TIFF", ".tif", _UNBOUNDED, alpha=True, grey=True, depths=_DEEP),
    Target(word="gif", format="GIF", extension=".gif", max_side=65_535, alpha=True),
    Target(word="bmp", format="BMP", extension=".bmp", max_side=_UNBOUNDED),
    Target(word="jpeg2000", format="JPEG2000", extension=".jp2", max_side=_UNBOUNDED, alpha=True, slow=10),
    Target(word="ppm", format="PPM", extension=".ppm", max_side=_UNBOUNDED),
    Target(word="tga", format="TGA", extension=".tga", max_side=65_535, alpha=True),
    Target(word="pcx", format="PCX", extension=".pcx", max_side=65_535),
    Target(word="sgi", format="SGI", extension=".sgi", max_side=65_535, alpha=True),
)

_TARGET_OF_WORD = {target.word: target for target in _TARGETS}

TARGET_OF_FORMAT = {target.format: target for target in _TARGETS}
"""Pillow's name of a format leads to what is known of it."""

_SAME_AS = {"MPO": "JPEG", "DIB": "BMP"}
"""One still picture of the format on the left is the format on the right."""

WRITABLE = tuple(_TARGET_OF_WORD)
"""These are the words that `output.format` may have, besides "same"."""


def output_format(wanted: str, source: str) -> tuple[str, str]:
    """Choose the format to write.

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
        target = TARGET_OF_FORMAT.get(_SAME_AS.get(source, source), _TARGET_OF_WORD["png"])
    elif wanted in _TARGET_OF_WORD:
        target = _TARGET_OF_WORD[wanted]
    else:
        raise UnknownNameError("output format", wanted, ("same", *WRITABLE))
    return target.format, target.extension

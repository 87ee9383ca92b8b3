"""The formats that a picture can be written in: their words in a recipe, and what each can hold."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    word: str
    format: str
    extension: str
    max_side: int
    alpha: bool = False
    describes: bool = False


_TARGETS = (
    Target(word="jpeg", format="JPEG", extension=".jpg", max_side=65_500, describes=True),
    Target(word="png", format="PNG", extension=".png", max_side=_UNBOUNDED, alpha=True, describes=True),
    Target(word="webp", format="WEBP", extension=".webp", max_side=16_383, alpha=True, describes=True),
    Target(word="avif", format="AVIF", extension=".avif", max_side=32_768, alpha=True, describes=True),
    Target(word="tiff", format="TIFF", extension=".tif", max_side=_UNBOUNDED, alpha=True, describes=True),
    Target(word="gif", format="GIF", extension=".gif", max_side=65_535, alpha=True),
    Target(word="bmp", format="BMP", extension=".bmp", max_side=_UNBOUNDED),
    Target(word="jpeg2000", format="JPEG2000", extension=".jp2", max_side=_UNBOUNDED, alpha=True),
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

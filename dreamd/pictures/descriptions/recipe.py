"""A recipe inside a picture: a text of PNG, or a property of dreamd's own in XMP. Knows text, and no recipes.

Source: PNG third edition (iTXt); ISO 16684-1 (XMP), and its part 3 for the 64 KB of a JPEG's segment.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO
from xml.dom import minidom

from PIL import Image, UnidentifiedImageError

from dreamd.errors import PictureError
from dreamd.pictures.containers.ancillary import Ancillary, Text
from dreamd.pictures.containers.jpeg import MAX_XMP_SEGMENT
from dreamd.pictures.damage import BAD_DATA, words_of
from dreamd.pictures.decoders.heif import xmp_of_heic
from dreamd.pictures.decoding.prepared import prepared, with_decoders_words
from dreamd.pictures.descriptions.description import Description
from dreamd.pictures.descriptions.xmp import RECIPE_SPACE, packet_of, parsed_xmp
from dreamd.pictures.formats import TARGET_OF_FORMAT
from dreamd.pictures.kinds import READABLE
from dreamd.wording import printable

if TYPE_CHECKING:
    from pathlib import Path

RECIPE_KEYWORD = "dreamd"
"""The text of a PNG that holds a recipe has this keyword."""

MAX_RECIPE_BYTES = 64 * 1024
"""The longest recipe that is written into a picture, in bytes: no longer one is read as a recipe."""

_PROPERTY = "recipe"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_EMPTY = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}"/></x:xmpmeta>'.encode()

_MAGICS = ((0, b"\x89PNG\r\n"), (0, b"\xff\xd8\xff"), (8, b"WEBP"), (4, b"ftyp"), (0, b"II*\0"), (0, b"MM\0*"))
"""The files that recipes are written into begin with these bytes, at this offset."""


def with_recipe(description: Description, recipe: str, picture_format: str) -> tuple[Description, str]:
    """Return a description that holds a recipe too, and why one that finds no place is left out, "" where it has one.

    Args:
        description: what is written into the picture beside it.
        recipe: the recipe's text, in ASCII.
        picture_format: Pillow's name of the format that the picture is written in.
    """
    if len(recipe) > MAX_RECIPE_BYTES:
        problem = f"it takes {len(recipe) // 1024} KB, and a recipe has at most {MAX_RECIPE_BYTES // 1024}"
    elif not TARGET_OF_FORMAT[picture_format].describes:
        problem = f"{picture_format} has no place for it; PNG, JPEG, WebP, AVIF, HEIC and TIFF have"
    elif picture_format == "PNG":
        return replace(description, texts=(*description.texts, Text(keyword=RECIPE_KEYWORD, text=recipe))), ""
    else:
        described = replace(description, xmp=_with_property(description.xmp, recipe))
        if picture_format != "JPEG" or len(described.xmp) <= MAX_XMP_SEGMENT:
            return described, ""
        problem = f"with the picture's XMP it takes {len(described.xmp) // 1024} KB, and a JPEG holds 64; PNG holds it"
    return description, f"the recipe is not written into it: {problem}"


def may_hold_recipe(path: Path) -> bool:
    """Return whether a file is a picture of a format that recipes are written into, by its first bytes.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(16)
    return any(head.startswith(magic, offset) for offset, magic in _MAGICS)


def read_recipe(path: Path, *, max_bytes: int) -> str | None:
    """Return the text of the recipe in a picture, which may be anybody's and anything; None when there is none.

    No pixel is decoded.

    Args:
        path: the picture; links are followed, as a person names it.
        max_bytes: the longest file to read.

    Raises:
        PictureError: it is no picture, or larger than that.
        OSError: it cannot be read.
    """
    name = printable(path.name)
    if path.stat().st_size > max_bytes:
        raise PictureError(f"{name}: more than {max_bytes // 1_000_000} MB")
    with path.open("rb") as file:
        try:
            told = _told_by(file, name)
            found = next((text.text for text in told.texts if text.keyword == RECIPE_KEYWORD), None)
            return found or _property_of(told.xmp)
        except UnidentifiedImageError as error:
            raise PictureError(f"{name}: is no picture that can be read") from error
        except BAD_DATA as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise PictureError(f"{name}: is broken ({words_of(error) or type(error).__name__})") from error


def _told_by(file: BinaryIO, name: str) -> Ancillary:
    ready = prepared(file, name)
    if ready.ancillary.xmp or ready.ancillary.texts:
        return ready.ancillary
    if ready.is_heic:
        return replace(ready.ancillary, xmp=xmp_of_heic(ready.stream, name))
    with Image.open(ready.stream, formats=READABLE) as image:  # the decoder of AVIF knows where its XMP is
        return with_decoders_words(ready.ancillary, image, name)


def _with_property(packet: bytes, recipe: str) -> bytes:
    """Return XMP with the recipe as a property in a description of its own."""
    root = parsed_xmp(packet or _EMPTY)
    document = root.ownerDocument
    assert isinstance(document, minidom.Document)
    spaces = root.getElementsByTagNameNS(_RDF, "RDF")
    holder = root if root.namespaceURI == _RDF else spaces[0] if spaces else None
    if holder is None:
        holder = document.createElementNS(_RDF, "rdf:RDF")
        holder.setAttribute("xmlns:rdf", _RDF)
        root.appendChild(holder)
    prefix = holder.prefix or "rdf"
    others = holder.getElementsByTagNameNS(_RDF, "Description")
    about = others[0].getAttributeNS(_RDF, "about") if others else ""  # all of a packet speak of one thing
    description = document.createElementNS(_RDF, f"{prefix}:Description")
    description.setAttributeNS(_RDF, f"{prefix}:about", about)
    description.setAttribute("xmlns:dreamd", RECIPE_SPACE)
    element = document.createElementNS(RECIPE_SPACE, f"dreamd:{_PROPERTY}")
    element.appendChild(document.createTextNode(recipe))
    description.appendChild(element)
    holder.appendChild(description)
    return packet_of(root)


def _property_of(packet: bytes) -> str | None:
    """Return the recipe in XMP, as an element or, as other programs rewrite it, as an attribute."""
    if RECIPE_SPACE.encode() not in packet:
        return None
    root = parsed_xmp(packet.rstrip(b"\0"))
    for element in root.getElementsByTagNameNS(RECIPE_SPACE, _PROPERTY):
        return "".join(child.data for child in element.childNodes if isinstance(child, minidom.Text))
    for description in root.getElementsByTagNameNS(_RDF, "Description"):
        if description.hasAttributeNS(RECIPE_SPACE, _PROPERTY):
            return str(description.getAttributeNS(RECIPE_SPACE, _PROPERTY))
    return None

"""XMP: which way is up, and a packet that is true of the result too.

Source: ISO 16684-1. The packet is read as XML without a document type, so that no entity can blow it up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.dom import Node, minidom
from xml.parsers.expat import ExpatError

from dreamd.pictures.containers.ancillary import MAX_XMP_BYTES
from dreamd.pictures.containers.companions import GAIN_MAP_NOTE
from dreamd.pictures.damage import left_out_when_broken

_TIFF = "http://ns.adobe.com/tiff/1.0/"
_EXIF = "http://ns.adobe.com/exif/1.0/"
_PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
_XMP = "http://ns.adobe.com/xap/1.0/"

_KEPT_TIFF = {"Make", "Model", "Artist", "Copyright", "ImageDescription", "Software", "DateTime"}
"""TIFF's properties that speak of the picture; the others tell its size, channels and compression."""

_DROPPED = {
    *((_EXIF, name) for name in ("PixelXDimension", "PixelYDimension", "ColorSpace", "NativeDigest", "Gamma")),
    *((_PHOTOSHOP, name) for name in ("ICCProfile", "ColorMode", "LegacyIPTCDigest")),
    (_XMP, "Thumbnails"),
}
"""These properties are true of the old file only."""

RECIPE_SPACE = "urn:dreamd:xmp:1.0/"
"""dreamd's own namespace, whose property `recipe` is how a result was made."""

_GAIN_MAP_SPACES = {"http://ns.adobe.com/hdr-gain-map/1.0/", "http://ns.apple.com/HDRGainMap/1.0/"}
"""These namespaces tell of a gain map."""

_CAMERA = "http://ns.google.com/photos/1.0/camera/"
"""This namespace tells of a motion photo."""

_DROPPED_SPACES = {
    RECIPE_SPACE,  # the result of a result has a recipe of its own
    "http://ns.adobe.com/xmp/note/",  # a promise of more XMP, which is not carried over
    *_GAIN_MAP_SPACES,  # these tell of other pictures in the same file
    _CAMERA,
    "http://ns.google.com/photos/1.0/container/",
    "http://ns.google.com/photos/1.0/depthmap/",
    "http://ns.google.com/photos/1.0/image/",
    "http://ns.google.com/photos/1.0/audio/",
    "http://ns.adobe.com/camera-raw-settings/1.0/",  # how a raw file was developed: it would be done again
}
"""Properties of these namespaces are true of the old file only."""

_HEAD = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'.encode()
_TAIL = b'<?xpacket end="w"?>'

_MAX_TAGS = 20_000
"""The number of tags that XMP may have: each takes a thousand bytes of memory."""

_MAX_DEPTH = 64
"""XMP is nested no deeper than this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Xmp:
    """What XMP says.

    Attributes:
        orientation: 1 to 8; None when it does not say.
        kept: the packet as it is true of the result, which stands upright; b"" for none.
        notes: what it tells of that lies in the file beside the picture, in words.
    """

    orientation: int | None = None
    kept: bytes = b""
    notes: tuple[str, ...] = ()


def read_xmp(packet: bytes, name: str) -> Xmp:
    """Read XMP; a broken packet is logged and left out.

    Args:
        packet: the XMP; b"" when there is none.
        name: the picture's file name, printable.
    """
    if not packet.strip(b"\0 \r\n\t"):
        return Xmp()
    with left_out_when_broken("XMP", name):
        root = parsed_xmp(packet.rstrip(b"\0"))
        orientation = None
        notes: set[str] = set()
        for element in list(_elements(root, 0)):
            notes |= _companions(element)
            orientation = _make_true(element) or orientation
            _drop_if_emptied(element)
        return Xmp(orientation=orientation, kept=packet_of(root), notes=tuple(sorted(notes)))
    return Xmp()


_MOTION = {(_CAMERA, name) for name in ("MotionPhoto", "MicroVideo")}

_MOTION_NOTE = "it is a motion photo: its picture was dreamed, and its film is left out"


def _companions(element: minidom.Element) -> set[str]:
    """Return, in words, what an element tells of that lies in the file beside the picture."""
    properties = [(item.namespaceURI, item.localName) for item in (element.attributes or {}).values()]
    properties.append((element.namespaceURI, element.localName))
    notes = set()
    if any(space in _GAIN_MAP_SPACES for space, _ in properties):
        notes.add(GAIN_MAP_NOTE)
    if any(told in _MOTION for told in properties):
        notes.add(_MOTION_NOTE)
    return notes


_PLACES = {
    *((_PHOTOSHOP, name) for name in ("City", "State", "Country")),
    *(("http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/", name) for name in ("Location", "CountryCode")),
    *(
        ("http://iptc.org/std/Iptc4xmpExt/2008-02-29/", name)
        for name in ("LocationShown", "LocationCreated", "WorldRegion", "CountryName", "ProvinceState", "Sublocation")
    ),
}
"""These properties tell the place by its names."""

_PLACE_WORDS = ("gps", "latitude", "longitude", "altitude")
"""A property of any namespace whose name holds one of these tells the place by numbers, as drones write it too."""


def without_location(packet: bytes) -> bytes:
    """Return XMP that `read_xmp` kept without what tells the place; b"" stays that."""
    if not packet:
        return b""
    root = parsed_xmp(packet)
    for element in list(_elements(root, 0)):
        for attribute in list((element.attributes or {}).values()):
            if _is_place(attribute.namespaceURI, attribute.localName):
                element.removeAttributeNode(attribute)
        for child in list(element.childNodes):
            if child.nodeType == Node.ELEMENT_NODE and _is_place(child.namespaceURI, child.localName):
                element.removeChild(child)
    return packet_of(root)


def _is_place(space: str | None, name: str | None) -> bool:
    return (space, name) in _PLACES or any(word in (name or "").lower() for word in _PLACE_WORDS)


def packet_of(root: minidom.Element) -> bytes:
    """Return XMP as it is written into a file."""
    return _HEAD + root.toxml().encode("utf-8") + _TAIL


def parsed_xmp(packet: bytes) -> minidom.Element:
    """Parse a packet, which may be anybody's. Raises ValueError when it is no XMP, or more of it than is read."""
    if len(packet) > MAX_XMP_BYTES or packet.count(b"<") > _MAX_TAGS:
        raise ValueError(f"{len(packet)} bytes is too long")
    if re.search(rb"<!\s*(DOCTYPE|ENTITY)", packet, re.IGNORECASE) or packet.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError("it has a document type, or is no UTF-8")
    try:
        root = minidom.parseString(packet).documentElement
    except ExpatError as error:
        raise ValueError(str(error)) from error
    if root is None:
        raise ValueError("it is empty")
    return root


def _elements(element: minidom.Element, depth: int) -> Iterator[minidom.Element]:
    if depth > _MAX_DEPTH:
        raise ValueError("it is nested too deep")
    yield element
    for child in list(element.childNodes):
        if child.nodeType == Node.ELEMENT_NODE:
            yield from _elements(child, depth + 1)


def _make_true(element: minidom.Element) -> int | None:
    """Remove from an element what is true of the old file only; return the orientation, if it told one."""
    orientation = None
    for attribute in list((element.attributes or {}).values()):
        if (attribute.namespaceURI, attribute.localName) == (_TIFF, "Orientation"):
            orientation = _number(attribute.value)
            attribute.value = "1"
        elif _is_old(attribute.namespaceURI, attribute.localName):
            element.removeAttributeNode(attribute)
    for child in list(element.childNodes):
        if child.nodeType != Node.ELEMENT_NODE:
            continue
        if (child.namespaceURI, child.localName) == (_TIFF, "Orientation") and child.firstChild is not None:
            orientation = _number(child.firstChild.nodeValue)
            child.firstChild.nodeValue = "1"
        elif _is_old(child.namespaceURI, child.localName):
            element.removeChild(child)
    return orientation


def _drop_if_emptied(element: minidom.Element) -> None:
    """Remove a description of dreamd's own that held a recipe only, so that none is left of each dream of a dream."""
    attributes = list((element.attributes or {}).values())
    spaces = [attribute for attribute in attributes if attribute.name.startswith("xmlns")]
    says_nothing = len(attributes) - len(spaces) <= element.hasAttribute("rdf:about") and not any(
        child.nodeType == Node.ELEMENT_NODE for child in element.childNodes
    )
    is_own = any(attribute.value == RECIPE_SPACE for attribute in spaces)
    if is_own and says_nothing and element.parentNode is not None:
        element.parentNode.removeChild(element)


def _is_old(space: str | None, name: str | None) -> bool:
    if space == _TIFF:
        return name not in _KEPT_TIFF
    return space in _DROPPED_SPACES or (space, name) in _DROPPED


def _number(text: str | None) -> int | None:
    number = int(text) if text and text.strip().isascii() and text.strip().isdigit() else 0
    return number if 1 <= number <= 8 else None

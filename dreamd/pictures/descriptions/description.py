"""A description: all that is carried over from a picture to its dream, and how each format holds it."""

from __future__ import annotations

from dataclasses import dataclass

from dreamd.pictures.containers.ancillary import Text


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What authors and cameras wrote about a picture, as far as it is true of its dream too.

    Attributes:
        exif: a TIFF structure; b"" for none.
        xmp: an XMP packet; b"" for none.
        iptc: IPTC-IIM records; b"" for none.
        texts: comments and the like.
        has_thumbnail: whether the EXIF held a small copy of the picture, and a new one is to be made.
    """

    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    texts: tuple[Text, ...] = ()
    has_thumbnail: bool = False

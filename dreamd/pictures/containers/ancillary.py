"""What a file holds beside its pixels, in the file's own bytes."""

from __future__ import annotations

from dataclasses import dataclass

from dreamd.pictures.colours.spaces import ColourSpace


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A text that somebody wrote into a picture.

    Attributes:
        keyword: what it is: "Comment", "parameters".
        text: the text itself.
        chunk: the kind and the data of the PNG chunk that held it; None for a text of another format.
    """

    keyword: str
    text: str
    chunk: tuple[bytes, bytes] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ancillary:
    """What a file says about its picture.

    Attributes:
        exif: a TIFF structure, without the `Exif` in front of it; b"" when there is none.
        xmp: an XMP packet; b"" when there is none.
        iptc: IPTC-IIM records; b"" when there are none.
        texts: comments and the like.
        profile: an ICC profile; b"" when there is none.
        space: the colour space that the format itself tells; None for sRGB, and when there is none.
        is_srgb: the format itself says that it is sRGB, whatever EXIF says.
        dpi: dots per inch, across and down.
        orientation: as the format itself tells it, 1 to 8, whatever EXIF and XMP say; None when they are to be asked.
        notes: what a person should know of what else the file holds, in words.
    """

    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    texts: tuple[Text, ...] = ()
    profile: bytes = b""
    space: ColourSpace | None = None
    is_srgb: bool = False
    dpi: tuple[float, float] | None = None
    orientation: int | None = None
    notes: tuple[str, ...] = ()


EXIF_MARK = b"Exif\0\0"
"""Some formats put these bytes before the TIFF structure of EXIF."""

MAX_EXIF_BYTES = 16 << 20
"""The longest EXIF that is kept, in bytes; a camera's maker note can take a few megabytes."""

MAX_XMP_BYTES = 1 << 20
"""The longest XMP that is kept, in bytes; longer ones hold pictures and not words."""

MAX_IPTC_BYTES = 1 << 20
"""The longest IPTC records that are kept, in bytes."""

MAX_PROFILE_BYTES = 16 << 20
"""The longest ICC profile that is kept, in bytes; those of printers take a few megabytes."""

MAX_TEXT_BYTES = 1 << 20
"""The longest text that is kept, in bytes: other programs would refuse a result with a longer one."""

MAX_TEXTS_BYTES = 4 << 20
"""All texts of a picture together are no longer than this; what comes later is left out."""

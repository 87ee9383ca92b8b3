"""What a file says about its picture: which way is up, EXIF to keep, and dots per inch."""

from __future__ import annotations

import math

import numpy as np
from PIL import ExifTags, Image

from dreamd.pictures.damage import left_out_when_broken
from dreamd.pictures.picture import Bytes

_MAX_EXIF_BYTES = 65_533
"""One segment of a JPEG holds so many bytes of EXIF."""

_MAX_DPI = 65_535
"""JPEG has 16 bits for the dots per inch."""

_KEPT_TAGS = (
    *(ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Software),
    *(ExifTags.Base.DateTime, ExifTags.Base.Artist, ExifTags.Base.HostComputer, ExifTags.Base.Copyright),
    *(ExifTags.Base.Rating, ExifTags.Base.XPTitle, ExifTags.Base.XPComment, ExifTags.Base.XPAuthor),
    *(ExifTags.Base.XPKeywords, ExifTags.Base.XPSubject),
)
"""These tags speak of the picture and not of the file: a TIFF's directory holds its strips and compression as well."""

_DROPPED_TAGS = frozenset(
    {
        *(ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight),  # of the picture before it was dreamed
        *(ExifTags.Base.MakerNote, ExifTags.Base.ExifInteroperabilityOffset),  # full of offsets into the old file
        *(ExifTags.Base.ExifOffset, ExifTags.Base.GPSInfo, ExifTags.Base.Orientation),  # none belongs this deep
        ExifTags.Base.ColorSpace,  # the pixels are sRGB now
    }
)
"""These tags of the inner directories are true of the old file only."""


def upright(array: Bytes, orientation: int) -> Bytes:
    """Return a contiguous, writable copy of `array` (`[H, W, …]`), turned as EXIF orientation 1 to 8 says."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.array(array, order="C")


def orientation_of(image: Image.Image, name: str) -> int:
    """Return the EXIF orientation, 1 to 8; 1, which is upright, when there is none or it is broken."""
    with left_out_when_broken("EXIF orientation", name):
        orientation = _checked_exif(image).get(ExifTags.Base.Orientation, 1)
        return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
    return 1


def _checked_exif(image: Image.Image) -> Image.Exif:
    raw = image.info.get("exif") or image.info.get("Raw profile type exif") or b""
    # Every entry of a directory may point at all of the data: the longer it is, the more memory that takes, squared.
    if len(raw) > 2 * _MAX_EXIF_BYTES:
        raise ValueError(f"{len(raw)} bytes is too long")
    return image.getexif()


def kept_exif(image: Image.Image, name: str) -> bytes | None:
    """Return the EXIF that is true of the result too, ready to be written; None when there is none or it is broken."""
    with left_out_when_broken("EXIF", name):
        old = _checked_exif(image)
        new = Image.Exif()
        for tag in _KEPT_TAGS:
            if tag in old:
                new[tag] = old[tag]
        for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            kept = {tag: value for tag, value in old.get_ifd(directory).items() if tag not in _DROPPED_TAGS}
            if kept:
                new[directory] = kept
        return _exif_bytes(new)
    return None


def _exif_bytes(exif: Image.Exif) -> bytes | None:
    if not len(exif):
        return None
    written = exif.tobytes()
    if len(written) > _MAX_EXIF_BYTES:
        raise ValueError(f"{len(written)} bytes is too long")
    Image.Exif().load(written)  # what cannot be read again must not be written
    return written


def resolution(image: Image.Image, name: str) -> tuple[float, float] | None:
    """Return the dots per inch, across and down; None when the file does not say."""
    with left_out_when_broken("resolution", name):
        across, down = (float(value) for value in image.info.get("dpi", (0, 0)))
        # Pillow gives 1 for a TIFF that says nothing.
        if all(math.isfinite(value) and 1 < value <= _MAX_DPI for value in (across, down)):
            return across, down
    return None

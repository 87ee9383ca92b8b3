"""What a description says of the old file's pixels, said of the result: which way is up, sizes, colours, thumbnail."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import numpy as np
from PIL import Image

from dreamd.pictures.containers.directory import LONG, SHORT, Entry, Order
from dreamd.pictures.descriptions.description import Description
from dreamd.pictures.descriptions.exif import MAX_KEPT_BYTES
from dreamd.pictures.descriptions.exif_block import parsed_exif
from dreamd.pictures.picture import Picture, bytes_of

_ORIENTATION, _UPRIGHT = 0x0112, 1
_COLOUR_SPACE, _SRGB, _UNCALIBRATED = 0xA001, 1, 0xFFFF
_WIDTH, _HEIGHT = 0xA002, 0xA003

_THUMBNAIL_SIDE = 160
"""The longest side of a thumbnail in pixels (CIPA DC-008, 4.5.4: 160 x 120)."""

_THUMBNAIL_QUALITY = 80


def renewed(picture: Picture, *, is_srgb: bool) -> Description:
    """Return a picture's description as it is true of that picture.

    Args:
        picture: the result, upright.
        is_srgb: whether it is written in sRGB.
    """
    description = picture.description
    if not description.exif:
        return description
    old = parsed_exif(description.exif, longest=MAX_KEPT_BYTES)
    order = old.order
    main = {**old.main, _ORIENTATION: _short(order, _UPRIGHT)}
    exif = dict(old.exif)
    if exif:
        height, width = picture.pixels.shape[:2]
        exif[_COLOUR_SPACE] = _short(order, _SRGB if is_srgb else _UNCALIBRATED)
        exif |= {_WIDTH: _long(order, width), _HEIGHT: _long(order, height)}
    new = replace(old, main=main, exif=exif, thumbnail=b"")
    if description.has_thumbnail:
        with_one = replace(new, thumbnail=_thumbnail_of(picture))
        new = with_one if len(with_one.block()) <= MAX_KEPT_BYTES else new
    block = new.block()
    return replace(description, exif=block if len(block) <= MAX_KEPT_BYTES else description.exif)


def _short(order: Order, value: int) -> Entry:
    return Entry(SHORT, struct.pack(f"{order}H", value))


def _long(order: Order, value: int) -> Entry:
    return Entry(LONG, struct.pack(f"{order}I", value))


def _thumbnail_of(picture: Picture) -> bytes:
    """Return a small JPEG of a picture, in sRGB, as thumbnails are."""
    height, width = picture.pixels.shape[:2]
    step = max(1, max(height, width) // (4 * _THUMBNAIL_SIDE))  # what is thinned out here would be averaged below
    small = Image.fromarray(np.ascontiguousarray(bytes_of(picture.pixels[::step, ::step])))
    small.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=_THUMBNAIL_QUALITY)
    return encoded.getvalue()

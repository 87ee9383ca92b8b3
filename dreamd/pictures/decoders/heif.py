"""libheif decodes HEIC, by the extra `heic`, in the depth that the picture has.

It turns the picture itself, so that no orientation is left to apply, and hands 10 and 12 bit over at the upper end of
16, so that white is not 65535.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from dreamd.errors import PictureError
from dreamd.pictures.containers.companions import GAIN_MAP_NOTE, other_pictures_note
from dreamd.pictures.decoders.raster import CheckSize, DeepPicture, Raster, raster_of_codes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from pillow_heif import HeifFile

_GAIN_MAP = "hdrgainmap"
"""The kind of an auxiliary picture that Apple's phones add holds this word."""

INSTALL = "HEIC needs the package pillow-heif: install dreamd with its extra, pip install 'dreamd[heic]'"
"""This is what to do where HEIC can be neither read nor written."""


def decode_heic(stream: BinaryIO, check_size: CheckSize, name: str, number: int | None = None) -> DeepPicture:
    """Decode a picture of a HEIC.

    Args:
        stream: the prepared file.
        check_size: called before memory is taken.
        name: its name, printable.
        number: which picture, from 0; None: the main one.

    Raises:
        PictureError: `check_size` says so, or pillow-heif is not installed.
        ValueError: it is broken or cut off.
        OSError: the disk failed.
    """
    with _opened(stream, name) as opened:
        image = opened[opened.primary_index if number is None else number]
        check_size(*image.size)
        values = np.asarray(image)
        is_main = number in (None, opened.primary_index)
    bits = image.info.get("bit_depth")
    raster = _raster(values, bits if isinstance(bits, int) else 8, is_associated=image.premultiplied_alpha)
    notes = (other_pictures_note(str(len(opened))),) if number is None and len(opened) > 1 else ()
    auxiliaries = image.info.get("aux")
    if isinstance(auxiliaries, dict) and any(_GAIN_MAP in str(kind) for kind in auxiliaries):
        notes += (GAIN_MAP_NOTE,)
    profile, xmp, exif = (_bytes(image.info.get(key)) for key in ("icc_profile", "xmp", "exif"))
    return DeepPicture(raster=raster, profile=profile, xmp=xmp, exif=exif, is_main=is_main, notes=notes)


def sizes_in_heic(stream: BinaryIO, name: str) -> list[tuple[int, int]]:
    """Return width and height of each picture of a HEIC; no pixel is decoded. Raises as `decode_heic`."""
    with _opened(stream, name) as opened:
        return [image.size for image in opened]


def xmp_of_heic(stream: BinaryIO, name: str) -> bytes:
    """Return the XMP of the main picture of a HEIC, b"" for none; no pixel is decoded. Raises as `decode_heic`."""
    with _opened(stream, name) as opened:
        return _bytes(opened[opened.primary_index].info.get("xmp"))


@contextmanager
def _opened(stream: BinaryIO, name: str) -> Iterator[HeifFile]:
    """Give the opened file; what its decoder raises inside becomes a ValueError."""
    try:
        import pillow_heif  # an extra
    except ImportError as error:
        raise PictureError(f"{name}: a HEIC picture; {INSTALL}") from error
    stream.seek(0)
    try:
        yield pillow_heif.open_heif(stream, convert_hdr_to_8bit=False)
    except (ValueError, RuntimeError, EOFError, SyntaxError, IndexError) as error:
        raise ValueError(f"a HEIC picture that is broken or cut off: {error}") from error


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _raster(values: NDArray[Any], bits: int, *, is_associated: bool) -> Raster:
    channels = 1 if values.ndim == 2 else values.shape[2]
    alpha = values[..., channels - 1] if channels in (2, 4) else None
    levels = values if values.ndim == 2 else values[..., 0] if channels < 3 else values[..., :3]
    return raster_of_codes(levels, bits, alpha=alpha, is_associated=is_associated)

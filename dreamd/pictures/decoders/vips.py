"""libvips decodes what has more than 8 bit a sample: PNG, TIFF and AVIF, value for value.

It reads through the prepared stream, never by a name, and only by the loader that is asked for. Its header is read
before any pixel, so that sizes are checked first; a file that is cut off is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dreamd.pictures.colours.conversion import Levels
from dreamd.pictures.decoders.raster import CheckSize, DeepLayout, DeepPicture, Raster, raster_of_codes
from dreamd.pictures.decoders.rasters import stretched_floats
from dreamd.pictures.libvips import pyvips

_WHITE = 65_535


@dataclass(eq=False)
class _Feed:
    """Feeds libvips from a stream, and keeps the first error of the disk, which libvips has no word for."""

    stream: BinaryIO
    error: OSError | None = field(default=None)

    def read(self, size: int) -> bytes:
        try:
            return self.stream.read(size)
        except OSError as error:
            self.error = self.error or error
            return b""

    def seek(self, offset: int, whence: int) -> int:
        try:
            return self.stream.seek(offset, whence)
        except OSError as error:
            self.error = self.error or error
            return -1


def decode_deep(stream: BinaryIO, layout: DeepLayout, check_size: CheckSize) -> DeepPicture:
    """Decode a picture of more than 8 bit.

    Args:
        stream: the prepared file.
        layout: what is known of it.
        check_size: called before memory is taken.

    Raises:
        PictureError: `check_size` says so.
        ValueError: it is broken or cut off.
        OSError: the disk failed.
    """
    check_size(*layout.tile)
    with _opened(stream, layout) as image:
        check_size(image.width, image.height)
        values: NDArray[Any] = image.numpy()
        profile, xmp = _blob(image, "icc-profile-data"), _blob(image, "xmp-data")
        if layout.kind != "AVIF" or layout.page is None:
            return DeepPicture(raster=_raster(values, layout), profile=profile, xmp=xmp)
        raster = _raster(values, replace(layout, bits=image.get("bits-per-sample")))
        exif, is_main = _blob(image, "exif-data"), bool(image.get("heif-primary") == layout.page)
        return DeepPicture(raster=raster, profile=profile, xmp=xmp, exif=exif, is_main=is_main)


def sizes_in_avif(stream: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield width and height of each picture of an AVIF; no pixel is decoded. Raises as `decode_deep`."""
    count, number = 1, 0
    while number < count:
        with _opened(stream, DeepLayout(kind="AVIF", bits=8, page=number)) as image:
            count = image.get("n-pages")
            yield image.width, image.height
        number += 1


@contextmanager
def _opened(stream: BinaryIO, layout: DeepLayout) -> Iterator[pyvips.Image]:
    """Give the image whose header was read; what libvips raises inside becomes a ValueError."""
    feed = _Feed(stream)
    stream.seek(0)
    source = pyvips.SourceCustom()
    source.on_read(feed.read)
    source.on_seek(feed.seek)
    try:
        yield _loaded(source, layout)
    except pyvips.Error as error:
        if feed.error is not None:
            raise feed.error from error
        reason = error.detail.strip().partition("\n")[0]
        raise ValueError(f"it is broken or cut off: {reason}") from error


def _loaded(source: pyvips.SourceCustom, layout: DeepLayout) -> pyvips.Image:
    options: dict[str, str | int] = {"access": "sequential", "fail_on": "truncated"}
    if layout.kind == "PNG":
        return pyvips.Image.pngload_source(source, **options)
    if layout.page is not None:
        options["page"] = layout.page
    if layout.kind == "TIFF":
        return pyvips.Image.tiffload_source(source, **options)
    return pyvips.Image.heifload_source(source, **options)


def _blob(image: pyvips.Image, name: str) -> bytes:
    return bytes(image.get(name)) if image.get_typeof(name) else b""


def _raster(values: NDArray[Any], layout: DeepLayout) -> Raster:
    values = values if values.ndim == 3 else values[..., None]
    colours = 3 if values.shape[2] >= 3 else 1
    alpha = values[..., colours] if layout.has_alpha and values.shape[2] > colours else None
    levels = values[..., :3] if colours == 3 else values[..., 0]
    if values.dtype not in (np.uint8, np.uint16):
        return _from_wide(levels, alpha)
    if layout.white_is_zero:
        levels = (np.iinfo(levels.dtype).max - levels).astype(levels.dtype)
    return raster_of_codes(levels, layout.bits, alpha=alpha, is_associated=layout.is_associated)


def _from_wide(levels: NDArray[Any], alpha: NDArray[Any] | None) -> Raster:
    """Return values of 32 bit, whole or not, as a raster."""
    if levels.dtype.kind == "u":
        scale = float(np.iinfo(levels.dtype).max)
        raster = Raster(levels=(levels / scale).astype(np.float32), white=1, depth=16)
        shares = None if alpha is None else alpha / scale
    else:
        raster = stretched_floats(levels.astype(np.float32))
        shares = None if alpha is None else np.nan_to_num(alpha.astype(np.float64))
    if shares is None:
        return raster
    sixteen = np.rint(np.clip(shares, 0, 1) * _WHITE).astype(np.uint16)
    return Raster(levels=raster.levels, white=1, depth=16, alpha=sixteen)


def through_tables(levels: Levels, profile: bytes) -> NDArray[np.uint16]:
    """Return values of 16 bit, grey `[H, W]` or `[H, W, 3]`, through an ICC profile with tables, as sRGB `[H, W, 3]`.

    Raises:
        ValueError: the profile is broken.
    """
    height, width = levels.shape[:2]
    bands = 1 if levels.ndim == 2 else 3
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(levels), width, height, bands, "ushort")
    image = image.copy(interpretation="grey16" if bands == 1 else "rgb16")
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    try:
        shown: NDArray[np.uint16] = image.icc_transform("srgb", embedded=True, depth=16).numpy()
    except pyvips.Error as error:
        raise ValueError(error.detail.strip().partition("\n")[0]) from error
    return shown

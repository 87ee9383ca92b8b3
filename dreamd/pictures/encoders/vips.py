"""libvips encodes what has more than 8 bit a sample: PNG, TIFF and AVIF."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np

from dreamd.pictures.containers.png import with_chunks
from dreamd.pictures.descriptions.description import Description
from dreamd.pictures.descriptions.written import describe_tiff, described_for, png_chunks
from dreamd.pictures.encoders.layout import Layout
from dreamd.pictures.formats import Target
from dreamd.pictures.libvips import pyvips

_MILLIMETRES_AN_INCH = 25.4
_INCHES_A_METRE = 0.0254

_AVIF_EFFORT = 1
"""libvips counts it from 0 to 9; at 1 AVIF takes the time that Pillow's speed 8 does."""


def encode_by_vips(
    layout: Layout, target: Target, quality: int, description: Description, dpi: tuple[float, float] | None, name: str
) -> io.BytesIO:
    """Encode in memory.

    Args:
        layout: the picture, of more than 8 bit.
        target: the format: PNG, TIFF or AVIF.
        quality: 1 to 100, for AVIF.
        description: what is written beside the pixels.
        dpi: dots per inch, across and down.
        name: the result's file name, printable, for the log.
    """
    image = _image(layout)
    if target.format == "PNG":
        encoded = image.pngsave_buffer(compression=4, filter="sub", bitdepth=16, keep="none")
        return io.BytesIO(with_chunks(encoded, [*_png_words(layout.profile, dpi), *png_chunks(description)]))
    if target.format == "TIFF":
        return _tiff(image, layout, description, dpi)
    words = described_for(target.format, description, name)
    blobs = {"icc-profile-data": layout.profile, "exif-data": words.get("exif"), "xmp-data": words.get("xmp")}
    for field, blob in blobs.items():
        if isinstance(blob, bytes) and blob:
            image.set_type(pyvips.GValue.blob_type, field, blob)
    options = {"compression": "av1", "Q": quality, "effort": _AVIF_EFFORT, "bitdepth": layout.bits}
    return io.BytesIO(image.heifsave_buffer(subsample_mode="off", **options))


def _image(layout: Layout) -> pyvips.Image:
    channels = layout.levels if layout.levels.ndim == 3 else layout.levels[..., None]
    is_grey = channels.shape[2] == 1
    if layout.alpha is not None:
        channels = np.concatenate([channels, layout.alpha[..., None]], axis=2)
    if layout.bits < 16:  # libvips takes 10 and 12 bit at the upper end of 16
        channels = channels << (16 - layout.bits)
    height, width, bands = channels.shape
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(channels), width, height, bands, "ushort")
    return image.copy(interpretation="grey16" if is_grey else "rgb16")


def _png_words(profile: bytes, dpi: tuple[float, float] | None) -> list[tuple[bytes, bytes]]:
    chunks = []
    if profile:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile)))
    if dpi is not None:
        across, down = (round(value / _INCHES_A_METRE) for value in dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", across, down, 1)))
    return chunks


def _tiff(image: pyvips.Image, layout: Layout, description: Description, dpi: tuple[float, float] | None) -> io.BytesIO:
    options = {"compression": "deflate", "predictor": "horizontal", "keep": "none"}
    if dpi is not None:
        image = image.copy(xres=dpi[0] / _MILLIMETRES_AN_INCH, yres=dpi[1] / _MILLIMETRES_AN_INCH)
        options["resunit"] = "inch"
    encoded = io.BytesIO(image.tiffsave_buffer(**options))
    describe_tiff(encoded, description, profile=layout.profile)
    return encoded

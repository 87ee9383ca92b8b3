"""Pillow encodes what has 8 bit a sample."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from PIL import Image

from dreamd.pictures.descriptions.description import Description
from dreamd.pictures.descriptions.written import describe_tiff, described_for
from dreamd.pictures.encoders.layout import Layout
from dreamd.pictures.formats import Target


def encode_by_pillow(
    layout: Layout, target: Target, quality: int, description: Description, dpi: tuple[float, float] | None, name: str
) -> io.BytesIO:
    """Encode in memory: writing straight to the disk, Pillow takes a short write for a whole one.

    Args:
        layout: the picture, of 8 bit.
        target: the format.
        quality: 1 to 100.
        description: what is written beside the pixels.
        dpi: dots per inch, across and down.
        name: the result's file name, printable, for the log.
    """
    image, options = _image(layout, target), _options(target.format, quality)
    options |= described_for(target.format, description, name)
    if dpi is not None:
        options["dpi"] = dpi
    if layout.profile:
        options["icc_profile"] = layout.profile
    # OpenJPEG looks for its number of threads here, and Pillow has no option for it.
    os.environ.setdefault("OPJ_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    encoded = io.BytesIO()
    image.save(encoded, target.format, **options)
    # To optimise, libjpeg gets a buffer of one byte a pixel, and fails where fine detail at 4:4:4 does not fit in it.
    if target.format == "JPEG" and encoded.tell() <= image.width * image.height:
        encoded = io.BytesIO()
        image.save(encoded, target.format, optimize=True, **options)
    if target.format == "TIFF":
        describe_tiff(encoded, description)
    return encoded


def _options(format: str, quality: int) -> dict[str, Any]:  # noqa: A002 (its name in Pillow)
    options: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": quality, "subsampling": "4:4:4"},  # half of a dream's detail is in its colours
        "WEBP": {"quality": quality},
        # Speed 8 takes a tenth of the time of 6, for files of the same size at the same error.
        "AVIF": {"quality": quality, "subsampling": "4:4:4", "speed": 8, "max_threads": len(os.sched_getaffinity(0))},
        "PNG": {"compress_level": 4},
        "TIFF": {"compression": "tiff_adobe_deflate"},
    }
    return options.get(format, {})


def _image(layout: Layout, target: Target) -> Image.Image:
    """Return the levels in a mode that the format holds."""
    image = Image.fromarray(np.ascontiguousarray(layout.levels))
    alpha = None if layout.alpha is None else Image.fromarray(layout.alpha)
    if alpha is not None and not target.alpha:
        image = Image.composite(image, Image.new(image.mode, image.size, "white"), alpha)
    elif target.format == "GIF":
        image = _with_palette(image, alpha)
    elif alpha is not None:
        image.putalpha(alpha)
    return image


def _with_palette(image: Image.Image, alpha: Image.Image | None) -> Image.Image:
    """Return 256 colours, one of them clear where the picture is more than half transparent."""
    if alpha is None:
        return image.quantize(256)
    clear = 255
    indexed = image.quantize(clear)
    indexed.paste(clear, mask=alpha.point(lambda value: 255 * (value < 128)))
    indexed.info["transparency"] = clear
    return indexed

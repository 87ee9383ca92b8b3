"""Decoding: a file becomes a `Picture`, by the decoder that keeps its depth, in the colours that it says."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
from PIL import Image

from dreamd.pictures.colours.spaces import ADOBE_RGB
from dreamd.pictures.containers.ancillary import Ancillary
from dreamd.pictures.decoders.heif import decode_heic
from dreamd.pictures.decoders.raster import CheckSize, Inks, Raster
from dreamd.pictures.decoders.rasters import raster_of
from dreamd.pictures.decoding.alpha import alpha_of_clear_colour, clear_where, is_unused
from dreamd.pictures.decoding.colouring import coloured
from dreamd.pictures.decoding.cut_jpeg import completed_jpeg
from dreamd.pictures.decoding.headers import sizes_used_on_loading, sizes_used_on_opening
from dreamd.pictures.decoding.orientation import upright
from dreamd.pictures.decoding.prepared import Prepared, prepared, with_decoders_words
from dreamd.pictures.descriptions.description import Description
from dreamd.pictures.descriptions.exif import read_exif
from dreamd.pictures.descriptions.recipe import RECIPE_KEYWORD
from dreamd.pictures.descriptions.xmp import read_xmp
from dreamd.pictures.kinds import READABLE
from dreamd.pictures.picture import Picture

log = logging.getLogger(__name__)

_MAX_DPI = 65_535
"""JPEG has 16 bits for the dots per inch."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Decoded:
    """Decoded values, and what the file says about them.

    Attributes:
        values: the values, with an alpha channel where there is one.
        told: what the file says.
        format: Pillow's name of the format.
        notes: what is to be said about the decoding.
    """

    values: Raster | Inks
    told: Ancillary
    format: str
    notes: tuple[str, ...] = ()


def decode(file: BinaryIO, name: str, check_size: CheckSize, number: int | None = None) -> Picture:
    """Decode a file.

    Args:
        file: the file.
        name: its name, printable.
        check_size: called before memory is taken.
        number: which picture of a HEIC or AVIF is meant, from 0; None for the main one, and for other formats.

    Raises:
        PictureError: `check_size` says so, or it is a file that is not to be decoded.
        Exception: of `BAD_DATA`, where it is broken.
    """
    for size in sizes_used_on_opening(file):
        check_size(*size)
    source = prepared(file, name, number)
    if source.deep is not None or source.is_heic:
        return _picture(_by_depth(source, check_size, name), name)
    return _picture(_by_pillow(source, file, check_size, name), name)


def _by_depth(source: Prepared, check_size: CheckSize, name: str) -> _Decoded:
    """Decode by libvips or libheif, which turn AVIF and HEIC themselves, but no TIFF and no PNG."""
    if source.deep is None:
        deep = decode_heic(source.stream, check_size, name, source.number)
    else:
        from dreamd.pictures.decoders.vips import decode_deep  # most pictures need none of it

        deep = decode_deep(source.stream, source.deep, check_size)
    told, raster = source.ancillary, deep.raster
    exif = told.exif if source.number is None else deep.exif or (told.exif if deep.is_main else b"")
    told = replace(told, exif=exif, xmp=told.xmp or deep.xmp, profile=told.profile or deep.profile)
    told = replace(told, notes=(*told.notes, *deep.notes))
    if source.format in ("AVIF", "HEIF"):
        told = replace(told, orientation=1)
    if source.clear is not None and raster.levels.ndim == 3:
        raster = replace(raster, alpha=clear_where(raster.levels, source.clear.samples))
    return _Decoded(values=raster, told=told, format=source.format or "PNG")


def _by_pillow(source: Prepared, file: BinaryIO, check_size: CheckSize, name: str) -> _Decoded:
    source.stream.seek(0)
    with Image.open(source.stream, formats=READABLE) as image:
        if source.page:
            image.seek(source.page)
        for size in (image.size, *sizes_used_on_loading(image)):
            check_size(*size)
        loaded, notes = _loaded(image, source, file, name)
        values = raster_of(loaded)
        if source.clear is not None and isinstance(values, Raster):
            values = replace(values, alpha=alpha_of_clear_colour(loaded, source.clear))
        told = with_decoders_words(source.ancillary, loaded, name)
        kind = str(loaded.format)
        return _Decoded(values=values, told=told, format=kind if kind == "MPO" else source.format or kind, notes=notes)


def _loaded(image: Image.Image, source: Prepared, file: BinaryIO, name: str) -> tuple[Image.Image, tuple[str, ...]]:
    """Decode the pixels; return them, and what is to be said about them."""
    try:
        image.load()
    except OSError as error:
        if source.jpeg is None or error.errno is not None:
            raise
        completed = completed_jpeg(file, source.jpeg, name)
        if completed is None:
            raise
        whole, note = completed
        log.warning("%s: %s", name, note)
        return whole, (note,)
    return image, ()


def _picture(decoded: _Decoded, name: str) -> Picture:
    told, values = decoded.told, decoded.values
    exif, xmp = read_exif(told.exif, name), read_xmp(told.xmp, name)
    orientation = told.orientation or exif.orientation or xmp.orientation or 1
    space = told.space or (ADOBE_RGB if exif.is_adobe_rgb and not told.is_srgb else None)
    alpha = values.alpha if isinstance(values, Raster) else None
    if alpha is not None and is_unused(alpha, decoded.format):
        log.info("%s: its fourth channel is zero everywhere, so it is no alpha channel", name)
        alpha = None
    if alpha is not None and alpha.min() == np.iinfo(alpha.dtype).max:
        alpha = None
    if isinstance(values, Raster):
        values = replace(values, levels=upright(values.levels, orientation), alpha=None)
    else:
        values = Inks(image=Image.fromarray(upright(np.asarray(values.image), orientation), values.image.mode))
    colours = coloured(values, told.profile, space, name)
    notes = tuple(dict.fromkeys((*told.notes, *xmp.notes, *colours.notes)))
    for note in notes:
        log.info("%s: %s", name, note)
    texts = tuple(text for text in told.texts if text.keyword != RECIPE_KEYWORD)  # a result of it has its own
    dpi = _likely_dpi(told.dpi or exif.dpi)
    return Picture(
        pixels=colours.pixels,
        alpha=None if alpha is None else upright(alpha, orientation),
        format=decoded.format,
        depth=values.depth if isinstance(values, Raster) else 8,
        profile=colours.profile,
        is_grey=colours.is_grey,
        description=Description(
            exif=exif.kept, xmp=xmp.kept, iptc=told.iptc, texts=texts, has_thumbnail=exif.has_thumbnail
        ),
        dpi=dpi[::-1] if dpi and orientation >= 5 else dpi,
        notes=(*decoded.notes, *notes),
    )


def _likely_dpi(dpi: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the dots per inch unless they are senseless: Pillow gives 1 for a TIFF that says nothing."""
    if dpi and all(math.isfinite(value) and 1 < value <= _MAX_DPI for value in dpi):
        return dpi
    return None

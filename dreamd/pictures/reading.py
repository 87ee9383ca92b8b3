"""Reading: a file becomes a `Picture`, or a `PictureError` says what is wrong with it, whatever the file holds.

Runs in worker processes only, for a decoder is the first thing that a hostile file reaches.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import math
import os
import stat
import threading
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from dreamd.errors import PictureError
from dreamd.pictures.alpha import alpha_of_clear_colour, is_unused
from dreamd.pictures.colour import colour_and_alpha, in_srgb
from dreamd.pictures.cut_jpeg import completed_jpeg
from dreamd.pictures.damage import BAD_DATA, words_of
from dreamd.pictures.descriptions.description import Description
from dreamd.pictures.descriptions.exif import read_exif
from dreamd.pictures.descriptions.recipe import RECIPE_KEYWORD
from dreamd.pictures.descriptions.xmp import read_xmp
from dreamd.pictures.headers import sizes_used_on_loading, sizes_used_on_opening
from dreamd.pictures.kinds import READABLE, what_it_looks_like
from dreamd.pictures.orientation import upright
from dreamd.pictures.picture import Bytes, Picture
from dreamd.pictures.prepared import Prepared, prepared, with_decoders_words
from dreamd.pictures.spaces import ADOBE_RGB
from dreamd.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

# Pillow's own limit warns at one size and raises at twice that size. `_check_pixels` holds ours instead, exactly and
# for every size that a file declares, before anything is allocated for it.
Image.MAX_IMAGE_PIXELS = None

Decode = Callable[[BinaryIO, Callable[[int, int], None]], Bytes]
"""A plugin's decoder is called as `decode(file, check_size)` and returns `[H, W, 3 or 4]` bytes.

It calls `check_size(width, height)` before it takes memory.
"""

_MACHINE_FAULTS = frozenset(
    {
        *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENODEV, errno.EREMOTEIO, errno.ENOTCONN),
        *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ECONNRESET, errno.ESHUTDOWN),
        *(errno.ENOMEM, errno.EMFILE, errno.ENFILE),
    }
)
"""These are errors of the disk, the network or the process: the same picture may be read the next time."""

_MAX_LOGGED_WARNINGS = 5
"""The most warnings about one picture that are logged: a hostile file can bring thousands."""

_MEGABYTE = 1_000_000

_MAX_DPI = 65_535
"""JPEG has 16 bits for the dots per inch."""

_NO_FILE = "not a regular file; put a picture's file here"

_one_decode = threading.Lock()
"""Its holder may change the filters of warnings, which are the whole process's."""


def read_picture(path: Path, *, max_pixels: int, max_bytes: int, decode: Decode | None = None) -> Picture:
    """Read a picture; of an animation, the first frame.

    The content says what it is, not the name, unless a plugin's decoder is given. Grey of 16 bit is scaled, floats in
    [0, 1] are taken as they are and other floats are stretched to their own range. The colours become sRGB, whether an
    ICC profile or the format's own numbers tell them; a broken profile is logged and left out.

    Args:
        path: the file; a symbolic link is not followed.
        max_pixels: the most pixels that the picture, and any size its header declares, may have.
        max_bytes: the longest file to read.
        decode: a plugin's decoder; None: Pillow decodes.

    Raises:
        PictureError: it is no picture, a broken one, or too large.
        PluginError: the plugin's decoder is at fault.
        OSError: the file is not there or cannot be opened, or the disk or the machine failed: not the picture's fault.
    """
    name = printable(path.name)
    with _open_file(path, name) as file:
        length = _check_bytes(file, name, max_bytes)
        with _one_decode, _warnings_logged(name):
            if decode is not None:
                picture = _decode_with_plugin(decode, file, name, max_pixels)
            else:
                picture = _decode(file, name, length, max_pixels)
        return replace(picture, sha256=_sha256_of(file))  # of the open file: its name may lead elsewhere by now


def _sha256_of(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(_MEGABYTE):
        digest.update(piece)
    return digest.hexdigest()


def _open_file(path: Path, name: str) -> BinaryIO:
    # O_NONBLOCK: without it, opening a named pipe waits for a writer.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            advice = "links are not followed; put the picture itself here"
            raise PictureError(f"{name}: a symbolic link; {advice}") from error
        if error.errno == errno.ENXIO:  # a socket, or a pipe that nobody writes into
            raise PictureError(f"{name}: {_NO_FILE}") from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise PictureError(f"{name}: {_NO_FILE}")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_bytes(file: BinaryIO, name: str, max_bytes: int) -> int:
    length = os.fstat(file.fileno()).st_size
    if length == 0:
        raise PictureError(f"{name}: the file is empty; copy it again")
    if length > max_bytes:
        allowed = _amount(max_bytes)
        raise PictureError(f"{name}: {_amount(length)}, more than limits.max_bytes allows ({allowed})")
    return length


def _check_pixels(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise PictureError(f"{name}: {width} x {height} pixels, more than limits.max_pixels allows ({max_pixels})")


def _amount(length: int) -> str:
    return f"{length} bytes" if length < _MEGABYTE else f"{length / _MEGABYTE:.1f} MB"


@contextmanager
def _warnings_logged(name: str) -> Iterator[None]:
    # The caller holds `_one_decode`.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            texts = list(dict.fromkeys(words_of(warning.message) for warning in caught))
            for text in texts[:_MAX_LOGGED_WARNINGS]:
                log.info("%s: %s", name, text)
            if len(texts) > _MAX_LOGGED_WARNINGS:
                log.info("%s: and %d more warnings", name, len(texts) - _MAX_LOGGED_WARNINGS)


def _decode(file: BinaryIO, name: str, length: int, max_pixels: int) -> Picture:
    try:
        for size in sizes_used_on_opening(file):
            _check_pixels(size, name, max_pixels)
        source = prepared(file, name)
        source.stream.seek(0)
        with Image.open(source.stream, formats=READABLE) as image:
            if source.page:
                image.seek(source.page)
            for size in (image.size, *sizes_used_on_loading(image)):
                _check_pixels(size, name, max_pixels)
            loaded, notes = _loaded(image, source, file, name)
            return _picture(loaded, source, notes, name)
    except UnidentifiedImageError as error:
        raise PictureError(f"{name}: not a picture that can be read: {what_it_looks_like(file, name)}") from error
    except BAD_DATA as error:
        if isinstance(error, OSError) and error.errno in _MACHINE_FAULTS:
            raise
        broken = f"not a picture that can be read ({_what_broke(error, length)})"
        raise PictureError(f"{name}: {broken}; copy it again or save it anew") from error


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


def _decode_with_plugin(decode: Decode, file: BinaryIO, name: str, max_pixels: int) -> Picture:
    def check_size(width: int, height: int) -> None:
        _check_pixels((width, height), name, max_pixels)

    try:
        values = decode(file, check_size)
        check_size(values.shape[1], values.shape[0])
    except PictureError as error:
        raise PictureError(str(error) if str(error).startswith(name) else f"{name}: {error}") from error
    alpha = np.ascontiguousarray(values[:, :, 3]) if values.shape[2] == 4 else None
    return Picture(
        pixels=np.ascontiguousarray(values[:, :, :3]),
        alpha=None if alpha is None or alpha.min() == 255 else alpha,
        format="PNG",
    )


def _what_broke(error: BaseException, length: int) -> str:
    text = str(error).lower()
    if isinstance(error, EOFError) or any(word in text for word in ("truncated", "not enough", "end of file")):
        return f"it is cut off after {_amount(length)}"
    if "could not create decoder" in text:  # all that WebP's decoder says
        return f"it is broken, or cut off after {_amount(length)}"
    return words_of(error) or type(error).__name__


def _picture(image: Image.Image, source: Prepared, notes: tuple[str, ...], name: str) -> Picture:
    told = with_decoders_words(source.ancillary, image, name)
    exif, xmp = read_exif(told.exif, name), read_xmp(told.xmp, name)
    orientation = told.orientation or exif.orientation or xmp.orientation or 1
    space = told.space or (ADOBE_RGB if exif.is_adobe_rgb and not told.is_srgb else None)
    colour, alpha = colour_and_alpha(image)
    if source.clear is not None:
        alpha = alpha_of_clear_colour(image, source.clear, source.stream)
    if alpha is not None and is_unused(alpha, str(image.format)):
        log.info("%s: its fourth channel is zero everywhere, so it is no alpha channel", name)
        alpha = None
    texts = tuple(text for text in told.texts if text.keyword != RECIPE_KEYWORD)  # a result of it has its own
    dpi = _likely_dpi(told.dpi or exif.dpi)
    return Picture(
        pixels=upright(np.asarray(in_srgb(colour, told.profile, space, name)), orientation),
        alpha=None if alpha is None or alpha.min() == 255 else upright(alpha, orientation),
        format=source.format or str(image.format),
        description=Description(exif=exif.kept, xmp=xmp.kept, iptc=told.iptc, texts=texts),
        dpi=dpi[::-1] if dpi and orientation >= 5 else dpi,
        notes=notes,
    )


def _likely_dpi(dpi: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the dots per inch unless they are senseless: Pillow gives 1 for a TIFF that says nothing."""
    if dpi and all(math.isfinite(value) and 1 < value <= _MAX_DPI for value in dpi):
        return dpi
    return None

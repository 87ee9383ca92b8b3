"""Reading: a file becomes a `Picture`, or a `PictureError` says what is wrong with it, whatever the file holds.

Runs in worker processes only, for a decoder is the first thing that a hostile file reaches.
"""

from __future__ import annotations

import errno
import hashlib
import logging
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
from dreamd.pictures.damage import BAD_DATA, words_of
from dreamd.pictures.decoders.raster import CheckSize
from dreamd.pictures.decoding.decode import decode as decode_picture
from dreamd.pictures.kinds import what_it_looks_like
from dreamd.pictures.picture import Bytes, Picture
from dreamd.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

# Pillow's own limit warns at one size and raises at twice that size. `size_check` holds ours instead, exactly and
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

_NO_FILE = "not a regular file; put a picture's file here"

_one_decode = threading.Lock()
"""Its holder may change the filters of warnings, which are the whole process's."""


def read_picture(path: Path, *, max_pixels: int, max_bytes: int, decode: Decode | None = None) -> Picture:
    """Read a picture; of an animation, the first frame.

    The content says what it is, not the name, unless a plugin's decoder is given. Floats in [0, 1] are taken as they
    are and other floats are stretched to their own range. The colours become sRGB, whether an ICC profile or the
    format's own numbers tell them; a broken profile is logged and left out. What has more than 8 bit, or colours of
    another space, comes in floats.

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
    with open_regular(path, name) as file:
        length = check_bytes(file, name, max_bytes)
        with decoding(name):
            if decode is not None:
                picture = _decode_with_plugin(decode, file, name, max_pixels)
            else:
                with damage_told(file, name, length):
                    picture = decode_picture(file, name, size_check(name, max_pixels))
        return replace(picture, sha256=sha256_of(file))  # of the open file: its name may lead elsewhere by now


def sha256_of(file: BinaryIO) -> str:
    """Return the checksum of a file."""
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(_MEGABYTE):
        digest.update(piece)
    return digest.hexdigest()


def open_regular(path: Path, name: str) -> BinaryIO:
    """Open a file for reading. Raises PictureError when it is a link, a pipe or whatever else is none."""
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


def check_bytes(file: BinaryIO, name: str, max_bytes: int) -> int:
    """Return how many bytes a file has. Raises PictureError when it has none, or more than are allowed."""
    length = os.fstat(file.fileno()).st_size
    if length == 0:
        raise PictureError(f"{name}: the file is empty; copy it again")
    if length > max_bytes:
        allowed = _amount(max_bytes)
        raise PictureError(f"{name}: {_amount(length)}, more than limits.max_bytes allows ({allowed})")
    return length


def size_check(name: str, max_pixels: int) -> CheckSize:
    """Return what raises PictureError for a width and a height that have more pixels than are allowed."""

    def check_size(width: int, height: int) -> None:
        if width * height > max_pixels:
            raise PictureError(f"{name}: {width} x {height} pixels, more than limits.max_pixels allows ({max_pixels})")

    return check_size


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


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Decode inside, one file at a time, and have what is warned of a file of that name logged."""
    with _one_decode, _warnings_logged(name):
        yield


@contextmanager
def damage_told(file: BinaryIO, name: str, length: int) -> Iterator[None]:
    """Have what is raised inside, because a file is broken, told as a PictureError.

    Args:
        file: the file.
        name: its name, printable.
        length: its bytes.
    """
    try:
        yield
    except UnidentifiedImageError as error:
        raise PictureError(f"{name}: not a picture that can be read: {what_it_looks_like(file, name)}") from error
    except BAD_DATA as error:
        if isinstance(error, OSError) and error.errno in _MACHINE_FAULTS:
            raise
        broken = f"not a picture that can be read ({_what_broke(error, length)})"
        raise PictureError(f"{name}: {broken}; copy it again or save it anew") from error


def _decode_with_plugin(decode: Decode, file: BinaryIO, name: str, max_pixels: int) -> Picture:
    check_size = size_check(name, max_pixels)
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

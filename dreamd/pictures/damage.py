"""Damaged files: what Pillow raises on them, and what of a picture is left out because of it."""

from __future__ import annotations

import logging
import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from PIL import ImageCms

from dreamd.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

BAD_DATA = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError),
    *(AssertionError, RuntimeError, struct.error, zlib.error, ImageCms.PyCMSError),
)
"""These are the exceptions that Pillow raises on a broken file. A MemoryError says nothing about the file."""

_MAX_WORDS = 200
"""A message shows at most so many characters of Pillow's own words."""


def words_of(problem: object) -> str:
    """Return what Pillow says, short and printable: at times it quotes the file's own bytes."""
    return printable(str(problem)[:_MAX_WORDS])


@contextmanager
def left_out_when_broken(what: str, name: str) -> Iterator[None]:
    """Log that a part of a picture is broken, and go on without it.

    Args:
        what: the part, in words: "ICC profile".
        name: the picture's file name, printable.
    """
    try:
        yield
    except BAD_DATA as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's fault or the network's: the same part may be read the next time
        reason = words_of(error) or type(error).__name__
        log.warning("%s: its %s is broken and left out (%s)", name, what, reason)
